"""What edgehr's own functions give, for the tests of the page's modules: `js/*.test.mjs` compare with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.live.predictors.landmarks import _extents, face_boxes
from edgehr.live.predictors.pose_sequence import without_duplicates
from edgehr.live.predictors.single_person import person_windows
from edgehr.live.tracking.boxes import keypoint_boxes
from edgehr.live.tracking.tracker import Tracker
from edgehr.opencv import cv2
from edgehr.tasks.base import Task
from edgehr.tasks.landmarks.landmarks import Landmarks
from edgehr.tasks.pose.heatmaps import decode
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.spec import DECODINGS, Decoding, KeypointSet, with_decoding
from edgehr.tasks.segmentation.spec import LETTERBOX, STRETCH
from edgehr.zoo import DEFAULT_DETECTOR, DEFAULT_MODEL, DEFAULT_SEGMENTER, get_card

Arrays = dict[str, Any]


def write_fixtures(folder: Path) -> None:
    """Write one JSON file a kind."""
    kinds = {
        "decodes": decodes(),
        "crops": crops(),
        "letterboxes": letterboxes(),
        "detections": detections(),
        "boxes": boxes(),
        "tracks": tracks(),
        "windows": windows(),
        "masks": masks(),
        "faces": faces(),
    }
    for name, cases in kinds.items():
        (folder / f"{name}.json").write_text(json.dumps(list(cases), default=_plain))


def _plain(value: Any) -> Any:
    return value.tolist()


def heatmaps(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Maps with peaks inside, on borders and in corners, of any sharpness; flat ones, and ones without a peak."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    places = [(rng.uniform(0, width - 1), rng.uniform(0, height - 1)) for _ in range(20)]
    places += [(0, 0), (width - 1, height - 1), (1, height / 2), (width / 2, height - 2), (width - 2, 1), (2, 2)]
    maps = []
    for number, (left, top) in enumerate(places):
        spread = rng.uniform(0.8, 3)
        peak = rng.uniform(0.05, 1) * (60 if number % 9 == 8 else 1)
        maps.append(peak * np.exp(-((x - left) ** 2 + (y - top) ** 2) / (2 * spread**2)) + 0.02 * rng.random(size))
    maps += [-np.ones(size), np.zeros(size), rng.random(size), np.full(size, 0.5)]
    return np.array(maps, np.float32)


def decodes() -> Iterator[Arrays]:
    rng = np.random.default_rng(1)
    for method in DECODINGS:
        for kernel in (11, 7, 17):
            maps = heatmaps((24, 18), rng)
            decoding = Decoding(method, kernel)
            points, scores = decode(maps[None], decoding)
            yield {
                "decoding": {"method": method, "blur_kernel": kernel},
                "width": 18,
                "height": 24,
                "maps": maps.ravel(),
                "points": points.ravel(),
                "scores": scores.ravel(),
            }


def picture(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture with edges and with smooth parts, (height, width, 3) BGR."""
    small = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    smooth: NDArray[np.uint8] = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    smooth[height // 3 : height // 2, width // 4 :] = 255
    return smooth


def _image(bgr: NDArray[np.uint8]) -> Arrays:
    rgba = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGBA)
    return {"data": rgba.ravel(), "width": bgr.shape[1], "height": bgr.shape[0]}


def _small(name: str, height: int, width: int) -> ModelCard:
    return get_card(name).with_size(height, width)


def crops() -> Iterator[Arrays]:
    rng = np.random.default_rng(2)
    image = picture(96, 128, rng)
    for warp, method in (("affine", "msra"), ("udp", "udp"), ("hrnet_face", "hrnet_face")):
        for layout in ("nchw", "nhwc"):
            card = _small(DEFAULT_MODEL, 64, 64 if warp == "hrnet_face" else 48).with_layout(layout)
            card = with_decoding(card, method, warp)
            task = Task.for_card(card)
            for box in ([30, 20, 90, 80], [-20, -10, 60, 70], [100, 50, 180, 140], [10, 10, 20, 40], [0, 0, 128, 96]):
                batch, context = task.preprocess(image, [box])
                maps = heatmaps((16, card.input.width // 4), rng)[None, :17]
                outputs = {"heatmaps": maps.transpose(0, 2, 3, 1) if layout == "nhwc" else maps}
                poses = task.postprocess(outputs, context)
                yield {
                    "card": card.to_dict(),
                    "image": _image(image),
                    "box": box,
                    "input": batch.ravel(),
                    "heatmaps": {"data": outputs["heatmaps"].ravel(), "shape": outputs["heatmaps"].shape},
                    "points": poses.keypoints.ravel(),
                    "scores": poses.scores.ravel(),
                }


def letterboxes() -> Iterator[Arrays]:
    rng = np.random.default_rng(3)
    for name in (DEFAULT_DETECTOR, "yolox-nano-coco-416x416", "yunet-widerface-640x640"):
        for layout, (height, width) in (("nchw", (72, 120)), ("nhwc", (150, 80)), ("nchw", (40, 48))):
            card = _small(name, 64, 96).with_layout(layout)
            image = picture(height, width, rng)
            batch, context = Task.for_card(card).preprocess(image)
            yield {"card": card.to_dict(), "image": _image(image), "input": batch.ravel(), "scale": context.scale}


def detections() -> Iterator[Arrays]:
    rng = np.random.default_rng(4)
    for name, wanted in (
        (DEFAULT_DETECTOR, "person"),
        ("yolox-nano-coco-416x416", "person"),
        ("yunet-widerface-640x640", "face"),
    ):
        card = _small(name, 64, 96)
        task = Task.for_card(card)
        task.class_ids = np.array([task.spec.class_id(wanted)])
        _, context = task.preprocess(picture(80, 100, rng))
        outputs = {
            output: rng.normal(0, 0.7, (1, *shape)).astype(np.float32) + (0.3 if name == DEFAULT_DETECTOR else 0.5)
            for output, shape in task.output_shapes().items()
        }
        found = task.postprocess(outputs, context)
        assert len(found) > 3
        yield {
            "card": card.to_dict(),
            "wanted": wanted,
            "image": {"width": 100, "height": 80},
            "scale": context.scale,
            "outputs": {key: {"data": value.ravel(), "shape": value.shape} for key, value in outputs.items()},
            "boxes": found.boxes,
            "scores": found.scores,
        }


def _people(count: int, rng: np.random.Generator) -> Poses:
    middle = rng.uniform(60, 240, (count, 1, 2))
    points = (middle + rng.normal(0, 30, (count, 17, 2))).astype(np.float32)
    scores = rng.uniform(0, 1, (count, 17)).astype(np.float32)
    around = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    return Poses(around, points, scores, keypoint_set=get_card(DEFAULT_MODEL).spec.keypoints)


def _poses(poses: Poses) -> list[Arrays]:
    rows = zip(poses.boxes, poses.keypoints, poses.scores, poses.ids, strict=True)
    return [{"box": box, "points": points.ravel(), "scores": scores, "id": int(i)} for box, points, scores, i in rows]


def boxes() -> Iterator[Arrays]:
    rng = np.random.default_rng(5)
    sigmas = get_card(DEFAULT_MODEL).spec.keypoints.sigmas
    for spread in range(6):
        poses = _people(5, rng)
        poses.scores[1] *= 0.5  # nobody
        poses.keypoints[3] = poses.keypoints[2] + rng.normal(0, spread, (17, 2))  # nearly the same
        found, there = keypoint_boxes(poses, 300, 200)
        real = without_duplicates(poses[poses.scores.mean(axis=1) >= 0.3], sigmas)
        yield {
            "poses": _poses(poses),
            "sigmas": sigmas,
            "boxes": [box if has else None for box, has in zip(found.tolist(), there, strict=True)],
            "real": _poses(real),
        }


def tracks() -> Iterator[Arrays]:
    rng = np.random.default_rng(6)
    sigmas = get_card(DEFAULT_MODEL).spec.keypoints.sigmas
    for sizes in ((3, 3, 3, 3, 3, 3), (1, 2, 0, 2, 1, 3), (4, 1, 4, 4, 4, 4)):
        tracker, steps = Tracker(sigmas), []
        everybody = _people(4, rng)
        for frame, size in enumerate(sizes):
            chosen = rng.permutation(4)[:size]
            poses = everybody[chosen]
            poses.keypoints[...] += rng.normal(0, 2, poses.keypoints.shape)
            steps.append({"time": 0.4 * frame, "poses": _poses(poses), "found": _poses(tracker(poses, 0.4 * frame))})
        yield {"sigmas": sigmas, "steps": steps}


def masks() -> Iterator[Arrays]:
    rng = np.random.default_rng(7)
    for fit, layout, corners in ((STRETCH, "nchw", False), (LETTERBOX, "nhwc", False), (LETTERBOX, "nchw", True)):
        card = _small(DEFAULT_SEGMENTER, 64, 96).with_layout(layout)
        card = replace(card, spec=replace(card.spec, fit=fit, align_corners=corners))
        # Where the picture has the size that it takes there, nothing is resized afterwards.
        image = picture(64, 96 if fit == STRETCH else 80, rng)
        task = Task.for_card(card)
        batch, context = task.preprocess(image)
        maps = rng.normal(0, 2, (1, 2, 16, 24)).astype(np.float32)
        logits = maps.transpose(0, 2, 3, 1) if layout == "nhwc" else maps
        found = task.postprocess({"logits": logits}, context)
        yield {
            "card": card.to_dict(),
            "image": _image(image),
            "input": batch.ravel(),
            "logits": {"data": logits.ravel(), "shape": logits.shape},
            "likely": found.probability("person").ravel(),
        }


def faces() -> Iterator[Arrays]:
    rng = np.random.default_rng(8)
    found = rng.uniform(0, 100, (5, 4)).astype(np.float32)
    found[:, 2:] += found[:, :2] + 5
    points = rng.uniform(0, 100, (5, 9, 2)).astype(np.float32)
    points[4] = points[4, :1]
    none = np.zeros((5, 9), np.float32)
    names = KeypointSet(tuple("abcdefghi"))
    extents = _extents(Landmarks(found, points, none, keypoint_set=names))
    for box, face, each, extent in zip(found, face_boxes(found), points, extents, strict=True):
        yield {"box": box, "face": face, "points": each.ravel(), "extent": extent}


def windows() -> Iterator[Arrays]:
    for width, height in ((640, 480), (480, 640), (1280, 720), (2000, 100), (31, 700)):
        yield {"width": width, "height": height, "windows": np.array(person_windows(width, height))}
