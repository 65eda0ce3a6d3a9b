"""Find weights in the package or in the cache, or fetch them from their publisher into the cache."""

from __future__ import annotations

import http.client
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edgehr.assets import packaged_model
from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.files import CACHE_ADVICE, cache_folder, sha256_file
from edgehr.zoo.detectors import other_exports

TIMEOUT_S = 30
BLOCK = 1 << 18
# Far above any checkpoint here. Without it a server that never ends would fill the disk.
MAX_BYTES = 8 << 30

Progress = Callable[[int, "int | None"], None]
# What `fetch_part` raises where it may help to try again later.
NETWORK_ERRORS = (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException)

_LOG = logging.getLogger("edgehr.zoo")

_SAMPLE = Path(__file__).parent / "sample"


def cached_path(card: ModelCard) -> Path:
    """Return where the weights of a card are, or would be after `fetch`.

    Raises:
        EdgehrError: The card names no weights.
    """
    if card.weights.origin == "sample":
        # What was published as a graph ships once, as the model that runs.
        return packaged_model(card.name) if card.weights.file.endswith(".onnx") else _SAMPLE / card.weights.file
    if not card.weights.url:
        raise EdgehrError(f"{card.name} has no published weights: pass a checkpoint of your own with --weights FILE")
    return cache_folder() / "weights" / card.weights.file


def find_weights(card: ModelCard) -> Path:
    """Find the weights of a card that are already on this machine.

    Raises:
        EdgehrError: They are not, and the message says how to get them; or the file there is another one.
    """
    path = cached_path(card)
    if _is_there(path):
        _check_hash(card, path)
    else:
        raise EdgehrError(
            f"the weights of {card.name} are not on this machine: run `edgehr fetch {card.name}`, "
            "or pass a checkpoint with --weights FILE"
        )
    return path


def fetch(card: ModelCard, progress: Progress | None = None) -> Path:
    """Download the weights of a card into the cache, unless they are there.

    An interrupted download goes on where it stopped. The file moves to its final name only once it is whole and its
    SHA-256 begins with the digits that the publisher put into the file name.

    Args:
        card: A card with published weights.
        progress: Called with the bytes so far and in all (None where the server does not say).

    Raises:
        EdgehrError: No network, no such file, wrong hash, no space, no folder to keep it in.
    """
    path = cached_path(card)
    if _is_there(path):
        _check_hash(card, path)
        _LOG.info("%s: the weights are here already, at %s", card.name, path)
        return path
    download(card.weights.url, path, lambda part: _check_hash(card, part), progress)
    return path


def download(url: str, path: Path, check: Callable[[Path], None], progress: Progress | None = None) -> None:
    """Download a file to `path`, going on where an earlier try stopped.

    Args:
        url: Its address.
        path: Where it goes, once it is whole and checked.
        check: Raises EdgehrError for a file that is not the wanted one; that is then deleted.
        progress: Called with the bytes so far and in all (None where the server does not say).

    Raises:
        EdgehrError: No network, no such file, wrong hash, no space, no folder to keep it in.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        fetch_part(url, part, progress)
    except NETWORK_ERRORS as error:
        reason = getattr(error, "reason", None) or error
        raise EdgehrError(
            f"cannot download {url} ({reason}): run the command again to go on, or get the file elsewhere "
            f"and put it at {path}"
        ) from None
    except OSError as error:
        raise EdgehrError(f"cannot write {part}: {error.strerror or error}: {CACHE_ADVICE}") from None
    try:
        check(part)
    except EdgehrError:
        part.unlink()
        raise
    os.replace(part, path)
    _LOG.info("%s: downloaded to %s", url, path)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # in the home folder of somebody else
        raise EdgehrError(f"cannot read {path}: {error.strerror or error}: {CACHE_ADVICE}") from None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to other web servers, but never from an encrypted connection to one that is not."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request to make in place of another; raises URLError for an address that is refused."""
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in ("http", "https") or (before == "https" and after != "https"):
            raise urllib.error.URLError(f"it sends on to {newurl[:200]!r}, from {before} to {after or 'nothing'}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch_part(url: str, part: Path, progress: Progress | None = None, most: int | None = None) -> None:
    """Download into `part`, going on behind what it holds if the server can.

    Args:
        url: Of a web server.
        part: The file.
        progress: As for `fetch`.
        most: Bytes that may come; None for more than any model has.

    Raises:
        NETWORK_ERRORS: No network, no such file, a connection that ends early, more than `most`.
        OSError: The file cannot be written.
    """
    most = MAX_BYTES if most is None else most
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 - from a card
    try:
        response = urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing left to send; the hash check decides whether the file is good
            return
        raise
    with response:
        begins = f"bytes {have}-"
        if response.status != 206:  # the server does not resume
            have = 0
        elif not response.headers.get("Content-Range", begins).startswith(begins):
            raise ConnectionError("the server sends another part than it was asked for")
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        _LOG.info("downloading %s from byte %d of %s", url, have, total or "an unknown number")
        with part.open("ab" if have else "wb") as file:
            while block := response.read(BLOCK):
                have += len(block)
                if have > most:
                    raise ConnectionError(f"the server sends more than {_size(most)}")
                file.write(block)
                if progress:
                    progress(have, total)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended after {have} of {total} bytes")


def _size(count: int) -> str:
    return f"{count >> 30} GiB" if count >= 1 << 30 else f"{count} bytes"


def is_published(card: ModelCard, digest: str) -> bool:
    """Tell whether a file of this SHA-256 holds the weights that a card names; a card without a hash names none."""
    known = card.weights.sha256
    return bool(known) and (digest.startswith(known) or digest in other_exports(card.name) or is_packaged(card, digest))


def is_packaged(card: ModelCard, digest: str) -> bool:
    """Tell whether a file of this SHA-256 is the model that ships with edgehr: those weights in half precision."""
    path = packaged_model(card.name)
    return path.is_file() and sha256_file(path) == digest


def _check_hash(card: ModelCard, path: Path) -> None:
    """Raise EdgehrError where a file is not what the card names."""
    digest = sha256_file(path)
    if card.weights.sha256 and not is_published(card, digest):
        raise EdgehrError(
            f"{path}: is not what {card.name} publishes: its SHA-256 begins {digest[:16]}, expected "
            f"{card.weights.sha256}; delete it if it is still there, and run the command again"
        )
