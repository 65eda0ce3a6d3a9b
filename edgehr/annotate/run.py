"""The run: pieces that are done stay done, and the file appears when all are."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgehr.annotate.forms import Record
from edgehr.annotate.pieces import Archive, Range, badly_sought
from edgehr.annotate.work import Annotation, Done
from edgehr.errors import EdgehrError
from edgehr.files import atomic_write, check_writable, only_one, read_json
from edgehr.progress import ProgressBar
from edgehr.spread import Crew, spread

_LOG = logging.getLogger("edgehr.annotate")

PLAN = "plan.json"
SCHEMA = 1


@dataclass(frozen=True)
class Summary:
    """Says what a run came to.

    Attributes:
        pictures: Pictures and frames that were looked at.
        found: How many things were found in them.
        problems: What is wrong with files that were left out, by name.
        known: Pieces that an earlier run had done.
        pieces: All of them.
    """

    pictures: int
    found: int
    problems: dict[str, str]
    known: int
    pieces: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return dict(vars(self))


def annotate(
    archive: Archive,
    work: Annotation,
    out: Path,
    crew: Crew,
    *,
    about: Mapping[str, str],
    made_of: Mapping[str, Any],
    fresh: bool = False,
    bar: ProgressBar,
) -> Summary:
    """Write what a model finds in an archive.

    What is done stays in a folder beside `out`, from which the next run goes on; it goes in the end.

    Args:
        archive: The pictures and videos.
        work: What is done with them.
        out: The file, in the form of the work.
        crew: Who does it.
        about: What the file says of the model.
        made_of: All that results depend on, in plain JSON types: a run goes on only where this is the same.
        fresh: Begin anew in any case.
        bar: Shows progress.

    Raises:
        EdgehrError: The file cannot be written, another run is at work on it or has left other pieces, no picture can
            be read, or pieces failed; what is done is kept.
    """
    check_writable(out)
    folder = out.with_name(f".{out.name}.pieces")
    folder.mkdir(exist_ok=True)
    with only_one(folder):
        run = _Run(archive, work, folder, bar)
        run.begin(made_of, fresh)
        run.do(crew)
        run.check_seeks(crew)
        summary = run.summary()
        with atomic_write(out) as (temporary,):
            work.form.write(temporary, run.records, about)
        shutil.rmtree(folder)
    return summary


class _Run:
    def __init__(self, archive: Archive, work: Annotation, folder: Path, bar: ProgressBar) -> None:
        self._work, self._folder, self._bar = work, folder, bar
        self._pieces, self._problems = archive.pieces()
        self._files = archive.files
        self._known = 0
        for name, problem in self._problems.items():
            _tell(name, problem)

    def begin(self, made_of: Mapping[str, Any], fresh: bool) -> None:
        """Note what the pieces are made of; raises EdgehrError where others are here."""
        stated = [(name, path.stat().st_size, path.stat().st_mtime_ns) for path, name in self._files]
        text = json.dumps({**made_of, "files": stated}, sort_keys=True)
        plan = {"schema": SCHEMA, "sha256": hashlib.sha256(text.encode()).hexdigest()}
        path = self._folder / PLAN
        if fresh:
            for old in self._folder.glob("*.json"):
                old.unlink()
        elif path.exists() and read_json(path) != plan:
            raise EdgehrError(
                f"{self._folder}: holds pieces of another run, with another model, other files or options: "
                "--fresh begins anew"
            )
        with atomic_write(path) as (temporary,):
            temporary.write_text(json.dumps(plan), encoding="utf-8")
        for number in set(range(len(self._pieces))) - set(self._open()):
            if self._read(number)[0]["problems"]:
                self._file(number).unlink()  # what could not be read then may be there now
        self._known = len(self._pieces) - len(self._open())
        if self._known:
            _LOG.info("%d of %d pieces are done already", self._known, len(self._pieces))

    def do(self, crew: Crew) -> None:
        """Do the pieces that are not done; raises EdgehrError for those that fail, once the others are done."""
        numbers = self._open()
        failed: list[Exception] = []
        with self._bar("pieces", len(self._pieces)) as progress:
            progress.advance(len(self._pieces) - len(numbers))
            with closing(spread(crew, self._work, [self._pieces[number] for number in numbers])) as outcomes:
                for outcome in outcomes:
                    if outcome.error is None:
                        self._keep(numbers[outcome.number], outcome.value)
                    else:
                        failed.append(outcome.error)
                    progress.advance()
        if failed:
            if not isinstance(failed[0], EdgehrError):
                raise failed[0]  # a bug, to be seen whole
            raise EdgehrError(
                f"{len(failed)} of {len(self._pieces)} pieces failed, one with: {failed[0]}; the others are kept: run "
                "the command again to go on"
            )

    def check_seeks(self, crew: Crew) -> None:
        """Read those videos from their beginning that were not read right from the middle."""
        marks = [self._read(number)[0]["marks"] for number in range(len(self._pieces))]
        bad = badly_sought(self._pieces, [{int(k): v for k, v in each.items()} for each in marks])
        for number, piece in enumerate(self._pieces):
            if isinstance(piece, Range) and piece.video in bad and piece.start:
                _LOG.info("%s: does not let itself be read from there: read from its beginning", piece)
                self._pieces[number] = replace(piece, seek=False)
                self._file(number).unlink()
        if bad:
            self.do(crew)

    def records(self) -> Iterator[Record]:
        """Give what was found in each picture, in order."""
        for number in range(len(self._pieces)):
            yield from self._read(number)[1:]

    def summary(self) -> Summary:
        """Count; raises EdgehrError where no picture could be read."""
        problems, pictures, found = dict(self._problems), 0, 0
        for number in range(len(self._pieces)):
            header, *records = self._read(number)
            problems |= header["problems"]
            pictures += len(records)
            found += sum(len(each["found"]) for each in records)
        if not pictures:
            raise EdgehrError(f"none of the pictures can be read: {next(iter(problems.values()), 'no frame came')}")
        return Summary(pictures, found, problems, self._known, len(self._pieces))

    def _open(self) -> list[int]:
        return [number for number in range(len(self._pieces)) if not self._file(number).exists()]

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06d}.json"

    def _keep(self, number: int, done: Done) -> None:
        for name, problem in done.problems.items():
            _tell(name, problem)
        with atomic_write(self._file(number)) as (temporary,):
            content = [{"problems": done.problems, "marks": done.marks}, *done.records]
            temporary.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")

    def _read(self, number: int) -> list[dict[str, Any]]:
        content: list[dict[str, Any]] = read_json(self._file(number))
        return content


def _tell(name: str, problem: str) -> None:
    _LOG.warning("%s; it is left out", problem if name in problem else f"{name}: {problem}")
