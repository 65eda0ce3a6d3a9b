"""Frames of videos by their number."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from edgehr.calib.dataset import frames
from edgehr.calib.dataset.frames import count_frames, read_frames
from edgehr.errors import EdgehrError
from tests.calib.pictures import picture, video


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return video(tmp_path / "clip.avi", [picture(seed) for seed in range(12)])


def test_frames_are_those_of_a_reading_from_the_beginning(clip: Path) -> None:
    capture = cv2.VideoCapture(str(clip))
    every = [capture.read()[1] for _ in range(12)]
    found = list(read_frames(clip, [7, 0, 11, 7, 3]))
    assert [number for number, _ in found] == [0, 3, 7, 11]
    assert all((image == every[number]).all() for number, image in found)


def test_frames_beyond_the_end_are_left_out(clip: Path) -> None:
    assert [number for number, _ in read_frames(clip, [10, 11, 12, 500])] == [10, 11]


def test_frames_are_counted_where_the_header_does_not_tell(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_frames(clip) == 12
    monkeypatch.setattr(frames, "frame_count", lambda capture: 0)
    assert count_frames(clip) == 12


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("text")
    for use in (count_frames, lambda path: list(read_frames(path, [0]))):
        with pytest.raises(EdgehrError, match="cannot open this video"):
            use(path)
