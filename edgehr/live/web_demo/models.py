"""Which models the page can run, read from their artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgehr.assets import packaged_model, packaged_models
from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.live.web_demo.npm import RUNTIMES, Package
from edgehr.live.web_demo.widening import widened
from edgehr.runtimes.formats import describe, find_format
from edgehr.tasks.detection.spec import FACE, PERSON, DetectionSpec
from edgehr.tasks.segmentation.spec import LETTERBOX, SLIDE, STRETCH, SegmentationSpec
from edgehr.zoo import all_cards

DETECTOR, SEGMENTER = "detector", "segmenter"  # what a model is for in the page; the others by their task
SEGMENTATION = "segmentation"
# What a detector finds for the networks of a task.
FINDS = {"pose": PERSON, "landmarks": FACE}
TASKS = (*FINDS, SEGMENTATION)
# Of `vision/detection.js`.
DETECTORS = ("rtmdet", "yolox", "yunet")


@dataclass(frozen=True)
class PageModel:
    """Describes a model of the page.

    Attributes:
        path: The artifact.
        card: Its card.
        precision: Of its weights.
        input_shape: Of one image.
    """

    path: Path
    card: ModelCard
    precision: str
    input_shape: tuple[int, ...]

    @property
    def runtime(self) -> str:
        """Name what runs it in the page."""
        return RUNTIMES[self.path.suffix][0]

    @property
    def packages(self) -> tuple[Package, ...]:
        """List the packages that run it."""
        return RUNTIMES[self.path.suffix][1]

    @property
    def is_slow(self) -> bool:
        """Tell whether browsers take longer for it than for its float32 form: docs/research/web-demo.md."""
        return self.path.suffix == ".onnx" and self.precision == "int8"

    def content(self) -> bytes:
        """Read the file as the page is to have it."""
        data = self.path.read_bytes()
        return widened(data) if self._is_widened else data

    @property
    def _is_widened(self) -> bool:
        return self.path.suffix == ".tflite" and self.precision == "fp16"

    def entry(self, file: str, size: int) -> Mapping[str, Any]:
        """Describe it to the page, where it is in `file`, of so many bytes."""
        return {
            "file": file,
            "bytes": size,
            "precision": "fp32 from fp16" if self._is_widened else self.precision,
            "runtime": self.runtime,
            "input_shape": list(self.input_shape),
            "card": self.card.to_dict(),
        }


def packaged_suffix() -> str:
    """Choose among the forms of a model that ships: the faster one in browsers, if LiteRT is here to read it."""
    return ".tflite" if find_spec("ai_edge_litert") else ".onnx"


def read_model(name: str | Path) -> PageModel:
    """Read what a page needs to know of an artifact, or of a model that ships with edgehr.

    Raises:
        EdgehrError: There is no such file, it is damaged, or no browser runs it.
    """
    path = packaged_model(str(name), packaged_suffix()) if str(name) in packaged_models() else Path(name)
    if not path.exists() and any(card.name == str(name) for card in all_cards()):
        raise EdgehrError(
            f"{name}: does not ship with edgehr: edgehr convert {name} --to tflite makes a file to give here"
        )
    if path.suffix not in RUNTIMES and (find_format(path) is not None or path.is_file()):
        raise EdgehrError(f"{path}: browsers run .onnx and .tflite files: convert the model with --to tflite")
    about = describe(path)
    artifact = about["artifact"]
    if artifact is None:
        raise EdgehrError(f"{path}: was not converted by edgehr, so what it expects and returns is not known")
    if artifact["parts"]:
        raise EdgehrError(f"{path}: consists of several graphs, which the page does not run: choose another model")
    card = ModelCard.from_dict(artifact["card"])
    return PageModel(path, card, artifact["precision"], _input_shape(path, card, about))


def _input_shape(path: Path, card: ModelCard, about: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of one image; raises EdgehrError for what the page cannot feed."""
    for tensor in (*about["inputs"], *about["outputs"]):
        if tensor["dtype"] != "float32":
            option = {"float16": "--fp16-io", "uint8": "--labels"}.get(tensor["dtype"], "--int8-io")
            raise EdgehrError(
                f"{path}: its {tensor['name']} is {tensor['dtype']}, and the page takes float32: convert it without "
                f"{option}"
            )
    batch, *sides = about["inputs"][0]["shape"]
    dynamic = batch is None and path.suffix == ".onnx"
    if not (batch == 1 or dynamic):
        raise EdgehrError(f"{path}: takes {batch or 'any number of'} images at a time: convert it with --batch 1")
    size = (card.input.height, card.input.width)
    if tuple(sides) != ((*size, 3) if card.layout == "nhwc" else (3, *size)):
        raise EdgehrError(f"{path}: takes images of {sides}, which does not fit its card")
    return (1, *sides)


def read_models(
    model: str | Path, detector: str | Path | None = None, segmenter: str | Path | None = None
) -> dict[str, PageModel]:
    """Read the models of a page, by what each is for there.

    Raises:
        EdgehrError: One cannot be read, is for something else, or does not go with the others.
    """
    main = read_model(model)
    if main.card.task == SEGMENTATION:
        if detector is not None or segmenter is not None:
            raise EdgehrError(
                f"{model}: tells people from the background by itself: --detector and --segmenter go with others"
            )
        return {SEGMENTER: _checked_segmenter(main)}
    if main.card.task not in FINDS:
        raise EdgehrError(f"{model}: is a model for {main.card.task}; the page runs models for {', '.join(TASKS)}")
    models = {main.card.task: main}
    if detector is not None:
        models[DETECTOR] = _checked_detector(read_model(detector), FINDS[main.card.task])
    if segmenter is not None:
        models[SEGMENTER] = _checked_segmenter(read_model(segmenter))
    return models


def _checked_detector(model: PageModel, kind: str) -> PageModel:
    """Raise EdgehrError where a model does not find what the page needs found."""
    if not isinstance(model.card.spec, DetectionSpec):
        raise EdgehrError(f"{model.path}: is a model for {model.card.task}, and --detector takes a detector")
    model.card.spec.class_id(kind)
    if model.card.architecture not in DETECTORS:
        raise EdgehrError(
            f"{model.path}: the page reads detectors of {', '.join(DETECTORS)}, not of {model.card.architecture}"
        )
    return model


def _checked_segmenter(model: PageModel) -> PageModel:
    """Raise EdgehrError where a model does not tell people from the background in one look."""
    spec = model.card.spec
    if not isinstance(spec, SegmentationSpec):
        raise EdgehrError(
            f"{model.path}: is a model for {model.card.task}, and --segmenter takes one for {SEGMENTATION}"
        )
    spec.class_id(PERSON)
    if spec.fit == SLIDE:
        raise EdgehrError(
            f"{model.path}: looks at pictures in windows (fit {SLIDE} of its card), which the page does not: convert "
            f"it with a card of fit {LETTERBOX} or {STRETCH}"
        )
    return model
