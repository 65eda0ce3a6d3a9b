"""ModelCard: what a model expects and returns, as plain data.

The card is the only description of a model. Converters, runtimes, calibration, evaluation and the demo all read it,
and it travels inside every converted model. What only one task needs to know is that task's part of it, `spec`.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from edgehr.errors import EdgehrError
from edgehr.notices import warn_once
from edgehr.plain_data import build_dataclass
from edgehr.registry import spec_type

SCHEMA = 2
LAYOUTS = ("nchw", "nhwc")

# Of an input, pixels: far above any network here. A card must not ask for more memory than a machine has.
MAX_SIDE = 8192

S = TypeVar("S", bound="TaskSpec")


@dataclass(frozen=True)
class InputSpec:
    """The image a network takes.

    Attributes:
        height: Rows of the network input, pixels.
        width: Columns of the network input, pixels.
        color: Channel order, ``rgb`` or ``bgr``.
        mean: Per channel, in that order, on the 0-255 scale.
        std: Per channel, in that order, on the 0-255 scale.
        name: Tensor name in converted models.
    """

    height: int
    width: int
    color: str = "rgb"
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[float, ...] = (58.395, 57.12, 57.375)
    name: str = "image"

    def __post_init__(self) -> None:
        if not (isinstance(self.height, int) and isinstance(self.width, int) and min(self.height, self.width) > 0):
            raise EdgehrError(f"input size must be positive whole numbers, got {self.height}x{self.width}")
        if max(self.height, self.width) > MAX_SIDE:
            raise EdgehrError(f"input size must be at most {MAX_SIDE} pixels a side, got {self.height}x{self.width}")
        if self.color not in ("rgb", "bgr"):
            raise EdgehrError(f"color order must be rgb or bgr, got {self.color!r}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise EdgehrError("mean and std need three values each, and every std must be positive")
        if max(self.std) < 1:
            warn_once(
                "card",
                f"mean {list(self.mean)} and std {list(self.std)} look like those for pixels of 0 to 1: a card gives "
                "them for pixels of 0 to 255, 255 times as much",
            )


@dataclass(frozen=True)
class OutputSpec:
    """A tensor that a network returns: its name in converted models and what it means."""

    name: str
    meaning: str


@dataclass(frozen=True)
class WeightsInfo:
    """Where weights come from.

    Attributes:
        origin: ``published`` (by the authors named in `url`), ``sample`` (shipped with edgehr) or ``user`` (a file).
        file: File name.
        url: Official address; empty where there is none.
        sha256: The file's SHA-256 in hex, or the leading digits that its publisher gives; empty where unknown.
        license: SPDX identifier of the weights' license as their publisher states it.
        metric: Published accuracy with its data set, as text; empty for ``user`` weights.
    """

    origin: str
    file: str = ""
    url: str = ""
    sha256: str = ""
    license: str = ""
    metric: str = ""

    def __post_init__(self) -> None:
        # Cards come from files too: the name must not lead out of the cache, nor the address to a local file.
        plain = Path(self.file).name == self.file and not self.file.startswith(".") and "\0" not in self.file
        if self.file and not plain:
            raise EdgehrError(f"weights file must be a plain file name, got {self.file!r}")
        if self.url and not self.url.startswith(("https://", "http://")):
            raise EdgehrError(f"weights address must be http or https, got {self.url!r}")


class TaskSpec(ABC):
    """The part of a card that belongs to its task: a frozen dataclass of plain data.

    Its fields are texts, numbers, tuples of them, or dataclasses of such. It checks itself when it is made.
    """

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """Count the channels that the network's last layer makes."""

    @property
    @abstractmethod
    def finds(self) -> str:
        """Say in a word or two what the model tells, for lists of models: ``17 keypoints``."""

    @property
    @abstractmethod
    def decoding_name(self) -> str:
        """Name the way in which outputs become results, for lists of models: ``msra``."""

    @abstractmethod
    def lines(self, card: ModelCard) -> list[tuple[str, str]]:
        """Give labels and values for `edgehr inspect`."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model is, expects and returns.

    Attributes:
        name: ``<architecture>-<dataset>-<height>x<width>``.
        task: A name of `edgehr.registry.TASKS`: ``pose``, ``landmarks``, ``detection``, ``classification``.
        architecture: What `edgehr.models` builds (``hrnet``, ``hrnetv2``, ``lite_hrnet``), or what comes as ONNX
            (``rtmdet``, ``yolox``, ``yunet``).
        parameters: What that builder takes besides the number of outputs.
        category: What the task is done on: ``body``, ``wholebody``, ``hand``, ``animal``, ``fashion``, ``face``,
            ``person``, ``image`` (the whole of it).
        layout: Order of the dimensions of the image and of the maps: ``nchw``, or ``nhwc`` (channels last).
        dataset: Training data set.
        input: The image it takes.
        outputs: The tensors it returns.
        spec: What its task knows of it: how to read the outputs and what they stand for.
        weights: Where the weights come from.
    """

    name: str
    task: str
    architecture: str
    dataset: str
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    spec: TaskSpec
    weights: WeightsInfo
    parameters: Mapping[str, Any] = field(default_factory=dict)
    category: str = "body"
    layout: str = "nchw"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise EdgehrError(f"model name must be letters, digits, dots and hyphens, got {self.name!r}")
        if not self.outputs:
            raise EdgehrError(f"{self.name}: the card names no outputs")
        if not isinstance(self.parameters, Mapping):
            raise EdgehrError(f"{self.name}: parameters must be an object, got {self.parameters!r}")
        if self.layout not in LAYOUTS:
            raise EdgehrError(f"{self.name}: layout must be one of {', '.join(LAYOUTS)}, got {self.layout!r}")

    def spec_as(self, kind: type[S]) -> S:
        """Return the task's part as what a task expects.

        Raises:
            EdgehrError: The card is of another task.
        """
        if not isinstance(self.spec, kind):
            wanted = re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__.removesuffix("Spec")).lower()
            raise EdgehrError(f"{self.name} is a model for {self.task}, not for {wanted}")
        return self.spec

    def lines(self) -> list[tuple[str, str]]:
        """Give labels and values of what the model's task knows of it, to print."""
        return self.spec.lines(self)

    def with_size(self, height: int, width: int) -> ModelCard:
        """Return the same model for another input size; the size at the end of the name follows."""
        if (height, width) == (self.input.height, self.input.width):
            return self
        name = re.sub(r"-\d+x\d+$", "", self.name) + f"-{height}x{width}"
        return replace(self, name=name, input=replace(self.input, height=height, width=width))

    def with_weights(self, weights: WeightsInfo) -> ModelCard:
        """Return the same model with other weights."""
        return replace(self, weights=weights)

    def with_layout(self, layout: str) -> ModelCard:
        """Return the same model with its dimensions in another order."""
        return replace(self, layout=layout)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, with the number of the schema."""
        return {"schema": SCHEMA, **asdict(self)}

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelCard:
        """Read what `to_dict` wrote, in this schema or the one before it.

        Raises:
            EdgehrError: A field is missing or unknown, the task is unknown, or the schema is newer than this edgehr.
        """
        if not isinstance(data, Mapping):
            raise EdgehrError("model card is not a JSON object")
        values = dict(data)
        schema = values.pop("schema", None)
        if schema == 1:
            values = _from_schema_1(values)
        elif schema != SCHEMA:
            raise EdgehrError(f"model card has schema {schema}, this edgehr reads {SCHEMA}: use a matching edgehr")
        if not isinstance(values.get("task"), str) or "spec" not in values:
            raise EdgehrError("model card is incomplete: it needs a task, and spec, what that task is to know")
        outputs = values.get("outputs", ())
        if not isinstance(outputs, (list, tuple)):
            raise EdgehrError("outputs in the model card is not a list")
        values["outputs"] = tuple(build_dataclass(OutputSpec, output) for output in outputs)
        values["spec"] = build_dataclass(spec_type(values["task"]), values["spec"])
        return build_dataclass(cls, values)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read what `to_json` wrote; raises EdgehrError for anything else."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise EdgehrError(f"model card is not JSON: {error}") from None
        return cls.from_dict(data)


def _from_schema_1(values: dict[str, Any]) -> dict[str, Any]:
    """Bring a card of 2026's first artifacts, which knew poses and people's boxes only, into today's form."""
    parts: dict[str, Any] = {
        name: values.pop(name) for name in ("decoding", "keypoints", "detection") if name in values
    }
    if isinstance(detection := parts.pop("detection", None), Mapping):
        parts |= {name: value for name, value in detection.items() if name != "person"}
    given = values.get("input")
    if isinstance(given, Mapping) and "padding" in given:  # of cards written by hand: edgehr itself had no such field
        parts["padding"] = given["padding"]
        values["input"] = {name: value for name, value in given.items() if name != "padding"}
    weights = values.get("weights")
    if isinstance(weights, Mapping) and "licence" in weights:
        values["weights"] = {("license" if name == "licence" else name): value for name, value in weights.items()}
    return {**values, "spec": parts}
