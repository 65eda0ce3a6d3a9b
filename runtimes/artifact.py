"""Artifact: what a converted model says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgehr.card import ModelCard
from edgehr.errors import ArtifactError, EdgehrError

METADATA_KEY = "edgehr"
MAX_THREADS = 1024  # of one inference; backends fail in odd ways for numbers that no machine has
SCHEMA = 2  # of models of several graphs; all others are written as schema 1, which earlier versions read too


@dataclass(frozen=True)
class Part:
    """A further graph of a model, in a file beside the main one.

    Attributes:
        file: Name of its main file.
        sha256: SHA-256 of that file.
    """

    file: str
    sha256: str

    def __post_init__(self) -> None:
        # Descriptions come from files: a name must not lead out of the folder.
        if not is_file_name(self.file):
            raise ArtifactError(f"the file of a part must be a plain file name, got {self.file!r}")


def is_file_name(name: object) -> bool:
    """Tell whether a text from a file names a file in the folder of that, and nothing outside."""
    return isinstance(name, str) and name not in ("", "..") and "\0" not in name and Path(name).name == name


def part_path(path: Path, name: str) -> Path:
    """Return the file of a graph of a model whose main file is `path`; that itself for an empty name."""
    return path.with_name(f"{path.stem}.{name}{path.suffix}") if name else path


@dataclass(frozen=True)
class Artifact:
    """The description that travels inside a converted model.

    Attributes:
        card: What the model expects and returns.
        precision: The precision of the weights in the file, as read back from it: ``fp32``, ``fp16``, ...
        weights_sha256: SHA-256 of the checkpoint it was converted from.
        tools: Name and version of what made it.
        calibration_sha256: SHA-256 of the calibration manifest; empty where nothing was calibrated.
        calibration_images: Fingerprints (`edgehr.evaluation.overlap`) of the images calibrated on, so that evaluation
            can tell them.
        recipe: Name of the recipe that it was quantized by; empty where it was not.
        parts: Further graphs of the model, by name: what of it is in other files.
        part: Which of those this file is; empty for the main file.
        form: ``deploy`` where the network was rewritten for inference, ``plain`` where it is as it was trained; empty
            for what did not come from a network of edgehr.
    """

    card: ModelCard
    precision: str
    weights_sha256: str
    tools: Mapping[str, str] = field(default_factory=dict)
    calibration_sha256: str = ""
    calibration_images: tuple[str, ...] = ()
    recipe: str = ""
    form: str = ""
    parts: Mapping[str, Part] = field(default_factory=dict)
    part: str = ""

    def to_json(self) -> str:
        """Write one line of JSON."""
        parts = {name: vars(part) for name, part in self.parts.items()}
        data = {**vars(self), "card": self.card.to_dict(), "tools": dict(self.tools), "parts": parts}
        data = {"schema": SCHEMA if self.parts or self.part else 1, **data}
        for name in ("calibration_images", "recipe", "form", "parts", "part"):
            if not data[name]:  # what says nothing of itself there stays readable by older versions
                del data[name]
        return json.dumps(data, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Artifact:
        """Read what `to_json` wrote.

        Raises:
            ArtifactError: Anything else.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            if data.pop("schema") not in (1, SCHEMA):
                raise ArtifactError("the model was written by another generation of edgehr: convert it again")
            images = data.pop("calibration_images", [])
            if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
                raise TypeError("calibration_images is no list of texts")
            parts = {name: Part(**part) for name, part in data.pop("parts", {}).items()}
            card = ModelCard.from_dict(data.pop("card"))
            texts = {"tools": data.pop("tools", {}), "others": data}
            for name, values in texts.items():
                if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
                    raise TypeError(f"{name} are no texts by name")
            return cls(card, **data, tools=texts["tools"], calibration_images=tuple(images), parts=parts)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ArtifactError(f"the model's edgehr description is damaged: {error}") from None
        except ArtifactError:
            raise
        except EdgehrError as error:
            raise ArtifactError(f"the model's edgehr description cannot be read: {error}") from None


def require_artifact(artifact: Artifact | None, name: object) -> Artifact:
    """Return what a model says of itself.

    Args:
        artifact: None where it says nothing.
        name: What messages call the model.

    Raises:
        ArtifactError: edgehr did not convert the model.
    """
    if artifact is None:
        raise ArtifactError(f"{name}: was not converted by edgehr, so what it expects and returns is not known")
    return artifact
