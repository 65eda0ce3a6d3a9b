"""The journal of a search, by which it goes on where it was and decides as it did."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgehr.errors import EdgehrError
from edgehr.files import atomic_write, read_json

_LOG = logging.getLogger("edgehr.tune")

SCHEMA = 1


class Journal:
    """Keeps results in a JSON file, each under what it was made of.

    Args:
        path: The file; it is made with the first result.

    Raises:
        EdgehrError: It is there and cannot be read, or is something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()  # searches on several machines write side by side
        self._entries: dict[str, Any] = {}
        if path.exists():
            data = read_json(path)
            if not isinstance(data, dict) or data.get("schema") != SCHEMA or not isinstance(data.get("entries"), dict):
                raise EdgehrError(f"{path}: is no journal of this edgehr: name another folder with --out, or remove it")
            self._entries = data["entries"]

    def find(self, kind: str, of: Mapping[str, Any]) -> Any:
        """Return the result of this kind that was made of just this; None for none, and for a damaged one."""
        entry = self._entries.get(_key(kind, of))
        if not isinstance(entry, dict) or entry.get("sha256") != _key(kind, [of, entry.get("result")]):
            entry = None
        _LOG.debug("%s: %s in %s", kind, "known" if entry else "not", self._path)
        return entry["result"] if entry else None

    def write(self, kind: str, of: Mapping[str, Any], result: Any) -> None:
        """Write a result down, in plain JSON types.

        Args:
            kind: What it is.
            of: Everything that it depends on, in plain JSON types.
            result: What was found.
        """
        entry = {"kind": kind, "of": dict(of), "result": result, "sha256": _key(kind, [of, result])}
        with self._lock, atomic_write(self._path) as (temporary,):
            self._entries[_key(kind, of)] = entry
            temporary.write_text(json.dumps({"schema": SCHEMA, "entries": self._entries}, indent=1), encoding="utf-8")


def _key(kind: str, of: Any) -> str:
    return hashlib.sha256(json.dumps([kind, of], sort_keys=True).encode()).hexdigest()[:32]
