"""What a command does that nobody disturbs, and which result lies in a case's place."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from edgehr.files import sha256_file
from tests.campaign import BrokenPromiseError
from tests.campaign.children import Ended, Place, import_as, in_child, run
from tests.campaign.commands import Command, Output


@dataclass
class Reference:
    """What an undisturbed command does.

    Attributes:
        seconds: Its usual length; of a new process, where that is known, `fresh_seconds`.
        changes: Changes of the file system that Python makes meanwhile.
        listing: The files that are there in the end.
        size: Their bytes.
        hashes: Of what it writes, by name.
        cache: The folder of its cache.
        old: The same of an earlier result.
        old_files: Where that lies.
        old_listing: The files that are there then.
    """

    seconds: float
    changes: int
    listing: set[str]
    size: int
    hashes: dict[str, str]
    cache: Path
    same: set[str] = field(default_factory=set)
    old: dict[str, str] = field(default_factory=dict)
    old_files: Path | None = None
    old_listing: set[str] = field(default_factory=set)
    fresh_seconds: float = 0.0


class References:
    """Makes the reference of each command when it is asked for, in a folder.

    Args:
        folder: Where to work.
        inputs: What commands need.
        kept: A folder where results of calibration stay for the next campaign.
    """

    def __init__(self, folder: Path, inputs: Path, kept: Path) -> None:
        self._folder, self._inputs, self._kept = folder, inputs, kept
        self._known: dict[str, Reference] = {}

    def of(self, command: Command) -> Reference:
        if command.kind not in self._known:
            self._known[command.kind] = self._make(command)
        return self._known[command.kind]

    def fresh_seconds(self, command: Command) -> float:
        """Return how long it takes as a new process."""
        reference = self.of(command)
        if not reference.fresh_seconds:
            place = self._place("fresh")
            reference.fresh_seconds = succeed(command, command.line(self._inputs), place, fresh=True).seconds
        return reference.fresh_seconds

    def _make(self, command: Command) -> Reference:
        first, second, old = (self._place(f"{name} of {command.kind}") for name in ("first", "second", "old"))
        if command.cached:  # most cases find it filled
            first = second
            shutil.copytree(self._kept, second.folders[2], dirs_exist_ok=True)
        names = [name for output in command.outputs for name in output.files]
        succeed(command, command.line(self._inputs), first)
        import_as(first)
        once = _hashes(first, names)
        ended = succeed(command, command.line(self._inputs), second)
        hashes = _hashes(second, names)
        listing = second.listing()
        size = sum((second.root / name).stat().st_size for name in listing)
        reference = Reference(ended.seconds, ended.changes, listing, size, hashes, second.folders[2])
        reference.same = {name for name in names if hashes[name] == once[name]}
        for output in command.outputs:
            if output.check is not None:
                in_child(output.check, *(second.root / name for name in output.files))
            elif not reference.same.issuperset(output.files):
                raise BrokenPromiseError(f"{command.kind}: writes other bytes when it is repeated, and has no check")
        if command.old:
            if command.cached:
                shutil.copytree(self._kept, old.folders[2], dirs_exist_ok=True)
            succeed(command, command.line(self._inputs, old=True), old)
            if command.cached:
                shutil.copytree(old.folders[2], self._kept, dirs_exist_ok=True)
                shutil.copytree(second.folders[2], self._kept, dirs_exist_ok=True)
            reference.old = _hashes(old, [name for name in names if (old.root / name).exists()])
            reference.old_files = self._folder / f"old of {command.kind}"
            shutil.copytree(old.work, reference.old_files)
            reference.old_listing = {name for name in old.listing() if not name.startswith("cache")}
        return reference

    def _place(self, name: str) -> Place:
        root = self._folder / "reference" / name
        shutil.rmtree(root, ignore_errors=True)
        return Place(root, root / "log").make()


def succeed(command: Command, line: list[str], place: Place, *, fresh: bool = False) -> Ended:
    """Run a command that has to succeed."""
    ended = run(line, place, fresh=fresh)
    if ended.status or "Traceback" in ended.said:
        raise BrokenPromiseError(f"{command.kind}: ended with {ended.status}: {ended.said[-300:]}")
    return ended


def state(output: Output, place: Place, reference: Reference) -> str:
    """Tell what lies under the names of an output: nothing, the old one or the new one.

    Raises:
        BrokenPromiseError: Part of one, or of two.
    """
    there = [name for name in output.files if (place.root / name).exists()]
    if not there:
        return "nothing"
    hashes = _hashes(place, there)
    if hashes == {name: reference.hashes[name] for name in output.files}:
        return "new"
    if hashes == {name: reference.old.get(name) for name in output.files}:
        return "old"
    if output.check is None or len(there) < len(output.files):
        raise BrokenPromiseError(f"{', '.join(there)}: neither whole nor the old one")
    try:
        in_child(output.check, *(place.root / name for name in output.files))
    except Exception as error:
        raise BrokenPromiseError(f"{', '.join(there)}: not whole: {type(error).__name__}: {error}") from None
    return "new"


def _hashes(place: Place, names: list[str]) -> dict[str, str]:
    return {name: sha256_file(place.root / name) for name in names}
