"""Make the folder that a web server serves: the files, and the rollout file when all of them are there."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Sequence
from pathlib import Path

from edgehr.errors import EdgehrError
from edgehr.files import atomic_write, sha256_file
from edgehr.notices import warn_once
from edgehr.rollout.check import TOLERANCE, Check
from edgehr.rollout.manifest import ANY, FILES, NAME, Entry, RolledFile, Rollout
from edgehr.runtimes.formats import check_file, format_of, model_files


def make_rollout(
    wanted: Sequence[tuple[tuple[str, ...], Path]], folder: Path, *, check: bool = True, tolerance: float = TOLERANCE
) -> Rollout:
    """Put models into a folder for devices to pull.

    Files of earlier rollouts stay, for devices that are at them.

    Args:
        wanted: Kinds of device, and the model for them; the first that suits a device is its own.
        folder: Made if needed.
        check: Run each model here, so that devices can compare.
        tolerance: How far a device may be off, in standard deviations of an output.

    Raises:
        EdgehrError: A model is missing or damaged, or the folder cannot be written to.
    """
    _check_order([kinds for kinds, _ in wanted])
    entries, sources = [], {}
    for kinds, path in wanted:
        check_file(path)
        format_of(path)
        files = []
        for file in model_files(path):
            files.append(RolledFile(file.name, sha256_file(file), file.stat().st_size))
            sources[files[-1]] = file
        entries.append(Entry(kinds, path.name, tuple(files), _reference(path, tolerance) if check else None))
    rollout = Rollout(tuple(entries))
    for rolled, source in sources.items():
        target = folder / FILES / rolled.sha256
        if not target.is_file() or sha256_file(target) != rolled.sha256:
            with atomic_write(target) as (temporary,):
                shutil.copyfile(source, temporary)
    with atomic_write(folder / NAME) as (temporary,):
        temporary.write_text(rollout.to_json(), encoding="utf-8")
    return rollout


def _check_order(kinds: Sequence[tuple[str, ...]]) -> None:
    """Raise EdgehrError where an entry cannot be any device's, since those before it suit all that it names."""
    for place, wanted in enumerate(kinds):
        before = [name for each in kinds[:place] for name in each]
        first = [next((b for b in before if b == ANY or fnmatch.fnmatchcase(name, b)), "") for name in wanted]
        if first and all(first):
            raise EdgehrError(f"{','.join(wanted)}=...: no device gets it, as {first[0]}=... comes first")


def _reference(path: Path, tolerance: float) -> Check | None:
    """Run a model here; a plan for another machine's GPU only that machine can run."""
    try:
        return Check.of(path, tolerance)
    except EdgehrError as error:
        if path.suffix != ".plan":
            raise
        warn_once("rollout", f"{error}: devices try whether it opens and runs, and compare nothing")
        return None
