"""Opening the sinks that a user asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgehr.errors import EdgehrError
from edgehr.live.sinks.base import Result, Sink, StopRequested
from edgehr.live.sinks.json_lines import JsonLinesSink
from edgehr.live.sinks.pictures import ImageSink
from edgehr.live.sinks.video import VideoSink
from edgehr.live.sinks.window import WindowSink
from edgehr.live.sources import VIDEO_SUFFIXES, Frame, Source
from edgehr.live.sources.base import file_stem
from edgehr.live.sources.video import even_rate, frame_times
from edgehr.tasks.image.reading import IMAGE_SUFFIXES

DEFAULT_FPS = 25.0  # of a saved video where a camera does not tell its own


class SinkGroup:
    """Several sinks as one.

    Args:
        sinks: Each gets every frame, also where one of them raises `StopRequested`.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = list(sinks)

    def write(self, frame: Frame, result: Result | None = None) -> None:
        """Hand the frame to every sink; raises `StopRequested` if one of them does."""
        request: StopRequested | None = None
        for sink in self._sinks:
            try:
                sink.write(frame, result)
            except StopRequested as stop:
                request = stop
        if request is not None:
            raise request

    def close(self) -> list[Path]:
        """Finish all and return their files; where one fails, the ones after it are discarded."""
        try:
            return [path for sink in self._sinks for path in sink.close()]
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Give up in every sink that is not closed."""
        for sink in self._sinks:
            sink.discard()


def open_sinks(
    source: Source, save: Path | None = None, json_lines: str | Path | None = None, window: bool = False
) -> SinkGroup:
    """Open every sink that was asked for.

    Args:
        source: Where the frames come from.
        save: For drawn frames; see `open_sink`.
        json_lines: A file for results, or ``-`` for standard output.
        window: Show the frames in a window.

    Raises:
        EdgehrError: One of them cannot be opened; the others then leave nothing behind.
    """
    sinks: list[Sink] = []
    try:
        if save is not None:
            sinks.append(open_sink(save, source))
        if window:
            sinks.append(WindowSink())
        if json_lines is not None:
            if source.path is not None:
                _refuse_source(Path(json_lines), source.path)
            sinks.append(JsonLinesSink(json_lines))
    except BaseException:
        SinkGroup(sinks).discard()
        raise
    return SinkGroup(sinks)


def open_sink(out: Path, source: Source) -> Sink:
    """Choose how to save the pictures that come from a source.

    Args:
        out: An image file for a single image, a video file for a video or a live source; otherwise a folder, made if
            needed, which gets files named as the source's (a video's and a live source's as `.mp4`).
        source: Where the frames come from.

    Raises:
        EdgehrError: The name does not suit the source, or is the source itself.
    """
    return _picture_sink(out, source) if source.kind == "images" else _video_sink(out, source)


def _video_sink(out: Path, source: Source) -> Sink:
    suffix = out.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        raise EdgehrError(f"{out}: an image cannot hold the video {source.name}: give a .mp4 file or a folder")
    stem = source.path.stem if source.path else file_stem(source.name)
    path = out if suffix in VIDEO_SUFFIXES else out / f"{stem}.mp4"
    fps = source.fps or DEFAULT_FPS
    if source.path is not None:
        _refuse_source(path, source.path)
        if source.kind == "video":
            fps = even_rate(frame_times(source.path), fps)
    return VideoSink(path, fps, live=source.kind == "live")


def _picture_sink(out: Path, source: Source) -> Sink:
    suffix = out.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        raise EdgehrError(f"{out}: give an image file or a folder to save pictures to")
    single = suffix in IMAGE_SUFFIXES
    folder = source.path is None or source.path.is_dir()
    if single and (folder or source.count != 1):
        raise EdgehrError(f"{out}: one image cannot hold the {source.count} of {source.name}: give a folder")
    if source.path is not None:
        _refuse_source(out if single or folder else out / source.path.name, source.path)
    return ImageSink(out, single)


def _refuse_source(path: Path, source: Path) -> None:
    if path.resolve() == source.resolve():
        raise EdgehrError(f"{path}: would overwrite the source; choose another place to save to")
