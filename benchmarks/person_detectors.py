"""Compare person detectors on the same pictures: recall by size, precision, and time.

A person is found where a box of an overlap (intersection over union) of 0.5 or more is left for them, boxes taken in
the order of their scores. Sizes are COCO's, of the box: medium from 32 x 32 pixels, large from 96 x 96.

    python -m benchmarks.person_detectors ANNOTATIONS IMAGES DETECTOR...
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.benchmark.timing import interleaved
from edgehr.evaluation.annotations import Annotations
from edgehr.live.predictors.detectors import PersonDetector
from edgehr.tasks.image.boxes import overlaps
from edgehr.tasks.image.reading import read_image

IOU = 0.5
LEAST = 0.05  # score of a box that is looked at
THRESHOLDS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6)
SIZES = {"medium": (32**2, 96**2), "large": (96**2, np.inf)}
TIMED, ROUNDS = 10, 20


@dataclass(frozen=True)
class Found:
    """Holds what a detector found in all pictures: scores of boxes, which fit a person, and each person's score."""

    scores: NDArray[Any]
    right: NDArray[Any]
    people: NDArray[Any]

    def precision(self, threshold: float) -> float:
        return float(self.right[self.scores >= threshold].mean())

    def recall(self, threshold: float, chosen: NDArray[Any]) -> float:
        return float((self.people[chosen] >= threshold).mean())


def match(detector: PersonDetector, images: list[Any], truth: list[NDArray[Any]]) -> Found:
    scores, right, people = [], [], []
    for image, boxes in zip(images, truth, strict=True):
        detections, taken = detector(image), np.zeros(len(boxes))
        for box, score in zip(detections.boxes, detections.scores, strict=True):
            shared = overlaps(box[None], boxes)[0] * (taken == 0)
            fits = shared.max(initial=0) >= IOU
            if fits:
                taken[shared.argmax()] = score
            scores.append(score)
            right.append(fits)
        people.append(taken)
    return Found(np.array(scores), np.array(right), np.concatenate(people))


def main() -> None:
    annotations, folder, *files = sys.argv[1:]
    data = Annotations.read(Path(annotations)).data
    images = [read_image(Path(folder, entry["file_name"])) for entry in data["images"]]
    corners = [
        np.array([entry["bbox"] for entry in data["annotations"] if entry["image_id"] == image["id"]], np.float32)
        for image in data["images"]
    ]
    truth = [np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1) for boxes in corners]
    areas = np.concatenate([boxes[:, 2] * boxes[:, 3] for boxes in corners])
    print(f"{len(images)} pictures, {len(areas)} people")
    for file in files:
        with PersonDetector(file, threshold=LEAST) as detector:
            found = match(detector, images, truth)
        print(f"\n{Path(file).name}\nTHRESHOLD  PRECISION  RECALL" + "".join(f"  {name.upper():>6}" for name in SIZES))
        for threshold in THRESHOLDS:
            of_size = [found.recall(threshold, (areas >= low) & (areas < high)) for low, high in SIZES.values()]
            row = [found.precision(threshold), found.recall(threshold, np.ones(len(areas), bool)), *of_size]
            print(f"{threshold:9.2f}  {row[0]:9.3f}  {row[1]:6.3f}" + "".join(f"  {value:6.3f}" for value in row[2:]))
    detectors = {Path(file).name: PersonDetector(file, threads=1) for file in files}
    calls = {
        name: lambda detector=detector: [detector(image) for image in images[:TIMED]]
        for name, detector in detectors.items()
    }
    times = interleaved(calls, ROUNDS, warm_up=1)
    print(f"\nms a picture on one thread, median of {ROUNDS} rounds in turn")
    first = times[next(iter(times))]
    for name, taken in times.items():
        print(f"{np.median(taken) / TIMED:8.2f}  x{np.median(taken / first):.2f} (paired)  {name}")


if __name__ == "__main__":
    main()
