from pathlib import Path

import cv2
import numpy as np
import pytest

from edgehr.errors import EdgehrError
from edgehr.live.sinks import open_sink
from edgehr.live.sources import Frame, open_source
from edgehr.tasks.image.reading import read_image


def write_image(path: Path, value: int = 100) -> Path:
    cv2.imwrite(str(path), np.full((48, 64, 3), value, np.uint8))
    return path


def write_video(path: Path, frames: int = 5) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 40 * number, np.uint8))
    writer.release()
    return path


def test_an_image_a_folder_and_a_video(tmp_path: Path) -> None:
    write_image(tmp_path / "b.png")
    write_image(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").write_text("")
    assert [frame.name for frame in open_source(tmp_path / "b.png")] == ["b.png"]
    assert [frame.name for frame in open_source(tmp_path)] == ["a.jpg", "b.png"]
    video = open_source(write_video(tmp_path / "v.mp4"))
    assert (video.kind, video.count, video.fps) == ("video", 5, 10)
    frames = list(video)
    assert [frame.name for frame in frames] == [f"v-{number:06d}.jpg" for number in range(5)]
    assert [round(float(frame.image.mean()) / 40) for frame in frames] == [0, 1, 2, 3, 4]


def test_what_cannot_be_a_source(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("absent.jpg", "no such"),
        ("a.txt", "unknown kind"),
        ("broken.mp4", "cannot open"),
        ("empty", "no images"),
    ):
        with pytest.raises(EdgehrError, match=message):
            open_source(tmp_path / name)
    with pytest.raises(EdgehrError, match="not an image"):
        list(open_source(tmp_path / "broken.jpg"))


def test_a_broken_picture_among_others_is_left_out(tmp_path: Path) -> None:
    messages: list[str] = []
    for name in ("a.png", "b.png", "d.png"):
        write_image(tmp_path / name)
    (tmp_path / "b.png").write_bytes(b"no image")
    frames = list(open_source(tmp_path, listener=messages.append))
    assert [(frame.name, frame.number) for frame in frames] == [("a.png", 0), ("d.png", 2)]
    assert messages == [f"{tmp_path / 'b.png'}: not an image that OpenCV reads; it is left out"]
    for name in ("a.png", "d.png"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(EdgehrError, match=r"d.png: not an image"):
        list(open_source(tmp_path, listener=messages.append))


def frame(name: str, value: int = 7, size: tuple[int, int] = (48, 64)) -> Frame:
    return Frame(name, np.full((*size, 3), value, np.uint8))


def test_saves_an_image_under_its_own_or_a_given_name(tmp_path: Path) -> None:
    source = open_source(write_image(tmp_path / "a.png"))
    for out, expected in ((tmp_path / "out", "out/a.png"), (tmp_path / "new" / "b.png", "new/b.png")):
        sink = open_sink(out, source)
        sink.write(frame("a.png"))
        assert sink.close() == [tmp_path / expected]
        assert cv2.imread(str(tmp_path / expected)).mean() == 7


def test_saves_a_video_only_when_it_is_complete(tmp_path: Path) -> None:
    source = open_source(write_video(tmp_path / "v.mp4"))
    sink = open_sink(tmp_path / "out", source)
    for number in range(6):
        sink.write(frame("x", number, (48, 64) if number < 5 else (24, 32)))
    assert not (tmp_path / "out" / "v.mp4").exists()
    assert sink.close() == [tmp_path / "out" / "v.mp4"]
    assert open_source(tmp_path / "out" / "v.mp4").count == 6
    sink = open_sink(tmp_path / "out" / "w.mp4", source)
    sink.write(frame("x"))
    sink.discard()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["v.mp4"]


def test_places_that_do_not_suit_the_source(tmp_path: Path) -> None:
    image = open_source(write_image(tmp_path / "a.png"))
    video = open_source(write_video(tmp_path / "v.mp4"))
    write_image(tmp_path / "b.png")
    folder = open_source(tmp_path)
    for source, out, message in (
        (image, tmp_path / "a.png", "overwrite the source"),
        (image, tmp_path, "overwrite the source"),
        (image, tmp_path / "x.mp4", "image file or a folder"),
        (video, tmp_path / "v.mp4", "overwrite the source"),
        (video, tmp_path / "x.jpg", "cannot hold the video"),
        (folder, tmp_path / "x.jpg", "one image cannot hold"),
        (folder, tmp_path, "overwrite the source"),
    ):
        with pytest.raises(EdgehrError, match=message):
            open_sink(out, source)


@pytest.mark.parametrize("name", ["caf\udce9", "café 日本", "new\nline", "-dash", "x" * 240])
def test_pictures_of_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    picture = write_image(tmp_path / "a.png")
    try:
        Path(name).mkdir()
        picture.rename(Path(name, f"{name}.png"))
    except OSError:
        pytest.skip("this file system has no such names")
    for source, out in ((name, f"out-{name[:200]}"), (f"{name}/{name}.png", f"one-{name[:200]}.png")):
        opened = open_source(source)
        sink = open_sink(Path(out), opened)
        for one in opened:
            sink.write(one)
        (saved,) = sink.close()
        assert (read_image(saved) == 100).all()


def test_a_picture_in_a_format_that_is_no_text(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "out", open_source(write_image(tmp_path / "a.png")))
    with pytest.raises(EdgehrError, match="cannot write this image in the format that the name asks for"):
        sink.write(frame("a.\udce9"))
