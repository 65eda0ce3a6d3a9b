"""Time what live pose does beside its networks, and what the pipeline gains over doing one thing after the other.

The overhead is measured with networks that answer at once, with heatmaps made beforehand; drawing included.

    python -m benchmarks.live_pose [POSE_ARTIFACT DETECTOR_ARTIFACT VIDEO]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgehr.assets import photographs
from edgehr.live.drawing import draw_poses
from edgehr.live.predictors.pose import PoseEstimator
from edgehr.live.sinks.video import VideoSink
from edgehr.live.sources import open_source
from edgehr.live.timing import StageTimes
from edgehr.runtimes import Artifact, Runtime, TensorSpec
from edgehr.runtimes.tensors import Tensors
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.image.reading import read_image
from edgehr.zoo import DEFAULT_MODEL, get_card

WIDTH, HEIGHT, FRAMES = 1280, 720, 200
COPIES, ROUNDS = 20, 5  # copies of the given clip in one film, so that starting and ending weigh little


# Where the 17 COCO joints of a standing person are in a crop, in fractions of its width and height. They span what
# keeps the person's box, made of the keypoints of the frame before, at its size.
STANDING = np.array(
    [
        *[(0.5, 0.21), (0.53, 0.19), (0.47, 0.19), (0.55, 0.2), (0.45, 0.2), (0.6, 0.29), (0.4, 0.29), (0.64, 0.39)],
        *[(0.36, 0.39), (0.65, 0.48), (0.35, 0.48), (0.56, 0.5), (0.44, 0.5), (0.57, 0.65), (0.43, 0.65)],
        *[(0.57, 0.805), (0.43, 0.805)],
    ]
)


class Instant(Runtime):
    """A runtime that answers at once: a person stands in the middle of every crop."""

    backend = "instant"

    def __init__(self) -> None:
        card, float32 = get_card(DEFAULT_MODEL), np.dtype(np.float32)
        self._maps = np.zeros((32, 17, 64, 48), np.float32)
        for joint, (x, y) in enumerate(STANDING):
            self._maps[:, joint, round(63 * y), round(47 * x)] = 0.9
        super().__init__(
            [TensorSpec("image", (None, 3, card.input.height, card.input.width), float32)],
            [TensorSpec("heatmaps", (None, 17, 64, 48), float32)],
            artifact=Artifact(card, "fp32", ""),
        )

    def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        return {"heatmaps": self._maps[: len(inputs["image"])]}


def overhead(people: int) -> tuple[float, float, dict[str, dict[str, float]]]:
    """Measure the median milliseconds of a frame beside the networks, without drawing and with it, and the stages."""
    frame = np.asarray(cv2.resize(read_image(photographs()[0]), (WIDTH, HEIGHT)), np.uint8)
    step = WIDTH / people
    wide = min(step, 220)
    high = 2.6 * wide
    boxes = np.array([[i * step, 360 - high / 2, i * step + wide, 360 + high / 2] for i in range(people)], np.float32)
    found = Detections(boxes, np.ones(people, np.float32))
    stages = StageTimes(window_s=1e9)
    estimator = PoseEstimator(Instant(), detector=lambda image: found)
    sequence, undrawn, times = estimator.sequence(stages), [], []
    for number in range(FRAMES):
        picture = frame.copy()
        started = time.perf_counter()
        poses = sequence.step(picture, number / 30, found if number % estimator.detect_every == 0 else None)
        undrawn.append(1000 * (time.perf_counter() - started))
        with stages.measure("draw"):
            draw_poses(picture, poses)
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(undrawn)), float(np.median(times)), stages.summary()


def sequential(estimator: PoseEstimator, video: Path, out: Path) -> float:
    """Draw poses over a video, one step after the other; returns seconds."""
    sequence, source, sink = estimator.sequence(), open_source(video), VideoSink(out, 25)
    started = time.perf_counter()
    for frame in source:
        looks = frame.number % estimator.detect_every == 0 and estimator.detector is not None
        found = estimator.detector(frame.image) if looks and estimator.detector else None
        draw_poses(frame.image, sequence.step(frame.image, frame.number / 25, found))
        sink.write(frame)
    sink.close()
    return time.perf_counter() - started


def streaming(estimator: PoseEstimator, video: Path, out: Path) -> float:
    """Draw poses over a video through the pipeline; returns seconds."""
    sink = VideoSink(out, 25)
    started = time.perf_counter()
    for poses in estimator.stream(video):
        draw_poses(poses.frame.image, poses)
        sink.write(poses.frame)
    sink.close()
    return time.perf_counter() - started


def repeated(video: Path, folder: Path) -> Path:
    """Write a clip many times over to one file."""
    frames = [frame.image for frame in open_source(video)]
    path = folder / "repeated.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, frames[0].shape[1::-1])
    for _ in range(COPIES):
        for image in frames:
            writer.write(image)
    writer.release()
    return path


def main() -> None:
    single, ten = overhead(1), overhead(10)
    print(f"\nlive pose, {WIDTH}x{HEIGHT}, beside the networks")
    for people, (undrawn, drawn, stages) in ((1, single), (10, ten)):
        listed = ", ".join(f"{stage} {times['p50']:.2f}" for stage, times in stages.items())
        print(f"  {people:2} people  {undrawn:6.2f} ms a frame, drawn {drawn:6.2f} ms   ({listed})")
    undrawn, drawn = ((many - one) / 9 for many, one in zip(ten[:2], single[:2], strict=True))
    print(f"  each further person {undrawn:.2f} ms, drawn {drawn:.2f} ms")
    if len(sys.argv) == 4:
        for threads in (1, 2):
            compare_forms(*sys.argv[1:], threads)


def compare_forms(pose: str, detector: str, video: str, threads: int) -> None:
    """Time both forms in turns on a clip, with networks of that many threads each."""
    with tempfile.TemporaryDirectory() as folder, PoseEstimator(pose, detector=detector, threads=threads) as estimator:
        film, out = repeated(Path(video), Path(folder)), Path(folder, "out.mp4")
        pairs = [(sequential(estimator, film, out), streaming(estimator, film, out)) for _ in range(ROUNDS)]
    ratio = np.median([stream / plain for plain, stream in pairs])
    listed = ", ".join(f"{stream:.2f}/{plain:.2f} s" for plain, stream in pairs)
    print(f"  {threads} threads a network: streaming takes {ratio:.2f} of the sequential loop's time ({listed})")


if __name__ == "__main__":
    main()
