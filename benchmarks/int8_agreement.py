"""Compare INT8 of a classifier and of a network for face landmarks with their own float32, in every format.

    python -m benchmarks.int8_agreement [classification landmarks] [--formats onnx tflite] [--crops 300]
                                        [--shared ../shared] [--out out/int8-agreement]

The weights are those of the golden files: reference weights that are drawn from the names of their keys. Nothing was
trained, so the classes and points mean nothing. That INT8 finds the same ones still shows how it rounds; it is harder
than with trained weights, where the best class and the peak of a heatmap stand out.

Calibrated on people of COCO train2017, compared on 100 pictures, or people, of val2017.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgehr.calib.dataset.calibration_set import MAX_CROPS, CalibrationSet
from edgehr.calib.dataset.held_out import refuse_held_out
from edgehr.card import ModelCard
from edgehr.converters.conversion_report import Stage
from edgehr.converters.convert import convert
from edgehr.converters.target import make_target
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import Annotations
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.dataset import ImageSample
from edgehr.files import atomic_write
from edgehr.runtimes import load
from edgehr.runtimes.formats import format_of
from edgehr.runtimes.tensorrt.bundle import Bundle
from edgehr.tasks.base import Task
from edgehr.tasks.landmarks.landmarks import Landmarks
from edgehr.zoo import get_card
from tests import golden_files
from tests.made_once import KeptExports, Store

ROOT = Path(__file__).parent.parent
CALIBRATION, HELD_OUT = "coco-train2017-people", "coco-val2017-people"
ANNOTATIONS = "person_keypoints.json"
SAMPLES = 100
# Task -> the card whose network it is, and the golden file that has its weights.
NETWORKS = {
    "classification": ("hrnet-w18-cutmix-official-imagenet-224x224", "hrnet_w18_cls_official"),
    "landmarks": ("hrnetv2-w18-official-wflw-256x256", "hrnetv2_w18_face_official"),
}
# Target of INT8 -> what the table calls it, and the target of the float32 that it is compared with.
FORMATS = {
    "onnx": ("ONNX", "onnx"),
    "openvino": ("OpenVINO", "openvino"),
    "tflite": ("TFLite", "tflite"),
    "trt-bundle": ("TensorRT's graph", "onnx"),
}
NEAR = 0.01  # of the box's longer side, by which a point may move and still be called near


@dataclass(frozen=True)
class Found:
    """What a model makes of the samples: its outputs (N, ...), and the task's results."""

    outputs: NDArray[np.float32]
    results: list[Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert what is missing and print a table for each task; returns the exit status."""
    parser = argparse.ArgumentParser(prog="int8_agreement")
    parser.add_argument("tasks", nargs="*", help=f"by default {' and '.join(NETWORKS)}")
    parser.add_argument("--formats", nargs="+", choices=list(FORMATS), default=list(FORMATS))
    parser.add_argument("--crops", type=int, default=MAX_CROPS, help="calibration crops to choose")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder of data/")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "int8-agreement", help="where artifacts are kept")
    args = parser.parse_args(arguments)
    try:
        for task in args.tasks or NETWORKS:
            if task not in NETWORKS:
                raise EdgehrError(f"{task} is none of {', '.join(NETWORKS)}")
            calibration = _calibration(task, args.shared / "data", args.crops)
            artifacts = _convert_all(task, args.formats, calibration, args.out / f"{task}-{args.crops}")
            print(f"{task}, calibrated on {calibration}\n\n{_table(task, args.shared / 'data', artifacts)}", flush=True)
    except EdgehrError as error:
        print(f"int8_agreement: {error}", file=sys.stderr)
        return 1
    return 0


def _table(task: str, data: Path, artifacts: Mapping[tuple[str, str], Path]) -> str:
    """Compare each INT8 artifact with the float32 one."""
    card = get_card(NETWORKS[task][0])
    samples = _samples(data / HELD_OUT / ANNOTATIONS, boxes=Task.for_card(card).takes_boxes)
    floats: dict[str, Found] = {}
    rows = []
    for target in (target for target, precision in artifacts if precision == "int8"):
        label, reference = FORMATS[target]
        if reference not in floats:
            floats[reference] = _run(artifacts[reference, "fp32"], samples)
        path = artifacts[target, "int8"]
        figures = _figures(card, samples, floats[reference], _run(path, samples))
        coverage = format_of(path).coverage(path)
        figures["in INT8"] = f"{coverage.int8_share:.1%}" if coverage else ""
        files = {"fp32": artifacts[reference, "fp32"], "fp16": artifacts[reference, "fp16"], "INT8": path}
        rows.append({"format": label, **figures, **{f"{name}, MB": _megabytes(file) for name, file in files.items()}})
    lines = [f"| {' | '.join(rows[0])} |", f"| {' | '.join(['---'] * len(rows[0]))} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row.values())} |" for row in rows), ""])


def _samples(annotations: Path, *, boxes: bool) -> list[ImageSample]:
    """List pictures, or people, as samples of one box each."""
    truth = Annotations.read(annotations)
    images = truth.ground_truth(truth.images_beside)
    if not boxes:
        return [replace(image, boxes=image.boxes[:0]) for image in images[:SAMPLES]]
    return [image[number : number + 1] for image in images for number in range(len(image.boxes))][:SAMPLES]


def _calibration(task: str, data: Path, crops: int) -> CalibrationSet:
    """Choose people, or whole pictures for a task that takes no boxes."""
    people = data / CALIBRATION / ANNOTATIONS
    takes_boxes = Task.for_card(get_card(NETWORKS[task][0])).takes_boxes
    calibration = CalibrationSet.of(people if takes_boxes else people.parent / "images", max_crops=crops)
    refuse_held_out(calibration, data / HELD_OUT / ANNOTATIONS)
    return calibration


def _convert_all(
    task: str, formats: Sequence[str], calibration: CalibrationSet, folder: Path
) -> dict[tuple[str, str], Path]:
    """Convert what is not there, and return all files by target and precision; a bundle gives its graph."""
    folder.mkdir(parents=True, exist_ok=True)
    name, golden = NETWORKS[task]
    wanted = [(FORMATS[target][1], precision) for target in formats for precision in ("fp32", "fp16")]
    wanted += [(target, "int8") for target in formats]
    found = {}
    with TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        KeptExports(Store(Path(temporary))).take_over(patch)  # formats share them
        path = golden_files.FOLDER / f"{golden}.npz"
        weights = golden_files.save_tensors(path, golden_files.load(path)[0], Path(temporary))
        for target, precision in dict.fromkeys(wanted):
            options: dict[str, Any] = {"calibration": calibration} if precision == "int8" else {}
            made = make_target(target, precision=precision, **options)
            out = folder / f"{target}-{precision}{made.suffix}"
            if not out.is_file():
                print(f"{name}: {target} {precision} ...", file=sys.stderr, flush=True)
                convert(get_card(name), weights, made, out=out, listener=_tell)
            found[target, precision] = _graph(out) if target == "trt-bundle" else out
    return found


def _tell(name: str, stage: Stage | None) -> None:
    if stage is not None and stage.seconds > 1:
        print(f"  {name}: {stage.seconds:.0f} s, {stage.detail}", file=sys.stderr, flush=True)


def _graph(bundle: Path) -> Path:
    path = bundle.with_suffix(".onnx")
    with atomic_write(path) as (temporary,):
        temporary.write_bytes(Bundle.read(bundle).onnx)
    return path


def _run(path: Path, samples: Sequence[ImageSample]) -> Found:
    outputs, results = [], []
    with load(path) as runtime:
        task = Evaluator.for_card(runtime.require_artifact().card).task
        for sample in samples:
            batch, context = task.preprocess(sample.read(), sample.boxes if task.takes_boxes else None)
            raw = task.infer(runtime, batch)
            outputs.append(raw[task.card.outputs[0].name])
            results.append(task.postprocess(raw, context))
    return Found(np.concatenate(outputs).astype(np.float32), results)


def _figures(card: ModelCard, samples: Sequence[ImageSample], one: Found, two: Found) -> dict[str, str]:
    """Compare what two models found, in the words of their task.

    Networks that were never trained return much the same for all pictures. Correlation is therefore that of the
    differences from float32's mean over the samples, and so is the second top-1 ("centered"), as if the last layer had
    another bias: all classes compete. The table says how far results differ from sample to sample.
    """
    agreement = Evaluator.for_card(card).agreement(samples, one.results, two.results)
    first, second = (each - one.outputs.mean(axis=0) for each in (one.outputs, two.outputs))
    correlation = f"{np.corrcoef(first.ravel(), second.ravel())[0, 1]:.4f}"
    if not isinstance(one.results[0], Landmarks):
        best = first.argmax(axis=1)
        return {
            "same top-1": f"{agreement.similarity:.1%}",
            "classes": f"{len({result.best.class_id for result in one.results})}",
            "same top-1, centered": f"{(best == second.argmax(axis=1)).mean():.1%}",
            "classes, centered": f"{len(set(best.tolist()))}",
            "correlation": correlation,
        }
    places = [
        [(each.points[0] - each.boxes[0, :2]) / (each.boxes[0, 2:] - each.boxes[0, :2]).max() for each in found.results]
        for found in (one, two)
    ]
    distances = np.linalg.norm(np.subtract(*places), axis=2)
    spread = np.linalg.norm(places[0] - np.mean(places[0], axis=0), axis=2)
    return {
        # By the card's normalizer, and by the box: where nothing was trained, heatmaps of the eyes may be empty.
        "NME": "-" if np.isnan(agreement.similarity) else f"{1 - agreement.similarity:.2%}",
        "NME by the box": f"{distances.mean():.2%}",
        "moved, median": f"{np.median(distances):.2%}",
        f"within {NEAR:.0%}": f"{(distances <= NEAR).mean():.1%}",
        "spread": f"{spread.mean():.1%}",
        "correlation": correlation,
    }


def _megabytes(path: Path) -> str:
    return f"{sum(file.stat().st_size for file in format_of(path).files(path)) / 1e6:.1f}"


if __name__ == "__main__":
    sys.exit(main())
