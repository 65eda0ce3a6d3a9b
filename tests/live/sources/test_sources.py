"""Pictures and video files; what is live has tests of its own."""

from __future__ import annotations

import threading
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgehr.errors import EdgehrError
from edgehr.live.sources import open_source
from tests.live.streams import number_in, numbered


def write_video(path: Path, frames: int = 60, codec: str = "mp4v", fps: float = 30) -> Path:
    """Noise under the number, so that a frame has enough bytes to damage some."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 256, 3), np.uint8)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (256, 96))
    for number in range(frames):
        writer.write(np.vstack([numbered(number), np.roll(noise, number, axis=1)]))
    writer.release()
    return path


def overwrite(path: Path, start: float, end: float) -> Path:
    """Fill a part of a file, given in shares of its length, with zeros."""
    content = bytearray(path.read_bytes())
    first, last = int(start * len(content)), int(end * len(content))
    content[first:last] = bytes(last - first)
    path.write_bytes(content)
    return path


def test_a_video_gives_every_frame_in_order(tmp_path: Path) -> None:
    messages: list[str] = []
    source = open_source(str(write_video(tmp_path / "v.mp4")), listener=messages.append)
    assert (source.kind, source.count, source.fps, source.dropped) == ("video", 60, 30, 0)
    assert (source.name, source.path) == (str(tmp_path / "v.mp4"), tmp_path / "v.mp4")
    before = time.monotonic()
    frames = list(source)
    assert [number_in(frame.image) for frame in frames] == list(range(60))
    assert [frame.number for frame in frames] == list(range(60))
    assert frames[7].name == "v-000007.jpg"
    times = [before, *(frame.time_s for frame in frames), time.monotonic()]
    assert times == sorted(times)
    assert len(list(source)) == 60  # once more from the beginning
    assert messages == []


def test_videos_of_people(shared: Path) -> None:
    messages: list[str] = []
    for path in sorted((shared / "data" / "video").glob("*.mp4")):
        source = open_source(path, listener=messages.append)
        shapes = [frame.image.shape for frame in source]
        assert len(shapes) == source.count > 0
        assert len(set(shapes)) == 1
    assert messages == []


@pytest.mark.parametrize(
    ("name", "codec", "start", "end"),
    [("v.mp4", "mp4v", 0.5, 0.7), ("v.avi", "MJPG", 0.5, 0.8), ("v.mkv", "mp4v", 0.4, 1)],
)
def test_a_damaged_video_gives_what_is_left_and_says_so(
    tmp_path: Path, name: str, codec: str, start: float, end: float
) -> None:
    messages: list[str] = []
    path = overwrite(write_video(tmp_path / name, codec=codec), start, end)
    frames = list(open_source(path, listener=messages.append))
    assert 15 < len(frames) < 58
    assert [number_in(frame.image) for frame in frames[:15]] == list(range(15))
    (message,) = messages
    assert f"{name}: {len(frames)} of the 60 frames that its header promises" in message


def test_a_video_that_was_cut_off(tmp_path: Path) -> None:
    messages: list[str] = []
    path = write_video(tmp_path / "v.avi", codec="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = list(open_source(path, listener=messages.append))
    assert [number_in(frame.image) for frame in frames] == list(range(len(frames)))
    assert "was cut off" in messages[0]


def test_a_video_of_nothing_but_damage(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", codec="MJPG")
    overwrite(path, (path.read_bytes().index(b"movi") + 4) / path.stat().st_size, 1)
    for options in ({}, {"loop": True}, {"realtime": True}):
        with pytest.raises(EdgehrError, match="no frame of this video can be decoded"):
            list(open_source(path, **options))


def test_a_video_over_and_over(tmp_path: Path) -> None:
    source = open_source(write_video(tmp_path / "v.mp4", 5), loop=True)
    assert source.count == 0
    seen = []
    for frame in source:
        seen.append((frame.number, frame.name, number_in(frame.image)))
        if len(seen) == 13:
            source.close()
    assert seen == [(number, f"v-{number:06d}.jpg", number % 5) for number in range(13)]


def test_a_damaged_video_over_and_over_is_told_once(tmp_path: Path) -> None:
    messages: list[str] = []
    path = overwrite(write_video(tmp_path / "v.avi", codec="MJPG"), 0.5, 0.8)
    source = open_source(path, loop=True, listener=messages.append)
    for frame in source:
        if frame.number == 150:
            source.close()
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("left", "said"), [(None, "no such video any more"), (0, "cannot open"), (100, "no frame of this video")]
)
def test_a_looped_video_ends_where_nothing_of_it_is_left(tmp_path: Path, left: int | None, said: str) -> None:
    path = write_video(tmp_path / "v.avi", 5, codec="MJPG")
    content = path.read_bytes()
    frames = iter(open_source(path, loop=True))
    next(frames)
    path.unlink()
    if left is not None:
        path.write_bytes(content[: content.index(b"movi") + 4 + left] if left else b"")
    with pytest.raises(EdgehrError, match=said):
        list(islice(frames, 20))


def test_a_video_as_if_it_were_live(tmp_path: Path) -> None:
    threads = threading.enumerate()
    source = open_source(write_video(tmp_path / "v.mp4", 60, fps=60), realtime=True)
    assert (source.kind, source.count, source.fps) == ("live", 0, 60)
    started = time.monotonic()
    frames = []
    for frame in source:
        frames.append(frame)
        if len(frames) == 2:  # too slow: the next ones are dropped
            wait_for(lambda: source.dropped >= 10)
    assert time.monotonic() - started >= 59 / 60
    numbers = [frame.number for frame in frames]
    assert numbers == [number_in(frame.image) for frame in frames] == sorted(set(numbers))
    assert numbers[2] >= numbers[1] + 10
    assert numbers[-1] == 59  # also the last one is given
    assert source.dropped == 60 - len(frames)
    source.close()
    assert threading.enumerate() == threads


def test_a_live_video_over_and_over_ends_on_close(tmp_path: Path) -> None:
    threads = threading.enumerate()
    source = open_source(write_video(tmp_path / "v.mp4", 5, fps=100), realtime=True, loop=True)
    numbers = []
    for frame in source:
        numbers.append(frame.number)
        if frame.number > 12:
            source.close()
    assert numbers == sorted(numbers)
    assert threading.enumerate() == threads
    assert list(source) == []


def test_closing_ends_pictures_and_videos(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        cv2.imwrite(str(tmp_path / name), numbered(1))
    for source in (open_source(tmp_path), open_source(write_video(tmp_path / "v.mp4"))):
        seen = 0
        for _ in source:
            seen += 1
            other = threading.Thread(target=source.close)
            other.start()
            other.join()
        assert seen == 1


def test_pictures_of_every_kind_come_as_bgr(tmp_path: Path) -> None:
    gray = np.full((4, 6), 90, np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), gray)
    cv2.imwrite(str(tmp_path / "b.png"), np.dstack([gray, gray, gray, gray // 2]))
    cv2.imwrite(str(tmp_path / "c.png"), gray.astype(np.uint16) * 257)
    source = open_source(tmp_path)
    frames = list(source)
    assert [(frame.name, frame.number) for frame in frames] == [("a.png", 0), ("b.png", 1), ("c.png", 2)]
    assert all(frame.image.shape == (4, 6, 3) and (frame.image == 90).all() for frame in frames)
    assert (source.kind, source.count, source.fps, source.path) == ("images", 3, 0, tmp_path)


def test_a_decoder_that_gives_nothing_gray_or_bgra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file makes OpenCV's decoders do so at will, hence a capture that pretends."""
    given = [np.zeros((4, 6), np.uint8), None, np.zeros((0, 6, 3), np.uint8), np.zeros((4, 6, 4), np.uint8)]

    class Decoder:
        def __init__(self, *_: object) -> None:
            self._left = list(given)

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def read(self) -> tuple[bool, np.ndarray | None]:
            return (True, self._left.pop(0)) if self._left else (False, None)

        def get(self, key: int) -> float:
            return 4 if key == cv2.CAP_PROP_FRAME_COUNT else 0

        def set(self, key: int, value: float) -> bool:
            return False

        def release(self) -> None:
            pass

    path = write_video(tmp_path / "v.mp4", 2)
    monkeypatch.setattr(cv2, "VideoCapture", Decoder)
    source = open_source(path)
    assert source.fps == 25
    frames = [(frame.number, frame.position_s, frame.image.shape) for frame in source]
    assert frames == [(0, 0, (4, 6, 3)), (1, 1 / 25, (4, 6, 3))]  # without timestamps, by the rate
    given[:] = [np.zeros((4, 6), np.uint16)]
    with pytest.raises(EdgehrError, match="uint8"):
        list(open_source(path))


def test_only_videos_can_be_repeated_or_paced(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), numbered(1))
    for options in ({"loop": True}, {"realtime": True}):
        for spec in (tmp_path, tmp_path / "a.png", "63", "rtsp://127.0.0.1:9/x"):
            with pytest.raises(EdgehrError, match="only video files"):
                open_source(spec, **options)


def wait_for(condition: object, seconds: float = 30) -> None:
    """Until it is so; gives up after very long."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come"
        time.sleep(0.01)


def test_the_clip_is_a_video_of_people_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source("clip")
    frames = list(source)
    assert (source.kind, source.name, source.path) == ("video", "clip", None)
    assert source.count == len(frames) == 200
    assert frames[50].position_s == 2.0
    assert all(frame.image.shape == (320, 800, 3) for frame in frames)
    step = np.abs(frames[0].image.astype(int) - frames[-1].image).mean()
    assert step < np.abs(frames[0].image.astype(int) - frames[50].image).mean() / 5  # its end is its beginning
    assert open_source("clip", loop=True).count == 0
    with pytest.raises(EdgehrError, match="clip: no such image"):
        open_source(Path("clip"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip").mkdir()
    with pytest.raises(EdgehrError, match="clip: holds no images"):
        open_source("clip")
