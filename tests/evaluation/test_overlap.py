"""Fingerprints of pictures."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgehr.errors import ArtifactError, EdgehrError
from edgehr.evaluation.overlap import among, file_fingerprint, fingerprint


def noise(seed: int) -> np.ndarray:
    fields = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return cv2.resize(fields, (120, 90), interpolation=cv2.INTER_NEAREST)


def test_pictures_are_found_among_others() -> None:
    known = [fingerprint(noise(seed)) for seed in range(100)]
    assert all(len(text) == 48 for text in known)
    slightly = np.clip(noise(42).astype(int) + 4, 0, 255).astype(np.uint8)
    assert among([fingerprint(image) for image in (noise(200), slightly, noise(7))], known) == [1, 2]
    assert among(known, []) == []
    assert among([], known) == []


def test_a_picture_without_contrast_is_like_no_other() -> None:
    gray = fingerprint(np.full((50, 60, 3), 99, np.uint8))
    assert gray == ""
    assert among([gray, fingerprint(noise(0))], [gray]) == []


@pytest.mark.parametrize("damaged", ["?" * 48, "AAAA", "A" * 47])
def test_damaged_fingerprints_are_refused(damaged: str) -> None:
    with pytest.raises(ArtifactError, match="damaged"):
        among([fingerprint(noise(0))], [damaged])


def test_an_unreadable_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("text")
    with pytest.raises(EdgehrError, match=r"a\.jpg: not an image"):
        file_fingerprint(tmp_path / "a.jpg")


def test_real_photographs_are_told_apart_and_their_copies_are_not(shared: Path, tmp_path: Path) -> None:
    paths = sorted((shared / "data" / "coco-train2017-people" / "images").iterdir())
    known = [file_fingerprint(path) for path in paths]
    assert not [pair for pair in combinations(known, 2) if among([pair[0]], [pair[1]])]
    copy = tmp_path / "copy.jpg"
    for path, text in zip(paths, known, strict=True):
        half = cv2.resize(cv2.imread(str(path)), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(copy), half, [cv2.IMWRITE_JPEG_QUALITY, 40])
        assert among([file_fingerprint(copy)], [text]) == [0]
