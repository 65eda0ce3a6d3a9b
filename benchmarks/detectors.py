"""Compare the artifacts of a detector on HRNetV2p with PyTorch, and time each of its stages.

    python -m benchmarks.detectors agreement WEIGHTS FILE... --images DIR
    python -m benchmarks.detectors speed FILE... --images DIR
    python -m benchmarks.detectors pooling

`agreement` takes the share of detections, of both sides, that the other has too: of the same class, with boxes that
overlap by 0.99 and scores that differ by 0.001, and the same with 0.9 and 0.1. `speed` times artifacts in turns, and
`pooling` the features of 300 regions, in NumPy and by ONNX Runtime's own operator.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from benchmarks.peak_memory import open_float32
from edgehr.benchmark.fresh import peak_mib
from edgehr.benchmark.state import machine
from edgehr.models.runtime import TorchRuntime
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.formats import format_of, part_files
from edgehr.runtimes.onnx.library import ort
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.task import DetectionTask
from edgehr.tasks.detection.two_stage import decoder
from edgehr.tasks.detection.two_stage.roi_align import pool_regions, roi_align
from edgehr.tasks.image.boxes import overlaps
from edgehr.tasks.image.reading import image_files, read_image

THREADS = 2
PICTURES = 10
STRICT, LOOSE = (0.99, 1e-3), (0.9, 0.1)  # least intersection over union, largest difference of scores
STEPS = {"propose": "proposals", "pool_regions": "RoIAlign", "choose_detections": "detections", "paste": "masks pasted"}
Image = NDArray[np.uint8]


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="detectors")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("agreement")
    command.add_argument("weights", type=Path)
    command.add_argument("files", type=Path, nargs="+")
    command.add_argument("--images", type=Path, required=True)
    command.add_argument("--threshold", type=float, default=0.05)
    command.add_argument("--same-proposals", action="store_true", help="let heads look at the regions of PyTorch")
    command.set_defaults(run=agreement)
    command = commands.add_parser("speed")
    command.add_argument("files", type=Path, nargs="+")
    command.add_argument("--images", type=Path, required=True)
    command.add_argument("--threshold", type=float, default=0.3)
    command.add_argument("--rounds", type=int, default=5)
    command.set_defaults(run=speed)
    command = commands.add_parser("pooling")
    command.set_defaults(run=pooling)
    command = commands.add_parser("peak")
    command.add_argument("files", type=Path, nargs=1)
    command.add_argument("--images", type=Path, required=True)
    command.add_argument("--threshold", type=float, default=0.3)
    command.set_defaults(run=peak_memory)
    args = parser.parse_args()
    print(f"{machine()}, {THREADS} threads", file=sys.stderr)
    args.run(args)


def agreement(args: argparse.Namespace) -> None:
    """Print how much of what PyTorch and each artifact find is the same."""
    pictures = read_pictures(args.images)
    with open_float32(args.files[0], THREADS) as runtime:
        card = runtime.card
    with TorchRuntime(card, args.weights, THREADS) as reference:
        task = DetectionTask(reference.card, args.threshold)
        with proposals_from(None) as proposed:
            wanted = [task.predict(reference, picture) for picture in pictures]
    print(f"PyTorch finds {sum(map(len, wanted))} objects in {len(pictures)} pictures")
    for path in args.files:
        given = proposed if args.same_proposals else None
        with open_float32(path, THREADS) as runtime, proposals_from(given) as own:
            found = [DetectionTask(runtime.card, args.threshold).predict(runtime, picture) for picture in pictures]
            parts = {name: vars(part) for name, part in runtime.require_artifact().parts.items()}
        files = [path, *part_files(path, parts).values()]
        size = sum(file.stat().st_size for main in files for file in format_of(main).files(main))
        shares = [shared(found, wanted, *limits) for limits in (STRICT, LOOSE)]
        alike = [
            (overlaps(one, other) >= STRICT[0]).any(axis=0).mean() for one, other in zip(own, proposed, strict=False)
        ]
        regions = f"{np.mean(alike):7.2%} of the regions proposed" if alike else ""
        print(f"{path.name:<60} {shares[0]:7.2%} {shares[1]:7.2%} {size / 1e6:7.1f} MB {regions}", flush=True)


@contextmanager
def proposals_from(given: list[Any] | None) -> Iterator[list[Any]]:
    """Keep what is proposed, picture by picture; with `given`, those regions go to the heads in place of a model's."""
    own: list[Any] = []
    original = decoder.propose

    def propose(*arguments: Any) -> Any:
        boxes, scores = original(*arguments)
        own.append(boxes)
        return (boxes if given is None else given[len(own) - 1]), scores

    decoder.propose = propose
    try:
        yield own
    finally:
        decoder.propose = original


def shared(found: list[Detections], wanted: list[Detections], least: float, most: float) -> float:
    """Give the share of detections of both sides that the other side has too."""
    matched = total = 0
    for one, other in zip(found, wanted, strict=True):
        same = (one.class_ids[:, None] == other.class_ids) & (overlaps(one.boxes, other.boxes) >= least)
        same &= np.abs(one.scores[:, None] - other.scores) <= most
        matched += int(same.any(axis=0).sum() + same.any(axis=1).sum())
        total += len(one) + len(other)
    return matched / total if total else float("nan")


def speed(args: argparse.Namespace) -> None:
    """Print the time of each stage of each artifact, the median over pictures and rounds, and its peak memory."""
    pictures = read_pictures(args.images)
    opened = [(path, open_float32(path, THREADS)) for path in args.files]
    times: dict[Path, list[dict[str, float]]] = defaultdict(list)
    for _ in range(args.rounds):
        for picture in pictures:
            for path, runtime in opened:
                times[path].append(time_stages(runtime, picture, args.threshold))
    for path, _ in opened:
        stages = {stage: float(np.median([each.get(stage, 0.0) for each in times[path]])) for stage in times[path][0]}
        whole = stages.pop("all")
        shares = ", ".join(f"{stage} {1e3 * seconds:.1f} ({seconds / whole:.0%})" for stage, seconds in stages.items())
        command = [sys.executable, "-m", "benchmarks.detectors", "peak", str(path), "--images", str(args.images)]
        memory = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        print(f"{path.name}: {1e3 * whole:.1f} ms, {memory} MiB at most; {shares}", flush=True)


def time_stages(runtime: Runtime, picture: Image, threshold: float) -> dict[str, float]:
    """Time each stage of a detector on a picture, in seconds, and all of it."""
    spent: dict[str, float] = defaultdict(float)

    def timed(stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*inputs: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*inputs, **options)
            finally:
                spent[stage] += time.perf_counter() - started

        return run

    task = DetectionTask(runtime.card, threshold)
    with replaced(decoder, {name: timed(stage, getattr(decoder, name)) for name, stage in STEPS.items()}):
        graphs: dict[str, Any] = {"main graph": runtime, **runtime.parts}
        for name, graph in graphs.items():
            graph.infer = timed(name, type(graph).infer.__get__(graph))
        started = time.perf_counter()
        batch, context = timed("preprocessing", task.preprocess)(picture)
        outputs = runtime.infer_batch(batch)
        task.decoder.detect(outputs, context, task.threshold, task.nms, task.class_ids, runtime.parts)
        spent["all"] = time.perf_counter() - started
        for graph in graphs.values():
            del graph.infer
    return dict(spent)


@contextmanager
def replaced(module: Any, values: dict[str, Any]) -> Iterator[None]:
    """Give names of a module other values for a while."""
    before = {name: getattr(module, name) for name in values}
    vars(module).update(values)
    try:
        yield
    finally:
        vars(module).update(before)


def pooling(args: argparse.Namespace) -> None:
    """Print how long the features of 300 regions take."""
    random = np.random.default_rng(0)
    corners = random.uniform(0, (1000, 600), (300, 2))
    sides = np.exp(random.uniform(np.log(16), np.log(500), (300, 2)))
    boxes = np.clip(np.concatenate([corners, corners + sides], 1), 0, (1344, 800, 1344, 800)).astype(np.float32)
    strides = (4, 8, 16, 32)
    pyramid = [random.standard_normal((800 // stride, 1344 // stride, 256)).astype(np.float32) for stride in strides]
    for size in (7, 14):
        took = median(pool_regions, pyramid, strides, boxes, size)
        print(f"NumPy, 300 regions of 256 channels to {size}x{size}: {took}")
    finest = pyramid[0]
    entries = [("map", (1, 256, *finest.shape[:2])), ("rois", (300, 4))]
    graph = helper.make_graph(
        [
            helper.make_node(
                "RoiAlign", ["map", "rois", "pictures"], ["pooled"], output_height=7, output_width=7, sampling_ratio=0,
                spatial_scale=0.25, coordinate_transformation_mode="half_pixel",
            )
        ],
        "pooling",
        [
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in entries),
            helper.make_tensor_value_info("pictures", TensorProto.INT64, (300,)),
        ],
        [helper.make_tensor_value_info("pooled", TensorProto.FLOAT, (300, 256, 7, 7))],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"map": finest.transpose(2, 0, 1)[None].copy(), "rois": boxes, "pictures": np.zeros(300, np.int64)}
    print(f"the finest level alone, ONNX Runtime's RoiAlign: {median(session.run, None, feed)}")
    print(f"the finest level alone, NumPy: {median(roi_align, finest, boxes, 0.25, 7)}")
    (theirs,) = session.run(None, feed)
    print(f"largest difference: {np.abs(theirs.transpose(0, 2, 3, 1) - roi_align(finest, boxes, 0.25, 7)).max():.1e}")


def median(call: Callable[..., Any], *inputs: Any, rounds: int = 7) -> str:
    """Time a call, in words."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        call(*inputs)
        seconds.append(time.perf_counter() - started)
    return f"{1e3 * float(np.median(seconds)):.1f} ms (least {1e3 * min(seconds):.1f})"


def peak_memory(args: argparse.Namespace) -> None:
    """Print the peak memory of a process that finds objects in the pictures, MiB."""
    with open_float32(args.files[0], THREADS) as runtime:
        task = DetectionTask(runtime.card, args.threshold)
        for picture in read_pictures(args.images):
            task.predict(runtime, picture)
    print(f"{peak_mib() or 0:.0f}")


def read_pictures(folder: Path) -> list[Image]:
    """Read the first ten pictures of a folder by name."""
    return [read_image(path) for path in islice(image_files(folder), PICTURES)]


if __name__ == "__main__":
    main()
