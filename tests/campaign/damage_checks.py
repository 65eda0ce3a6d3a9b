"""Ask of each kind of file what is promised: read it as users do, and say what came of it.

Everything here runs in a child of its own. An `EdgehrError` is what a user may see; anything else that is raised is a
broken promise, and so is a result that is not the right one where that is known.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edgehr.notices import warn_once
from tests.campaign import BrokenPromiseError
from tests.campaign.stranger_checks import check_stranger

Check = Callable[[Path, Path], str]
READ, RIGHT, FOREIGN = "read", "the right answer", "opened"


def check(kind: str, given: Path, sample: Path) -> str:
    """Read a file of a kind; returns in words what came of it.

    Args:
        kind: The kind.
        given: The folder of the damaged file, with what belongs beside it.
        sample: The folder of the whole one.
    """
    if kind.startswith("stranger "):
        return check_stranger(kind.removeprefix("stranger "), given)
    return CHECKS[kind](given, sample)


def _one(folder: Path, *patterns: str) -> Path:
    return next(path for pattern in patterns for path in sorted(folder.glob(pattern)))


def _card(given: Path, sample: Path) -> str:
    from edgehr.tasks.base import Task
    from edgehr.zoo import find_card

    card = find_card(str(_one(given, "*.json")))
    json.dumps(card.to_dict())
    card.lines()
    Task.for_card(card).output_shapes()
    return READ


def _description(given: Path, sample: Path) -> str:
    from edgehr.runtimes import Artifact

    artifact = Artifact.from_json((given / "a.json").read_bytes().decode(errors="replace"))
    artifact.to_json()
    return READ


def _checkpoint(given: Path, sample: Path) -> str:
    from edgehr.models.checkpoints.loading import load_weights
    from tests.models.little_pose import Pose

    network = Pose(2)
    load_weights(network, _one(given, "a.*"))
    # Archives have checksums, which only a whole one that was damaged afterwards has not.
    return _same_weights(network) if (sample.name, given.name) == ("pth", "bytes") else READ


def _same_weights(network: Any) -> str:
    """Check that what was read of an archive with checksums is what was written."""
    import torch

    from tests.models.little_pose import STATE

    loaded = network.state_dict()
    if not all(torch.equal(loaded[name], tensor) for name, tensor in STATE.items() if "num_batches" not in name):
        raise BrokenPromiseError("other weights than were written, without a word")
    return RIGHT


def _run(runtime: Any) -> list[Any]:
    inputs = {}
    for spec in runtime.inputs:
        shape = [size if size is not None else 1 for size in spec.shape]
        if np.prod(shape, dtype=float) > 1e7:
            return []
        inputs[spec.name] = np.ones(shape, spec.dtype)
    return list(runtime.infer(inputs).values())


class _Warned(logging.Handler):
    """Notes whether edgehr said that another program has written a file."""

    said = False

    def emit(self, record: logging.LogRecord) -> None:
        self.said |= "is not the file that edgehr wrote" in record.getMessage()

    def __enter__(self) -> None:
        warn_once.cache_clear()
        logging.getLogger("edgehr.runtimes").addHandler(self)

    def __exit__(self, *error: object) -> None:
        logging.getLogger("edgehr.runtimes").removeHandler(self)


@cache
def _expected(path: Path) -> list[Any]:
    from edgehr.runtimes import load

    with load(path) as runtime:
        return _run(runtime)


def _model(given: Path, sample: Path) -> str:
    from edgehr.runtimes import load

    path, warned = _one(given, "a.tuned", "a.onnx", "a.xml", "*.tflite"), _Warned()
    with warned, load(path) as runtime:
        found, artifact = _run(runtime), runtime.artifact
    unsealed = path.suffix in (".onnx", ".xml") and not re.search(rb"(edgehr\.|whole_)sha256", path.read_bytes())
    if artifact is None or warned.said or unsealed:  # without its hash it is as one of an older edgehr
        return FOREIGN
    expected = _expected(_one(sample, "a.tuned", "a.onnx", "a.xml", "*.tflite"))
    if len(found) != len(expected) or not all(map(np.array_equal, found, expected)):
        raise BrokenPromiseError("another result than the original's, without a word")
    return RIGHT


def _foreign(given: Path, sample: Path) -> str:
    """Open it, where the trial goes before, and look at it as `inspect` does."""
    from edgehr.runtimes import load
    from edgehr.runtimes.formats import describe

    path = _one(given, "a.onnx", "a.xml", "*.tflite")
    with load(path) as runtime:
        _run(runtime)
    json.dumps(describe(path))
    return FOREIGN


def _inspected(given: Path, sample: Path) -> str:
    from edgehr.runtimes.formats import describe, format_of

    path = _one(given, "a.onnx", "a.xml", "*.tflite")
    format_of(path).coverage(path)
    json.dumps(describe(path))
    return READ


def _plan(given: Path, sample: Path) -> str:
    from edgehr.runtimes.formats import describe
    from edgehr.runtimes.tensorrt.sidecar import read_plan, read_sidecar

    sidecar = read_sidecar(given / "a.plan")
    data = read_plan(given / "a.plan", sidecar)
    if (data, sidecar) != ((sample / "a.plan").read_bytes(), read_sidecar(sample / "a.plan")):
        raise BrokenPromiseError("a plan or sidecar other than was written")
    describe(given / "a.plan")
    return RIGHT


def _bundle(given: Path, sample: Path) -> str:
    from edgehr.runtimes.tensorrt.bundle import Bundle

    found = Bundle.read(given / "a.trtbundle")
    if given.name == "bytes" and found != Bundle.read(sample / "a.trtbundle"):
        raise BrokenPromiseError("another bundle than was written, without a word")
    return RIGHT if given.name == "bytes" else READ


@cache
def _evaluator(card: str) -> Any:
    from edgehr.evaluation.base import Evaluator
    from edgehr.zoo import get_card

    return Evaluator.for_card(get_card(card))


def _samples(evaluator: Any, folder: Path, annotations: Path, detections: Path | None = None) -> str:
    warn_once.cache_clear()
    dataset = evaluator.read(annotations, folder / "images", detections)
    for image in dataset.images:
        image.read()
    len(dataset)
    return READ


def _keypoints(given: Path, sample: Path) -> str:
    return _samples(_evaluator("litehrnet-18-coco-256x192"), given, given / "a.json")


def _detections(given: Path, sample: Path) -> str:
    return _samples(_evaluator("litehrnet-18-coco-256x192"), given, given / "a.json", given / "d.json")


def _objects(given: Path, sample: Path) -> str:
    masks = _evaluator("mask-rcnn-hrnetv2p-w18-2x-coco-800x1344")
    return _samples(masks, given, given / "a.json")


def _faces(given: Path, sample: Path) -> str:
    return _samples(_evaluator("hrnetv2-w18-wflw-256x256"), given, given / "a.json")


def _labels(given: Path, sample: Path) -> str:
    return _samples(_evaluator("hrnet-w18-imagenet-224x224"), given, given / "a.txt")


def _label_images(given: Path, sample: Path) -> str:
    from edgehr.tasks.segmentation.segmentation import Segmentation

    evaluator = _evaluator("hrnetv2-w18-small-v1-person-192x192")
    dataset = evaluator.read(given / "truth", given / "images")
    spec = evaluator.card.spec
    results = []
    for image in dataset.images:
        height, width = image.read().shape[:2]
        results.append(Segmentation(np.zeros((height, width), np.uint8), spec.classes, spec.palette))
    evaluator.score(dataset, results)
    return READ


def _picture(given: Path, sample: Path) -> str:
    from edgehr.tasks.image.reading import as_bgr, read_image, read_reduced

    path = _one(given, "a.*")
    image = as_bgr(read_image(path))
    read_reduced(path)
    return READ if image.size else ""


def _video(given: Path, sample: Path) -> str:
    from edgehr.live.sources import open_source

    source = open_source(_one(given, "a.*"), listener=lambda message: None)
    try:
        for frame in source:
            if frame.number >= 30:
                break
    finally:
        source.close()
    return READ


def _journal(given: Path, sample: Path) -> str:
    from edgehr.tune.journal import Journal

    journal = Journal(given / "journal.json")
    journal.find("race", {"a": 1})
    journal.find("accuracy", {"a": [1, {"b": 2}]})
    return READ


def _cache(given: Path, sample: Path) -> str:
    import os

    from edgehr.calib.cache import cached

    os.environ["EDGEHR_CACHE"] = str(given)
    wanted = {"x": np.arange(50, dtype=np.float32), "names": np.array(["a", "b"])}
    found = cached({"a": 1}, lambda: wanted)
    if given.name == "bytes" and not all(np.array_equal(found[name], wanted[name]) for name in wanted):
        raise BrokenPromiseError("other ranges than were kept, without a word")
    return RIGHT if given.name == "bytes" else READ


def _measurement(given: Path, sample: Path) -> str:
    """Read what another machine says it has measured."""
    from edgehr.benchmark.bench import Settings
    from edgehr.benchmark.candidates import Candidate
    from edgehr.benchmark.page import page
    from edgehr.benchmark.remote import Remote
    from edgehr.benchmark.table import rows

    remote = Remote(("true",), "there")
    content = (given / "a.json").read_bytes()
    object.__setattr__(remote, "_run", lambda archive, arguments: content)
    report = remote.bench([Candidate(sample.parent / "tflite" / "a.tflite")], Settings())
    rows(report)
    page(report)
    json.dumps(report.to_dict())
    return READ


def _bench_plan(given: Path, sample: Path) -> str:
    from edgehr.benchmark.remote import read_plan

    read_plan(given / "a.json")
    return READ


def _attack(given: Path, sample: Path) -> str:
    """A checkpoint of a stranger, which may be read but must not do anything."""
    from edgehr.models.checkpoints.reading import read_checkpoint

    read_checkpoint(_one(given, "a.*"))
    return READ


CHECKS: dict[str, Check] = {
    "attack": _attack,
    **{"card": _card, "description": _description, "journal": _journal, "calibration cache": _cache},
    **{"pth": _checkpoint, "legacy pth": _checkpoint, "pickle": _checkpoint, "safetensors": _checkpoint},
    **{"onnx": _model, "ir": _model, "tflite": _model, "tuned": _model, "plan": _plan, "bundle": _bundle},
    **{"foreign onnx": _foreign, "foreign ir": _foreign, "foreign tflite": _foreign, "inspected": _inspected},
    **{"keypoints": _keypoints, "detections": _detections, "objects": _objects, "faces": _faces},
    **{"labels": _labels, "label images": _label_images, "measurement": _measurement, "bench plan": _bench_plan},
    **dict.fromkeys(("jpg", "png", "webp", "bmp", "tiff"), _picture),
    **dict.fromkeys(("mp4", "avi"), _video),
}
