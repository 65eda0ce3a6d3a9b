"""Compare the person segmenter in every format with the ONNX file of its weights, and with its INT8 by others.

    python -m benchmarks.person_segmenter [--shared ../shared] [--out out/person-segmenter]

Masks are compared on the annotated people of val2017, each cut out with a margin; INT8 is calibrated on people of
train2017. Inferences are timed in turns, one crop at a time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.benchmark.state import machine
from edgehr.benchmark.timing import interleaved
from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.converters.convert import convert
from edgehr.converters.target import make_target
from edgehr.evaluation.annotations import Annotations
from edgehr.files import atomic_write
from edgehr.runtimes import load
from edgehr.runtimes.formats import format_of
from edgehr.runtimes.tensorrt.bundle import Bundle
from edgehr.tasks.base import Task
from edgehr.zoo import DEFAULT_SEGMENTER, find_weights, get_card

ROOT = Path(__file__).parent.parent
CARD = get_card(DEFAULT_SEGMENTER)
MARGIN = 0.1
THREADS = 2
FORMATS = {"onnx": ("ONNX Runtime", ".onnx"), "openvino": ("OpenVINO", ".xml"), "tflite": ("LiteRT", ".tflite")}
OTHERS = {
    "reference ONNX, ONNX Runtime": "pphumanseg_192_fp32.onnx",
    "OpenCV Zoo's INT8, ONNX Runtime": "pphumanseg_192_opencv_zoo_int8.onnx",
}


def main() -> int:
    """Convert what is missing and print the table; returns the exit status."""
    parser = argparse.ArgumentParser(prog="person_segmenter")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder of data/ and segmentation/")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "person-segmenter", help="where artifacts are kept")
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    batch = _people(args.shared / "data" / "coco-val2017-people" / "person_keypoints.json")
    print(f"{len(batch)} crops, {machine()}, {THREADS} threads", file=sys.stderr)
    calls: dict[str, Callable[[NDArray[np.float32]], NDArray[np.bool_]]] = {}
    facts: dict[str, tuple[float, float]] = {}
    for label, name in OTHERS.items():
        path = args.shared / "segmentation" / name
        calls[label], facts[label] = _of_others(path), (path.stat().st_size / 1e6, float("nan"))
    calibration = CalibrationSet.of(args.shared / "data" / "coco-train2017-people" / "person_keypoints.json")
    for target in (*FORMATS, "trt-bundle"):
        for precision in ("fp32", "fp16", "int8") if target in FORMATS else ("int8",):
            path = _artifact(target, precision, args.out, calibration)
            label = (
                f"{FORMATS[target][0] if target in FORMATS else 'Q/DQ graph for TensorRT, ONNX Runtime'} {precision}"
            )
            calls[label] = _of_ours(path)
            coverage = format_of(path).coverage(path)
            share = coverage.int8_share if coverage and precision == "int8" else float("nan")
            facts[label] = sum(file.stat().st_size for file in format_of(path).files(path)) / 1e6, share
    masks = {label: np.concatenate([call(crop[None]) for crop in batch]) for label, call in calls.items()}
    times = interleaved(
        {label: lambda call=call: call(batch[:1]) for label, call in calls.items()}, args.rounds, 5, 0.02
    )
    print("| file | IoU with the reference | IoU with its float32 | mean of crops | in INT8 | MB | ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for label, found in masks.items():
        own = next((each for each in masks if each == f"{label.rsplit(' ', 1)[0]} fp32"), "ONNX Runtime fp32")
        size, share = facts[label]
        columns = [_iou(masks[next(iter(OTHERS))], found), _iou(masks[own], found), _mean_iou(masks[own], found)]
        shown = [f"{value:.4f}" for value in columns]
        shown += ["" if np.isnan(share) else f"{share:.1%}", f"{size:.2f}", f"{np.median(times[label]):.1f}"]
        print("|", " | ".join([label, *shown]), "|")
    return 0


def _people(annotations: Path) -> NDArray[np.float32]:
    """Cut the annotated people out, with a margin, as inputs of the network."""
    task, found = Task.for_card(CARD), []
    truth = Annotations.read(annotations)
    for image in truth.ground_truth(truth.images_beside):
        sides = image.boxes[:, 2:] - image.boxes[:, :2]
        grown = image.boxes + MARGIN * np.concatenate([-sides, sides], axis=1)
        found.append(task.network_inputs(image.read(), grown[sides.min(axis=1) >= 8]))
    return np.concatenate(found)


def _artifact(target: str, precision: str, folder: Path, calibration: CalibrationSet) -> Path:
    """Convert, unless that was done before; a bundle gives its graph."""
    made = make_target(target, precision=precision, calibration=calibration if precision == "int8" else None)
    path = folder / f"{target}-{precision}{made.suffix}"
    if not path.is_file():
        convert(CARD, find_weights(CARD), made, out=path)
    if target in FORMATS:
        return path
    graph = path.with_suffix(".onnx")
    with atomic_write(graph) as (temporary,):
        temporary.write_bytes(Bundle.read(path).onnx)
    return graph


def _of_ours(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.bool_]]:
    runtime = load(path, threads=THREADS)
    entry, task = runtime.inputs[0], Task.for_card(runtime.require_artifact().card)
    channels_last = runtime.require_artifact().card.layout == "nhwc"

    def person(batch: NDArray[np.float32]) -> NDArray[np.bool_]:
        fed = np.ascontiguousarray(batch.transpose(0, 2, 3, 1)) if channels_last else batch
        outputs = runtime.infer({entry.name: fed.astype(entry.dtype)})
        _, whole = task.preprocess(np.zeros((CARD.input.height, CARD.input.width, 3), np.uint8))
        mask: NDArray[np.bool_] = task.postprocess(outputs, whole).mask("person")
        return mask[None]

    return person


def _of_others(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.bool_]]:
    import onnxruntime as ort

    options: Any = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def person(batch: NDArray[np.float32]) -> NDArray[np.bool_]:
        (found,) = session.run(None, {name: batch})
        return np.asarray(found[:, 1] > found[:, 0])

    return person


def _iou(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    """Compute the IoU over all crops together, as for data sets: an empty mask of a tiny crop then weighs nothing."""
    return float((one & two).sum() / max((one | two).sum(), 1))


def _mean_iou(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    """Compute the mean IoU of masks, crop by crop; two empty ones agree."""
    both, either = (one & two).sum(axis=(1, 2)), (one | two).sum(axis=(1, 2))
    return float(np.where(either, both / np.maximum(either, 1), 1.0).mean())


if __name__ == "__main__":
    sys.exit(main())
