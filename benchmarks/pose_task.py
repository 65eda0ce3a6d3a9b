"""Time cropping, normalizing and decoding. The bar for decoding 17 heatmaps of 64x48 for 32 people is 2 ms."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks import print_times
from edgehr.assets import photographs
from edgehr.benchmark.timing import interleaved
from edgehr.tasks.pose.heatmaps import decode
from edgehr.tasks.pose.spec import Decoding, with_decoding
from edgehr.tasks.pose.task import PoseTask
from edgehr.zoo import DEFAULT_MODEL, find_weights, get_card

PEOPLE = 32


def real_heatmaps() -> np.ndarray:
    """Infer the sample model on windows of the shipped photographs; returns (32, 17, 64, 48)."""
    from edgehr.converters.compare import comparison_batch
    from edgehr.models.runtime import TorchRuntime

    card = get_card(DEFAULT_MODEL)
    maps = TorchRuntime(card, find_weights(card)).infer({"image": comparison_batch(card)})["heatmaps"]
    return np.resize(maps, (PEOPLE, *maps.shape[1:]))


def main() -> None:
    from tests.tasks.pose.reference import METHODS

    heatmaps = real_heatmaps()
    calls = {method: lambda method=method: decode(heatmaps, Decoding(method)) for method in METHODS}
    print_times(f"decoding 17 heatmaps of 64x48 for {PEOPLE} people", interleaved(calls, rounds=200))
    for method, loop in METHODS.items():
        pair = {
            method: calls[method],
            f"{method}, a plain loop over joints": lambda loop=loop: [loop(m, 11) for maps in heatmaps for m in maps],
        }
        print_times("the same beside a loop, which the caches remember", interleaved(pair, rounds=20), method)

    card = get_card(DEFAULT_MODEL)
    frame = cv2.resize(cv2.imread(str(photographs()[0])), (1280, 720))
    for people in (1, 10):
        boxes = [[100 + 90 * i, 50, 300 + 90 * i, 650] for i in range(people)]
        task = PoseTask(card)
        dark = PoseTask(with_decoding(card, "dark"))
        _, context = task.preprocess(frame, boxes)
        outputs = {"heatmaps": heatmaps[:people]}
        times = interleaved(
            {
                "crop and normalize": lambda boxes=boxes, task=task: task.preprocess(frame, boxes),
                "decode (msra) to image pixels": lambda t=task, o=outputs, c=context: t.postprocess(o, c),
                "decode (dark) to image pixels": lambda t=dark, o=outputs, c=context: t.postprocess(o, c),
            },
            rounds=200,
        )
        print_times(f"{people} of 1280x720", times)


if __name__ == "__main__":
    main()
