"""Opening the source that a path, a camera's number or an address means."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from edgehr.errors import EdgehrError
from edgehr.live.sources.addresses import find_device
from edgehr.live.sources.base import Listener, Source, warn
from edgehr.live.sources.clip import CLIP, open_clip
from edgehr.live.sources.devices import Device, reconnecting
from edgehr.live.sources.live import LiveSource
from edgehr.live.sources.pictures import PictureSource
from edgehr.live.sources.video import VideoSource, frame_count, frame_rate, in_real_time, open_video
from edgehr.tasks.image.reading import IMAGE_SUFFIXES

_LOG = logging.getLogger("edgehr.live")

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")


def open_source(
    spec: str | int | Path,
    *,
    loop: bool = False,
    realtime: bool = False,
    timeout_s: float = 5.0,
    listener: Listener = warn,
) -> Source:
    """Open an image, a folder, a video, a camera or a stream, to take frames from.

    Args:
        spec: An image, a folder of images or a video file; a camera's index (``0``) or device (``/dev/video0``); a
            Jetson's CSI camera (``csi:0``, ``csi:0?width=1280&height=720&fps=30&flip=2``); or the address of a stream
            (``rtsp://``, ``http://`` and their secure kinds); or ``clip``, eight seconds of people that edgehr makes
            itself, to try things with. A `Path` is always a file, and so is the name of one
            that is there, but for a number: a file that is called ``0`` is ``./0``.
        loop: Repeat a video file for ever.
        realtime: Give a video file's frames when they are due, as a camera would: a ``live`` source.
        timeout_s: Longest time in seconds to open a camera or stream, and to wait for its next frame.
        listener: Is told what happens to the source meanwhile, from any thread; passwords never are in it.

    Returns:
        The source. Cameras and streams are read from now on; close it in the end.

    Raises:
        EdgehrError: Nothing there, an empty folder, a file of an unknown kind, or a camera or stream that cannot be
            opened.
    """
    source = _open(spec, loop, realtime, timeout_s, listener)
    size = f", {source.count} frames" if source.count else ""
    rate = f", {source.fps:.4g} a second" if source.fps else ""
    _LOG.info("%s: opened as %s%s%s", source.name, source.kind, size, rate)
    return source


def _open(spec: str | int | Path, loop: bool, realtime: bool, timeout_s: float, listener: Listener) -> Source:
    if not str(spec):
        raise EdgehrError("the source is empty: give an image, a folder, a video, a camera or an address")
    if spec == CLIP and not Path(CLIP).exists():
        return _video(VideoSource(CLIP, open_clip, listener, loop=loop), realtime, listener)
    device = None if isinstance(spec, Path) and not str(spec).startswith("/dev/") else find_device(str(spec), timeout_s)
    if device is None:
        return _file(Path(str(spec)), loop, realtime, listener)
    if loop or realtime:
        raise EdgehrError(f"{device.name}: only video files can be repeated, or paced as if they were live")
    return _device(device, listener)


def _file(path: Path, loop: bool, realtime: bool, listener: Listener) -> Source:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last for a null character in the name
        raise EdgehrError(f"{path}: no such image, folder or video") from None
    except OSError as error:  # a name that is too long, a folder that is not this user's
        raise EdgehrError(f"{path}: {error.strerror}") from None
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in IMAGE_SUFFIXES:
        if loop or realtime:
            raise EdgehrError(f"{path}: only video files can be repeated, or paced as if they were live")
        return PictureSource(path, listener)
    if suffix not in VIDEO_SUFFIXES:
        known = ", ".join(IMAGE_SUFFIXES + VIDEO_SUFFIXES)
        raise EdgehrError(f"{path}: unknown kind of file: expected a folder or one of {known}")
    return _video(VideoSource(str(path), partial(open_video, path), listener, path, loop=loop), realtime, listener)


def _video(video: VideoSource, realtime: bool, listener: Listener) -> Source:
    """Return a video as it is, or as a camera would give it."""
    return LiveSource(video.name, in_real_time(video), listener, video.fps, video.path) if realtime else video


def _device(device: Device, listener: Listener) -> Source:
    first = device.connect()
    capture = first[0]
    if device.name.lower().startswith("http") and frame_count(capture):  # a file, not a stream
        capture.release()
        return VideoSource(device.name, device.open, listener)
    # Opening and waiting for the first picture may each take the whole time.
    source = LiveSource(
        device.name, reconnecting(device, first), listener, frame_rate(capture), patience_s=3 * device.timeout_s + 1
    )
    source.start()
    return source
