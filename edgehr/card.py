"""ModelCard: what a model expects and returns, as plain data.

The card is the only description of a model. Converters, runtimes, calibration, evaluation and the demo all read it,
and it travels inside every converted model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from edgehr.errors import EdgehrError

SCHEMA = 1
DECODINGS = ("msra", "dark", "udp")
WARPS = ("affine", "udp")
LAYOUTS = ("nchw", "nhwc")

T = TypeVar("T")


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
        if self.color not in ("rgb", "bgr"):
            raise EdgehrError(f"color order must be rgb or bgr, got {self.color!r}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise EdgehrError("mean and std need three values each, and every std must be positive")


@dataclass(frozen=True)
class OutputSpec:
    """A tensor that a network returns: its name in converted models and what it means."""

    name: str
    meaning: str


@dataclass(frozen=True)
class Decoding:
    """How heatmaps become keypoints; see `edgehr.tasks.pose.heatmaps` for the methods.

    Attributes:
        method: ``msra`` (quarter offset), ``dark`` (DARK, CVPR 2020) or ``udp`` (UDP, CVPR 2020).
        blur_kernel: Side of the Gaussian that ``dark`` and ``udp`` smooth with, heatmap pixels, odd.
        warp: How the crop was cut in training: ``affine`` (pixel edges) or ``udp`` (corner pixel centers).
        shift_flipped: In a flip test, move the flipped heatmaps one pixel right before averaging.
    """

    method: str = "msra"
    blur_kernel: int = 11
    warp: str = "affine"
    shift_flipped: bool = False

    def __post_init__(self) -> None:
        if self.method not in DECODINGS:
            raise EdgehrError(f"unknown decoding {self.method!r}: expected one of {', '.join(DECODINGS)}")
        if self.warp not in WARPS:
            raise EdgehrError(f"unknown warp {self.warp!r}: expected one of {', '.join(WARPS)}")
        if self.blur_kernel < 1 or self.blur_kernel % 2 == 0:
            raise EdgehrError(f"blur_kernel must be a positive odd number, got {self.blur_kernel}")


@dataclass(frozen=True)
class KeypointSet:
    """The keypoints of a data set, in the order of the heatmaps.

    Attributes:
        names: K names.
        flip_pairs: Index pairs that swap when the image is mirrored.
        skeleton: Index pairs to draw as limbs.
        sigmas: K per-keypoint constants of OKS (COCO keypoint evaluation), or empty where none are published.
    """

    names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.names)
        for pair in (*self.flip_pairs, *self.skeleton):
            if len(pair) != 2 or not all(0 <= index < count for index in pair):
                raise EdgehrError(f"keypoint pair {pair} does not fit {count} keypoints")
        if self.sigmas and len(self.sigmas) != count:
            raise EdgehrError(f"{len(self.sigmas)} sigmas for {count} keypoints")

    @property
    def flip_indices(self) -> tuple[int, ...]:
        """For each keypoint, the one that takes its place in a mirrored image."""
        order = list(range(len(self.names)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)


@dataclass(frozen=True)
class DetectionSpec:
    """What a detector tells apart, and how pictures go in and boxes come out; see `edgehr.tasks.detection.task`.

    Attributes:
        classes: Names, in the order of the network's class scores.
        person: Index of the class that is people.
        strides: Pixels between the places at which each of the network's grids looks for objects, finest grid first.
        letterbox: Gray level (0-255) right of and below a picture that does not fill the input.
    """

    classes: tuple[str, ...]
    person: int = 0
    strides: tuple[int, ...] = (8, 16, 32)
    letterbox: int = 114

    def __post_init__(self) -> None:
        if not 0 <= self.person < len(self.classes):
            raise EdgehrError(f"person class {self.person} is not one of {len(self.classes)} classes")
        if not self.strides or not all(isinstance(stride, int) and stride > 0 for stride in self.strides):
            raise EdgehrError(f"strides must be positive whole numbers, got {self.strides}")
        if not 0 <= self.letterbox <= 255:
            raise EdgehrError(f"letterbox must be a gray level of 0 to 255, got {self.letterbox}")


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
        if self.file and (Path(self.file).name != self.file or self.file.startswith(".")):
            raise EdgehrError(f"weights file must be a plain file name, got {self.file!r}")
        if self.url and not self.url.startswith(("https://", "http://")):
            raise EdgehrError(f"weights address must be http or https, got {self.url!r}")


# What a card of each task must hold and others must not.
_TASK_FIELDS = {"pose": ("decoding", "keypoints"), "detection": ("detection",)}
_NESTED = {"input": InputSpec, "weights": WeightsInfo}
_NESTED |= {"decoding": Decoding, "keypoints": KeypointSet, "detection": DetectionSpec}


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model is, expects and returns.

    Attributes:
        name: ``<architecture>-<dataset>-<height>x<width>``.
        task: ``pose`` or ``detection``.
        architecture: ``hrnet``, ``hrnetv2``, ``lite_hrnet`` (built by `edgehr.models`) or ``yolox`` (comes as ONNX).
        parameters: What that builder takes besides the number of outputs.
        category: What the keypoints are on: ``body``, ``wholebody``, ``hand``, ``animal``, ``fashion``; or ``person``.
        layout: Order of the dimensions of the image and of the maps: ``nchw``, or ``nhwc`` (channels last).
        dataset: Training data set.
        input: The image it takes.
        outputs: The tensors it returns.
        decoding: Of a pose model, how to read them.
        keypoints: Of a pose model, what they stand for; no names in other cards.
        detection: Of a detector, how to read them and what they stand for; None in other cards.
        weights: Where the weights come from.
    """

    name: str
    task: str
    architecture: str
    dataset: str
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    decoding: Decoding = Decoding()
    keypoints: KeypointSet = KeypointSet(())
    detection: DetectionSpec | None = None
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
        if (self.task == "pose") != bool(self.keypoints.names) or (self.task == "detection") != bool(self.detection):
            raise EdgehrError(f"{self.name}: keypoints go with task pose and detection with task detection only")

    def with_size(self, height: int, width: int) -> ModelCard:
        """The same model for another input size; the size at the end of the name follows."""
        if (height, width) == (self.input.height, self.input.width):
            return self
        name = re.sub(r"-\d+x\d+$", "", self.name) + f"-{height}x{width}"
        return replace(self, name=name, input=replace(self.input, height=height, width=width))

    def with_weights(self, weights: WeightsInfo) -> ModelCard:
        """The same model with other weights."""
        return replace(self, weights=weights)

    def with_layout(self, layout: str) -> ModelCard:
        """The same model with its dimensions in another order."""
        return replace(self, layout=layout)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, with the schema number and without what belongs to other tasks."""
        others = {name for task, names in _TASK_FIELDS.items() if task != self.task for name in names}
        return {"schema": SCHEMA, **{name: value for name, value in asdict(self).items() if name not in others}}

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelCard:
        """Read what `to_dict` wrote.

        Raises:
            EdgehrError: A field is missing or unknown, or the schema is newer than this edgehr.
        """
        values = dict(data)
        schema = values.pop("schema", None)
        if schema != SCHEMA:
            raise EdgehrError(f"model card has schema {schema}, this edgehr reads {SCHEMA}: use a matching edgehr")
        missing = [name for name in _TASK_FIELDS.get(str(values.get("task")), ()) if name not in values]
        if missing:
            raise EdgehrError(f"model card is incomplete: a card of task {values['task']} has {' and '.join(missing)}")
        for name, kind in _NESTED.items():
            if name in values:
                values[name] = _build(kind, values[name])
        outputs = values.get("outputs", ())
        if not isinstance(outputs, (list, tuple)):
            raise EdgehrError("outputs in the model card is not a list")
        values["outputs"] = tuple(_build(OutputSpec, output) for output in outputs)
        return _build(cls, values)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read what `to_json` wrote; raises EdgehrError for anything else."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise EdgehrError(f"model card is not JSON: {error}") from None
        if not isinstance(data, dict):
            raise EdgehrError("model card is not a JSON object")
        return cls.from_dict(data)


def _build(kind: type[T], values: Mapping[str, Any]) -> T:
    """Make a dataclass from a mapping; every key must be a field, lists become tuples."""
    if not isinstance(values, Mapping):
        raise EdgehrError(f"{kind.__name__} in the model card is not an object")
    known = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise EdgehrError(f"unknown field in the model card's {kind.__name__}: {', '.join(unknown)}")
    try:
        return kind(**{name: _freeze(value) for name, value in values.items()})
    except TypeError as error:
        raise EdgehrError(f"model card's {kind.__name__} is incomplete: {error}") from None


def _freeze(value: Any) -> Any:
    return tuple(_freeze(item) for item in value) if isinstance(value, list) else value
