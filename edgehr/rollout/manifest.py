"""The rollout file: which files go to which kind of device, and what a device has to get out of them."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgehr.errors import EdgehrError
from edgehr.plain_data import check_types
from edgehr.rollout.check import Check
from edgehr.runtimes.artifact import is_file_name

NAME = "rollout.json"
FILES = "files"  # the folder beside it, in which a file has its SHA-256 for a name
ANY = "any"
SCHEMA = 1


@dataclass(frozen=True)
class RolledFile:
    """Names a file.

    Attributes:
        name: What it is called beside the others.
        sha256: Of what it holds, 64 hex digits.
        size: Bytes.
    """

    name: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        check_types(self, "a file of the rollout")
        # A stranger may have written it: no name leads out of the folder, and none to what pull itself keeps there.
        if not is_file_name(self.name) or self.name.startswith(".") or self.name == ENTRY:
            raise EdgehrError(f"a file of the rollout must have a plain name, got {self.name[:200]!r}")
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise EdgehrError(f"{self.name}: sha256 must be 64 hex digits, got {self.sha256[:80]!r}")
        if self.size < 0:
            raise EdgehrError(f"{self.name}: a size cannot be {self.size}")

    @property
    def path(self) -> str:
        """Say where it is, beside the rollout file."""
        return f"{FILES}/{self.sha256}"


ENTRY = "rolled-out.json"  # what pull writes beside the files


@dataclass(frozen=True)
class Entry:
    """Holds what goes to some kinds of device.

    Attributes:
        kinds: Names of kinds, with * and ? as in file names; ``any`` for every device.
        main: The name of the file that is opened.
        files: All files.
        check: What the model returns on a machine on which it works; None to try no more than whether it opens.
    """

    kinds: tuple[str, ...]
    main: str
    files: tuple[RolledFile, ...]
    check: Check | None = None

    def __post_init__(self) -> None:
        names = [file.name for file in self.files]
        if len(set(names)) < len(names) or self.main not in names:
            raise EdgehrError(f"the files of {self.main[:200]!r} must have different names, and it must be one of them")

    def suits(self, kinds: Sequence[str]) -> bool:
        """Tell whether a device of these kinds gets it."""
        return any(wanted == ANY or fnmatch.fnmatchcase(kind, wanted) for wanted in self.kinds for kind in kinds)

    @property
    def version(self) -> str:
        """Name just these files and this check, in 16 hex digits."""
        told = self.to_dict()
        del told["kinds"]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Entry:
        """Make one of what `to_dict` returned; raises TypeError, KeyError or EdgehrError for anything else."""
        kinds, main = data["kinds"], data["main"]
        if not isinstance(main, str) or not all(isinstance(kind, str) for kind in kinds):
            raise TypeError("kinds and main must be texts")
        check = None if data["check"] is None else Check.from_dict(data["check"])
        return cls(tuple(kinds), main, tuple(RolledFile(**file) for file in data["files"]), check)


@dataclass(frozen=True)
class Rollout:
    """Holds all entries; the first that suits a device is its own."""

    entries: tuple[Entry, ...]

    def for_device(self, kinds: Sequence[str]) -> Entry:
        """Return what a device gets.

        Args:
            kinds: What it is, as `edgehr.benchmark.board.device_kinds` lists it.

        Raises:
            EdgehrError: Nothing is for it.
        """
        for entry in self.entries:
            if entry.suits(kinds):
                return entry
        known = ", ".join(kind for entry in self.entries for kind in entry.kinds)
        raise EdgehrError(f"the rollout has nothing for this device ({', '.join(kinds)}), only for {known}: see --kind")

    def to_json(self) -> str:
        """Write the file."""
        return json.dumps({"schema": SCHEMA, "entries": [entry.to_dict() for entry in self.entries]}, indent=1)

    @classmethod
    def from_data(cls, data: Any, name: str) -> Rollout:
        """Read what `to_json` wrote.

        Args:
            data: The content of the file, as JSON has it.
            name: What messages call the file.

        Raises:
            EdgehrError: It is something else.
        """
        try:
            if data["schema"] != SCHEMA:
                raise EdgehrError(f"{name}: is a rollout of another version of edgehr")
            return cls(tuple(Entry.from_dict(entry) for entry in data["entries"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EdgehrError(f"{name}: is no rollout file ({type(error).__name__}: {error})") from None
