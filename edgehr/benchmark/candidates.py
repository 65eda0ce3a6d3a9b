"""Candidates: each is a model file with the way that it is run, and gets real input where its card tells how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.assets import group_picture, photographs
from edgehr.errors import EdgehrError
from edgehr.runtimes import Runtime, load
from edgehr.runtimes.streams import OPENED_AT_CALL
from edgehr.runtimes.tensors import Tensors, TensorSpec

PICTURE, RANDOM = "picture", "random"
_SEED = 0


@dataclass(frozen=True)
class Candidate:
    """Names a model file and the way that it is run.

    Attributes:
        path: Its main file, of any format that edgehr runs.
        device: As for `edgehr.runtimes.load`.
        threads: Of one inference; None leaves it to the runtime.
        precision: As for `edgehr.runtimes.load`.
        shapes: Shapes of inputs by name, for those with dynamic dimensions; an empty name stands for the only one.
        streams: How many inputs may run side by side; None leaves it to the runtime.
        at_once: How many images come together, as people in a frame do; None for what one inference takes.
    """

    path: Path
    device: str = "auto"
    threads: int | None = None
    precision: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    streams: int | None = None
    at_once: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "path": str(self.path), "shapes": {k: list(v) for k, v in self.shapes.items()}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Candidate:
        """Make one of what `to_dict` returned."""
        shapes = {name: tuple(shape) for name, shape in data["shapes"].items()}
        return cls(**{**data, "path": Path(data["path"]), "shapes": shapes})

    def open(self) -> Runtime:
        """Open the model; raises as `edgehr.runtimes.load` does."""
        runtime = load(self.path, self.device, threads=self.threads, precision=self.precision)
        if self.streams is not None:
            runtime.set_streams(self.streams)
        return runtime

    def feed(self, runtime: Runtime) -> Feed:
        """Make what the open model is fed; raises as `feed` does."""
        return feed(runtime, self.shapes, self.at_once)


@dataclass(frozen=True)
class Feed:
    """Holds what a model is fed and how it is called.

    Attributes:
        inputs: By name.
        images: How many images a call is for; 1 for a model without a card, whatever its batch.
        kind: ``picture`` for a real one by the model's own preprocessing, ``random`` where nobody knows what it takes.
        call: Runs the model once on them, with the work between its graphs where it has several.
    """

    inputs: Tensors
    images: int
    kind: str
    call: Callable[[], object]


@dataclass(frozen=True)
class Opened:
    """Holds a candidate that is open.

    Attributes:
        name: Short, and unique among those that are measured together.
        candidate: What it is.
        runtime: The model.
        feed: What it is fed.
    """

    name: str
    candidate: Candidate
    runtime: Runtime
    feed: Feed


def feed(runtime: Runtime, shapes: Mapping[str, tuple[int, ...]], at_once: int | None = None) -> Feed:
    """Make inputs for an open model: of a picture that ships with edgehr where it has a card, random ones otherwise.

    What networks with rejection inside compute depends on what they see, so that random inputs would mislead.

    Args:
        runtime: The model.
        shapes: As of `Candidate`; they win over what a card says.
        at_once: As of `Candidate`.

    Raises:
        EdgehrError: An input has dynamic dimensions that nobody names, or a shape does not suit.
    """
    if runtime.artifact is None or shapes:
        if at_once:
            raise EdgehrError(f"{runtime.path or runtime}: several images at once go to models that edgehr converted")
        inputs = random_inputs(runtime, shapes)
        first = next(iter(inputs.values()))
        images = len(first) if runtime.artifact is not None and first.ndim else 1
        return Feed(inputs, images, RANDOM, lambda: runtime.infer(inputs))
    from edgehr.tasks.base import Task
    from edgehr.tasks.image.reading import read_image

    task = Task.for_card(runtime.card)
    image = read_image(photographs()[0] if task.takes_boxes else group_picture())
    height, width = image.shape[:2]
    spec = runtime.inputs[0]
    images = at_once or spec.shape[0] or max(runtime.batch_range[0], 1)
    batch = np.repeat(task.network_inputs(image, np.array([[0, 0, width, height]], np.float32)), images, axis=0)
    batch = batch.astype(spec.dtype, copy=False)
    if at_once and not runtime.parts:
        for _ in range(OPENED_AT_CALL):
            runtime.infer_batch(batch)
        runtime.wait_for_streams()
        one = {spec.name: batch[: spec.shape[0] or 1]}
        return Feed(one, images, PICTURE, lambda: runtime.infer_batch(batch))
    inputs = {spec.name: batch}
    if runtime.parts:
        return Feed(inputs, images, PICTURE, lambda: task.infer(runtime, batch))
    spec.check(batch)
    return Feed(inputs, images, PICTURE, lambda: runtime.infer(inputs))


def random_inputs(runtime: Runtime, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """Draw inputs of the declared shapes and types, the same in every run; raises as `feed` does."""
    draw = np.random.default_rng(_SEED)
    names = [spec.name for spec in runtime.inputs]
    for name in shapes:
        if name not in names and (name or len(names) > 1):
            wanted = f"there is no input {name!r}" if name else "it has several inputs"
            raise EdgehrError(
                f"{runtime.path or runtime}: {wanted}: give --shape NAME=SIZES with one of {', '.join(names)}"
            )
    return {spec.name: _random(draw, _settled(runtime, spec, shapes)) for spec in runtime.inputs}


def _settled(runtime: Runtime, spec: TensorSpec, shapes: Mapping[str, tuple[int, ...]]) -> TensorSpec:
    """Give an input the sizes that were asked for; raises EdgehrError where they do not suit or some are not known."""
    asked = shapes.get(spec.name, shapes.get("", spec.shape))
    fits = len(asked) == len(spec.shape) and all(
        have is None or have == want for want, have in zip(asked, spec.shape, strict=True)
    )
    if not fits:
        raise EdgehrError(f"{runtime.path or runtime}: --shape {_written(asked)} does not suit its input {spec}")
    if None in asked:
        example = _written([size or 1 if place == 0 else size or 224 for place, size in enumerate(spec.shape)])
        name = f"{spec.name}=" if len(runtime.inputs) > 1 else ""
        raise EdgehrError(
            f"{runtime.path or runtime}: its input {spec} has sizes that the file leaves open (N): give --shape "
            f"{name}{example}, say"
        )
    return TensorSpec(spec.name, tuple(asked), spec.dtype)


def _written(shape: Any) -> str:
    return ",".join("N" if size is None else str(size) for size in shape)


def _random(draw: np.random.Generator, spec: TensorSpec) -> NDArray[Any]:
    shape = tuple(size or 0 for size in spec.shape)
    if spec.dtype.kind == "f":
        return draw.random(shape, np.float32).astype(spec.dtype)
    if spec.dtype.kind in "iu" and spec.dtype.itemsize == 1:
        limits = np.iinfo(spec.dtype)
        return draw.integers(limits.min, limits.max, shape, spec.dtype, endpoint=True)
    return draw.integers(0, 2, shape).astype(spec.dtype)  # wider integers are mostly numbers of something: few are safe
