"""Artifact: what a converted model says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgehr.card import ModelCard
from edgehr.errors import ArtifactError, EdgehrError

METADATA_KEY = "edgehr"
SCHEMA = 1


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

    def to_json(self) -> str:
        """Write one line of JSON."""
        data = {"schema": SCHEMA, **vars(self), "card": self.card.to_dict(), "tools": dict(self.tools)}
        for name in ("calibration_images", "recipe", "form"):
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
            if data.pop("schema") != SCHEMA:
                raise ArtifactError("the model was written by another generation of edgehr: convert it again")
            images = data.pop("calibration_images", [])
            if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
                raise TypeError("calibration_images is no list of texts")
            return cls(**{**data, "card": ModelCard.from_dict(data["card"]), "calibration_images": tuple(images)})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArtifactError(f"the model's edgehr description is damaged: {error}") from None
        except ArtifactError:
            raise
        except EdgehrError as error:
            raise ArtifactError(f"the model's edgehr description cannot be read: {error}") from None
