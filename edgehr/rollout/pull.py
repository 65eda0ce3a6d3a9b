"""Pull: get what a rollout has for this device, try it, and only then put it in the place of what was there.

Each version has a folder of its own, and `current` is a link to one of them, which is replaced in one step. So whoever
opens `current/...` gets all files of the old model or all of the new one, and a kill at any moment leaves one of both.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from edgehr.errors import EdgehrError
from edgehr.files import atomic_write, only_one, read_json, sha256_file
from edgehr.rollout.check import plain
from edgehr.rollout.manifest import ENTRY, NAME, Entry, RolledFile, Rollout
from edgehr.unfinished import new_scratch, remove_leftovers, sync
from edgehr.zoo.fetch import NETWORK_ERRORS, Progress, fetch_part

_LOG = logging.getLogger("edgehr.rollout")

CURRENT, PREVIOUS = "current", "previous"
_VERSIONS, _DOWNLOADS = "versions", ".downloads"
_LEFT = ".left-by-back.json"
MOST_BYTES = 16 << 20  # of the rollout file
PATIENCE_S = 600.0  # for another pull into the same folder
CHECK_S = 600.0
TRIES = 3  # of a download that breaks off, each from where the last one ended


@dataclass(frozen=True)
class Pulled:
    """Says what there is now.

    Attributes:
        path: The main file of the model.
        version: Which it is.
        changed: Whether that is another one than before.
        difference: How far its outputs are from those of the machine that made the rollout, in standard deviations;
            None where nothing was compared.
    """

    path: Path
    version: str
    changed: bool
    difference: float | None = None


def pull(url: str, folder: Path, kinds: Sequence[str], progress: Progress | None = None) -> Pulled:
    """Bring a folder to what a rollout has for a device.

    A download that breaks off goes on where it was, now or with the next pull. What was there stays as `previous`.

    Args:
        url: Of the rollout file, or of the folder that holds it, with a slash at the end.
        folder: Made if needed.
        kinds: What the device is.
        progress: Told of the bytes of each file.

    Raises:
        EdgehrError: The server does not answer or sends something else, nothing is for this device, the model fails
            its self-check, or the folder cannot be written to. What was there before is there still.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise EdgehrError(f"{url}: expected an address of a web server, http:// or https://")
    with _locked(folder):
        address = urljoin(url, NAME) if urlsplit(url).path in ("", "/") or url.endswith("/") else url
        entry = _rollout(address, folder).for_device(kinds)
        there = _installed(folder / CURRENT)
        if there is not None and there.version == entry.version and _whole(folder / CURRENT, entry):
            return Pulled(folder / CURRENT / entry.main, entry.version, changed=False)
        if there is not None and entry.version == _left(folder) != there.version:
            if not _whole(folder / CURRENT, there):
                raise EdgehrError(
                    f"{folder / CURRENT}: is damaged, and the rollout has what --back left: give another one"
                )
            _LOG.warning("%s was left by --back: it is not taken again; another rollout will be", entry.version)
            return Pulled(folder / CURRENT / there.main, there.version, changed=False)
        fetched = {file: _fetch(urljoin(address, file.path), folder, file, progress) for file in entry.files}
        with ExitStack() as stack:
            scratch = new_scratch(folder, stack)
            for file, content in fetched.items():
                _copy(content, scratch / file.name)
            (scratch / ENTRY).write_text(json.dumps(entry.to_dict()), encoding="utf-8")
            for path in scratch.iterdir():
                sync(path)
            difference = _check(scratch, entry, there)
            version = folder / _VERSIONS / f"{entry.version}-{secrets.token_hex(4)}"
            scratch.chmod(0o755)
            os.replace(scratch, version)
        sync(version.parent)
        _switch(folder, version)
        (folder / _LEFT).unlink(missing_ok=True)
        _tidy(folder)
    return Pulled(folder / CURRENT / entry.main, entry.version, changed=True, difference=difference)


def put_back(folder: Path) -> Pulled:
    """Exchange the current model and the previous one. Pulls do not bring back what was left; another `put_back` does.

    Raises:
        EdgehrError: There is no previous one.
    """
    with _locked(folder):
        before = _installed(folder / PREVIOUS)
        if before is None or not _whole(folder / PREVIOUS, before):
            raise EdgehrError(f"{folder}: holds no previous model to go back to")
        left = _installed(folder / CURRENT)
        again = before.version == _left(folder)
        with atomic_write(folder / _LEFT) as (temporary,):
            temporary.write_text(json.dumps({"version": left.version if left and not again else ""}), encoding="utf-8")
        _switch(folder, (folder / PREVIOUS).resolve())
        return Pulled(folder / CURRENT / before.main, before.version, changed=True)


def pulled_model(folder: str | os.PathLike[str]) -> Path:
    """Find the main file of the model that `edgehr pull` brought into a folder.

    Its folder is that of the version, without the link, so that a pull meanwhile does not exchange files while they are
    opened.

    Raises:
        EdgehrError: Nothing was pulled there.
    """
    current = Path(folder) / CURRENT
    entry = _installed(current)
    if entry is None:
        raise EdgehrError(f"{folder}: holds no model: run `edgehr pull URL --out {folder}`")
    return current.resolve() / entry.main


def _locked(folder: Path) -> ExitStack:
    """Lock a folder, made if needed, and clear what a killed pull left in it."""
    stack = ExitStack()
    try:
        for path in (folder / _VERSIONS, folder / _DOWNLOADS):
            path.mkdir(parents=True, exist_ok=True)
        stack.enter_context(only_one(folder, PATIENCE_S))
        remove_leftovers(folder.resolve())
    except OSError as error:
        stack.close()
        raise EdgehrError(f"cannot write to {folder}: {error.strerror or error}") from None
    return stack


def _rollout(address: str, folder: Path) -> Rollout:
    part = folder / _DOWNLOADS / NAME
    part.unlink(missing_ok=True)
    _download(address, part, None, MOST_BYTES)
    try:
        data = read_json(part)
    except EdgehrError as error:
        reason = str(error).removeprefix(f"{part}: ")
        raise EdgehrError(
            f"{address}: is no {NAME} ({reason}): give its address, or that of its folder with a / at the end"
        ) from None
    finally:
        part.unlink()
    return Rollout.from_data(data, address)


def _fetch(url: str, folder: Path, file: RolledFile, progress: Progress | None) -> Path:
    """Return a file of this content: of the model that is there, of a pull that broke off, or from the server."""
    for version in (CURRENT, PREVIOUS):
        known = _installed(folder / version)
        for other in known.files if known else ():
            path = folder / version / other.name
            if other.sha256 == file.sha256 and path.is_file() and sha256_file(path) == file.sha256:
                return path
    part = folder / _DOWNLOADS / file.sha256
    if not part.is_file() or sha256_file(part) != file.sha256:
        if part.is_file() and part.stat().st_size >= file.size:
            part.unlink()
        _download(url, part, progress, file.size)
        digest = sha256_file(part)
        if digest != file.sha256:
            part.unlink()
            raise EdgehrError(
                f"{url}: is not {file.name} as the rollout names it: its SHA-256 begins {digest[:16]}, expected "
                f"{file.sha256[:16]}"
            )
    return part


def _download(url: str, part: Path, progress: Progress | None, most: int) -> None:
    for left in reversed(range(TRIES)):
        have = part.stat().st_size if part.exists() else 0
        try:
            fetch_part(url, part, progress, most)
            return
        except NETWORK_ERRORS as error:
            more = part.exists() and part.stat().st_size > have
            if not left or not more:
                reason = getattr(error, "reason", None) or error
                absent = getattr(error, "code", 0) == 404
                help_ = "is the rollout served there, whole?" if absent else "run the command again to go on"
                raise EdgehrError(f"cannot download {url} ({reason}): {help_}") from None
            _LOG.info("%s: broke off (%s); goes on", url, error)
        except OSError as error:
            raise EdgehrError(f"cannot write {part}: {error.strerror or error}") from None


def _copy(content: Path, target: Path) -> None:
    """Copy a file; without its bytes, where the file system can share them."""
    try:
        os.link(content, target)
    except OSError:
        shutil.copyfile(content, target)


def _check(scratch: Path, entry: Entry, there: Entry | None) -> float | None:
    """Try the new model in a process of its own; raises EdgehrError where it fails."""
    stays = f"{there.main} of before stays" if there else "nothing is put in place"
    reference = scratch / f".{ENTRY}"
    reference.write_text(json.dumps(plain(entry.check)), encoding="utf-8")
    command = [sys.executable, "-m", "edgehr.rollout.check", str(scratch / entry.main), str(reference)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise EdgehrError(f"{entry.main} fails its self-check (no end after {CHECK_S:.0f} s): {stays}") from None
    reference.unlink()
    told: dict[str, Any] = {}
    with suppress(ValueError, IndexError):
        told = json.loads(done.stdout.splitlines()[-1])
    if "difference" not in told:
        ended = [line for line in done.stderr.splitlines() if line.strip()] or [f"it ended with {done.returncode}"]
        reason = str(told.get("error", ended[-1])).replace(f"{scratch}{os.sep}", "")
        raise EdgehrError(f"{entry.main} fails its self-check ({reason}): {stays}")
    difference: float | None = told["difference"]
    if entry.check and difference is not None and not difference <= entry.check.tolerance:
        raise EdgehrError(
            f"{entry.main} fails its self-check (its outputs are {difference:.3g} standard deviations off, above "
            f"{entry.check.tolerance:g}): {stays}"
        )
    return difference


def _installed(version: Path) -> Entry | None:
    """Read what a version is; None where there is none, or it is damaged."""
    with suppress(EdgehrError, KeyError, TypeError, ValueError, AttributeError):
        return Entry.from_dict(read_json(version / ENTRY))
    return None


def _left(folder: Path) -> str:
    """Return the version that was current before `put_back`; empty for none."""
    with suppress(EdgehrError, AttributeError):
        return str(read_json(folder / _LEFT).get("version", ""))
    return ""


def _whole(version: Path, entry: Entry) -> bool:
    files = [(version / file.name, file.sha256) for file in entry.files]
    return all(path.is_file() and sha256_file(path) == digest for path, digest in files)


def _switch(folder: Path, version: Path) -> None:
    """Let `current` be a version, and `previous` what was it before."""
    old = folder / CURRENT
    before = old.resolve() if old.exists() else None
    if before is not None and before != version.resolve():
        _link(folder / PREVIOUS, before)
    _link(folder / CURRENT, version)
    sync(folder)


def _link(link: Path, version: Path) -> None:
    temporary = link.with_name(f".{link.name}-{secrets.token_hex(4)}")
    try:
        temporary.symlink_to(Path(_VERSIONS) / version.name, target_is_directory=True)
        os.replace(temporary, link)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise EdgehrError(f"{link}: no link can be made here: {error.strerror or error}") from None


def _tidy(folder: Path) -> None:
    """Remove versions that are neither current nor previous, links of a killed pull, and what was downloaded."""
    kept = {(folder / link).resolve() for link in (CURRENT, PREVIOUS)}
    for version in (folder / _VERSIONS).iterdir():
        if version.resolve() not in kept:
            shutil.rmtree(version, ignore_errors=True)
    for old in (*folder.glob(f".{CURRENT}-*"), *folder.glob(f".{PREVIOUS}-*"), *(folder / _DOWNLOADS).iterdir()):
        old.unlink(missing_ok=True)
