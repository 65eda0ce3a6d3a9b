"""An archive in pieces: some pictures, or a range of a video's frames."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from edgehr.errors import EdgehrError
from edgehr.live.sources import VIDEO_SUFFIXES, Frame
from edgehr.live.sources.base import Kind, decoded_image
from edgehr.live.sources.video import VideoSource, open_video
from edgehr.opencv import cv2
from edgehr.tasks.image.reading import IMAGE_SUFFIXES, read_image

# Of a piece. They do not depend on how many workers there are, so that a run goes on with more or fewer.
PICTURES, FRAMES = 32, 256

Mark = list[Any]


@dataclass(frozen=True)
class Archive:
    """Holds the files of an archive, in the order in which their results are written.

    Attributes:
        files: Each with the name that results give it.
        missing: Links that lead to no file, by that name.
    """

    files: Sequence[tuple[Path, str]] = field(repr=False)
    missing: Sequence[str] = ()

    @classmethod
    def of(cls, paths: Sequence[Path], *, elsewhere: bool = False) -> Archive:
        """List pictures and videos: files as they are named, folders with all within by name, without hidden ones.

        Files of a single folder are called by their place in it, others as the user called them.

        Args:
            paths: The files and folders.
            elsewhere: Whether workers may begin in another folder.

        Raises:
            EdgehrError: A path is not there, of another kind, or a folder without any.
        """
        files = []
        for path in paths:
            found = _within(path) if path.is_dir() else [_checked(path)]
            root = path if len(paths) == 1 and path.is_dir() else Path()
            files += [(file, file.relative_to(root).as_posix() if root != Path() else str(file)) for file in found]
        there = {each: each[0].is_file() for each in files}
        missing = [name for (_, name), found in there.items() if not found]
        return cls([(p.absolute() if elsewhere else p, name) for (p, name), found in there.items() if found], missing)

    def pieces(self) -> tuple[list[Piece], dict[str, str]]:
        """Split the archive; what cannot be split is returned beside it, as the problem of each video by its name."""
        pieces: list[Piece] = []
        problems = dict.fromkeys(self.missing, "is a link that leads to no file")
        for pictures, group in itertools.groupby(self.files, key=lambda each: each[0].suffix.lower() in IMAGE_SUFFIXES):
            if pictures:
                listed = list(group)
                pieces += [Pictures(tuple(listed[at : at + PICTURES])) for at in range(0, len(listed), PICTURES)]
                continue
            for path, name in group:
                try:
                    pieces += _ranges(path, name)
                except EdgehrError as error:
                    problems[name] = str(error)
        return pieces, problems


def _within(folder: Path) -> list[Path]:
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES + VIDEO_SUFFIXES
        and (path.is_file() or path.is_symlink())
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise EdgehrError(f"{folder}: holds no pictures and no videos")
    return found


def _checked(path: Path) -> Path:
    if not path.is_file():
        raise EdgehrError(f"{path}: no such picture, video or folder")
    if path.suffix.lower() not in IMAGE_SUFFIXES + VIDEO_SUFFIXES:
        raise EdgehrError(f"{path}: unknown kind of file: expected one of {', '.join(IMAGE_SUFFIXES + VIDEO_SUFFIXES)}")
    return path


def _ranges(path: Path, name: str) -> list[Piece]:
    count = _video(path).count
    # The last one is open, as the header may promise too few; where it promises too many, the last ones are empty.
    starts = range(0, max(count, 1), FRAMES)
    return [Range(path, name, start, None if start == starts[-1] else start + FRAMES) for start in starts]


def _video(path: Path) -> VideoSource:
    return VideoSource(str(path), partial(open_video, path), lambda _: None, path)


@dataclass(frozen=True)
class Pictures:
    """Holds some pictures, each with the name that results give it."""

    files: tuple[tuple[Path, str], ...] = field(repr=False)

    @property
    def paths(self) -> list[Path]:
        """List the files."""
        return [path for path, _ in self.files]

    def __str__(self) -> str:
        return f"{self.files[0][1]} and {len(self.files) - 1} more"

    def frames(self, problems: dict[str, str]) -> Iterator[Frame]:
        """Read them; those that cannot be read are left out and noted."""
        for number, (path, name) in enumerate(self.files):
            try:
                yield Frame(name, read_image(path), number, time.monotonic())
            except EdgehrError as error:
                problems[name] = str(error)


@dataclass(frozen=True)
class Range:
    """Holds the frames of a video from one number up to another, or to its end.

    A video can be read from the middle, but not every decoder then gives the frame that was asked for, or a whole one.
    So each range notes a mark of its first frame and of the one behind its last: where two ranges that meet disagree,
    their video is read from its beginning for each of its ranges (`unread`).

    Attributes:
        video: The file.
        name: What results call it.
        start: The first frame.
        stop: The one behind the last; None for all that come.
        seek: Whether to begin in the middle.
    """

    video: Path
    name: str
    start: int
    stop: int | None
    seek: bool = True

    @property
    def paths(self) -> list[Path]:
        """List the one file."""
        return [self.video]

    def __str__(self) -> str:
        return f"{self.name} from frame {self.start}"

    def frames(self, marks: dict[int, Mark]) -> Iterator[Frame]:
        """Read the frames, and note the marks of the first one and of that behind the last."""
        last = None if self.stop is None else self.stop + 1
        seek = self.seek and self.start > 0
        for frame in (
            _sought(self.video, self.start, last) if seek else itertools.islice(_video(self.video), self.start, last)
        ):
            if frame.number in (self.start, self.stop):
                marks[frame.number] = [frame.position_s, hashlib.sha256(frame.image.tobytes()).hexdigest()]
            if frame.number != self.stop:
                yield frame


def _sought(path: Path, start: int, stop: int | None) -> Iterator[Frame]:
    """Give frames as `VideoSource` does, from one in the middle on."""
    source = _video(path)
    capture = open_video(path)
    try:
        capture.set(cv2.CAP_PROP_POS_FRAMES, start)
        number, position = start, -1.0
        while stop is None or number < stop:
            there, raw = capture.read()
            if not there:
                return
            image = decoded_image(raw)
            if image is not None:
                stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                position = stamp if stamp > position else position + 1 / source.fps
                yield Frame(f"{path.stem}-{number:06d}.jpg", image, number, time.monotonic(), position)
                number += 1
    finally:
        capture.release()


Piece = Pictures | Range


class PieceSource:
    """Gives the frames of a piece to a predictor, each as a picture by itself.

    Attributes:
        problems: What is wrong with pictures that were left out, by name.
        marks: Of a range's ends, by number; see `Range`.
    """

    kind: Kind = "images"
    fps, dropped, count = 0.0, 0, 0
    path: Path | None = None

    def __init__(self, piece: Piece) -> None:
        self._piece, self.name = piece, str(piece)
        self._closed = threading.Event()
        self.problems: dict[str, str] = {}
        self.marks: dict[int, Mark] = {}

    def __iter__(self) -> Iterator[Frame]:
        piece = self._piece
        for frame in piece.frames(self.problems) if isinstance(piece, Pictures) else piece.frames(self.marks):
            if self._closed.is_set():
                return
            yield frame

    def close(self) -> None:
        """End the iteration after the frame it is at."""
        self._closed.set()


def badly_sought(pieces: Sequence[Piece], marks: Sequence[dict[int, Mark]]) -> set[Path]:
    """Find the videos of which two ranges that meet do not agree on the frame between them."""
    ranges = [(piece, ends) for piece, ends in zip(pieces, marks, strict=True) if isinstance(piece, Range)]
    return {
        piece.video
        for (piece, ends), (after, begins) in itertools.pairwise(ranges)
        if piece.video == after.video and ends.get(after.start) != begins.get(after.start)
    }
