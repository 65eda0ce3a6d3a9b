"""Time live pose of several people while other processes keep cores busy: one after the other, and side by side.

    python -m benchmarks.busy [ARTIFACT...] [--people 6] [--load 0 1 2] [--rounds 20]

Each artifact, by default the packaged pose model on every runtime that is installed, estimates the poses in the same
boxes of a picture, in turns: the first way has its streams shut. Figures are medians and the slowest tenth of
milliseconds a person, and the median ratio of pairs. With `--stream`, whole frames of the live pipeline, the packaged
detector beside it, are counted instead.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import edgehr
from edgehr.assets import group_picture, packaged_model
from edgehr.benchmark.busy import busy_processes
from edgehr.live.sources import Frame, Source
from edgehr.runtimes import Runtime, load
from edgehr.runtimes.streams import OPENED_AT_CALL
from edgehr.tasks.image.reading import read_image
from edgehr.zoo import DEFAULT_DETECTOR, DEFAULT_MODEL

FRAMES = 40


def packaged() -> list[Runtime]:
    """Open the packaged pose model on every runtime."""
    from edgehr.runtimes.onnx.runtime import OnnxRuntime
    from edgehr.runtimes.openvino.runtime import OpenVINORuntime
    from edgehr.runtimes.tflite.runtime import TFLiteRuntime

    kinds = {OpenVINORuntime: ".onnx", OnnxRuntime: ".onnx", TFLiteRuntime: ".tflite"}
    return [kind(packaged_model(DEFAULT_MODEL, suffix)) for kind, suffix in kinds.items()]


def shut(runtime: Runtime, *, closed: bool) -> None:
    """Keep a runtime from its streams, or let it have them."""
    runtime._streams._calls = -sys.maxsize if closed else OPENED_AT_CALL
    runtime._streams._whole_s = 0.0 if closed else 1e9


def measure(runtimes: Sequence[Runtime], people: int, rounds: int) -> None:
    image = read_image(group_picture())
    height, width = image.shape[:2]
    boxes = np.tile(np.array([[0, 0, width / 3, height]], np.float32), (people, 1))
    for runtime in runtimes:
        task = edgehr.Task.for_card(runtime.card)
        batch, _ = task.preprocess(image, boxes)
        times: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(rounds):
            for closed in times:
                shut(runtime, closed=closed)
                started = time.perf_counter()
                runtime.infer_batch(batch)
                times[closed].append(1000 * (time.perf_counter() - started) / people)
        in_turn, side_by_side = (np.array(times[closed]) for closed in (True, False))
        shown = [f"{np.median(each):6.1f} ({np.percentile(each, 90):5.1f})" for each in (in_turn, side_by_side)]
        print(f"  {runtime!r:60} {shown[0]}   {shown[1]}   x{np.median(side_by_side / in_turn):.2f}", flush=True)


class Repeated(Source):
    """One picture, again and again, as a film."""

    kind = "video"
    fps = 25.0

    def __init__(self, frames: int) -> None:
        self._image, self._frames = read_image(group_picture()), frames

    def __iter__(self) -> Iterator[Frame]:
        for number in range(self._frames):
            yield Frame("group", self._image.copy(), number)


def measure_frames(runtimes: Sequence[Runtime], rounds: int) -> None:
    """Count frames a second of the live pipeline."""
    for runtime in runtimes:
        with edgehr.PoseEstimator(runtime, detector=DEFAULT_DETECTOR) as estimator:
            rates: dict[bool, list[float]] = {True: [], False: []}
            for _ in range(rounds):
                for closed in rates:
                    shut(runtime, closed=closed)
                    started = time.perf_counter()
                    found = sum(len(poses) for poses in estimator.stream(Repeated(FRAMES)))
                    rates[closed].append(FRAMES / (time.perf_counter() - started))
            in_turn, side_by_side = (float(np.median(rates[closed])) for closed in (True, False))
            print(
                f"  {runtime!r:60} {in_turn:5.1f} {side_by_side:5.1f} frames/s   x{side_by_side / in_turn:.2f}   "
                f"({found / FRAMES:.1f} people)",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(prog="busy", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("artifacts", nargs="*", type=Path)
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--load", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--stream", action="store_true", help="whole frames of the live pipeline")
    args = parser.parse_args()
    runtimes = [load(path) for path in args.artifacts] or packaged()
    for runtime in runtimes:
        spec = runtime.inputs[0]
        crops = np.zeros((2, *(size or 1 for size in spec.shape[1:])), np.float32)
        for _ in range(OPENED_AT_CALL):
            runtime.infer_batch(crops)
        if runtime._streams._opening is not None:
            runtime._streams._opening.join()
    for load_count in args.load:
        print(f"\n{load_count} busy processes: one after the other, side by side")
        with busy_processes(load_count):
            if args.stream:
                measure_frames(runtimes, args.rounds)
            else:
                measure(runtimes, args.people, args.rounds)


if __name__ == "__main__":
    main()
