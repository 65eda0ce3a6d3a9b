"""Short names of artifacts for the heads of columns."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def short_labels(paths: Sequence[Path]) -> list[str]:
    """What tells files apart: their names without what all have in front, up to a hyphen.

    `m-256x192-fp32.xml` and `m-256x192-int8.xml` become `fp32.xml` and `int8.xml`; files of one name in several folders
    keep their folders.
    """
    names = [_printable(path.name) for path in paths]
    common = os.path.commonprefix(names)  # noqa: RUF071 - of names, not of paths
    cut = common.rfind("-") + 1
    short = [name[cut:] for name in names]
    if len(set(short)) == len(short) and all(Path(name).stem for name in short):
        return short
    full = [_printable(str(path)) for path in paths]
    return full if len(set(full)) == len(full) else [f"{number + 1}: {name}" for number, name in enumerate(full)]


def _printable(name: str) -> str:
    """Control characters, which a file's name may hold, upset terminals and XML."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)
