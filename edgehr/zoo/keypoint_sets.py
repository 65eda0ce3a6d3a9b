"""Sets of keypoints and landmarks, from `data/keypoints/*.json`."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from edgehr.tasks.pose.spec import KeypointSet
from edgehr.zoo.tables import DATA


@cache
def keypoint_set(name: str) -> KeypointSet:
    """Read a set of keypoints, by file stem."""
    data = _read(name)
    return KeypointSet(
        names=tuple(data["names"]),
        flip_pairs=tuple(map(tuple, data["flip_pairs"])),
        skeleton=tuple(map(tuple, data["skeleton"])),
        sigmas=tuple(data["sigmas"] or ()),
    )


@cache
def normalizer(name: str) -> tuple[int, ...]:
    """Tell by the distance of which landmarks of a set errors are divided; none for the size of the face."""
    return tuple(_read(name)["normalizer"])


def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((DATA / "keypoints" / f"{name}.json").read_text(encoding="utf-8"))
    return data
