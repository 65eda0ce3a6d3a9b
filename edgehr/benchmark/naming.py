"""Name candidates shortly, by what tells them apart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgehr.benchmark.candidates import Candidate

_SETTINGS = ("device", "precision", "threads", "streams", "at_once")


def candidate_names(candidates: Sequence[Candidate]) -> list[str]:
    """Name candidates by what tells them apart: their files, then settings that are not the same for all."""
    paths = list(dict.fromkeys(each.path for each in candidates))
    files = dict(zip(paths, short_labels(paths), strict=True))
    settings = [{name: getattr(each, name) for name in _SETTINGS} for each in candidates]
    differ = [name for name in settings[0] if len({each[name] for each in settings}) > 1] if settings else []
    names = [
        ", ".join([files[each.path], *(_written(name, setting[name]) for name in differ)])
        for each, setting in zip(candidates, settings, strict=True)
    ]
    return [name if names.count(name) == 1 else f"{name} #{names[:i].count(name) + 1}" for i, name in enumerate(names)]


def _written(name: str, value: object) -> str:
    if value is None:
        return f"default {name}" if name != "at_once" else "one at once"
    if name in ("threads", "streams"):
        return f"{value} {name.removesuffix('s') if value == 1 else name}"
    return f"{value} at once" if name == "at_once" else str(value)


def short_labels(paths: Sequence[Path]) -> list[str]:
    """Name files by what tells them apart: their names without what all have in front, up to a hyphen.

    `m-256x192-fp32.xml` and `m-256x192-int8.xml` become `fp32.xml` and `int8.xml`; files of one name in several folders
    keep their folders. Control characters, which a file's name may hold, upset terminals and XML, and become `?`.
    """
    names, full = (
        ["".join(letter if letter.isprintable() else "?" for letter in text) for text in texts]
        for texts in ([path.name for path in paths], map(str, paths))
    )
    common = os.path.commonprefix(names) if len(names) > 1 else ""  # noqa: RUF071 - of names, not of paths
    short = [name[common.rfind("-") + 1 :] for name in names]
    if len(set(short)) == len(short) and all(Path(name).stem for name in short):
        return short
    return full if len(set(full)) == len(full) else [f"{number + 1}: {name}" for number, name in enumerate(full)]
