"""A hash of a whole file, inside it: damage is found before a parser of native code sees a byte.

It stands behind a marker of the file's format, with zeros in its own place while it is computed, and then the length of
the file. It is no signature: who crafts a file can compute it too.
"""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path

from edgehr.errors import ArtifactError
from edgehr.notices import warn_once

HASH_KEY = "edgehr.sha256"
_HASH = 64
_LENGTH = 12
# What is written first: the place of the hash, a space, and that of the length.
PLACEHOLDER = "0" * _HASH + " " + "0" * _LENGTH


def sealed(content: bytes, marker: bytes) -> bytes:
    """Put the hash and the length of a file where its placeholder stands.

    Args:
        content: The file.
        marker: What stands right before the placeholder, last of all places where these bytes stand.
    """
    start = content.rindex(marker) + len(marker)
    if content[start : start + len(PLACEHOLDER)] != PLACEHOLDER.encode():
        raise ValueError("there is no placeholder")
    length = f"{len(content):0{_LENGTH}d}".encode()
    filled = content[: start + _HASH + 1] + length + content[start + len(PLACEHOLDER) :]
    return filled[:start] + hashlib.sha256(filled).hexdigest().encode() + filled[start + _HASH :]


def is_whole(path: Path, marker: bytes, name: bytes) -> bool:
    """Tell whether a file is what edgehr wrote.

    One that another program has written anew, which a new length shows, still says what it is of; a warning tells.

    Args:
        path: The file.
        marker: As for `sealed`.
        name: The part of the marker that nothing else has: where it stands without the rest, that is damaged.

    Returns:
        Whether it is; False where no hash stands in it, and where it was written anew.

    Raises:
        ArtifactError: It is damaged, or cannot be read.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            place = content.rfind(marker)
            if place < 0:
                if content.rfind(name) < 0:
                    return False
                raise _damaged(path)
            start = place + len(marker)
            stated, length = content[start : start + _HASH], content[start + _HASH + 1 : start + len(PLACEHOLDER)]
            digest = hashlib.sha256(content[:start])
            digest.update(b"0" * _HASH)
            digest.update(content[start + _HASH :])
            size = len(content)
    except (OSError, ValueError) as error:  # the latter of an empty file
        raise ArtifactError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if digest.hexdigest().encode() == stated:
        return True
    if length == f"{size:0{_LENGTH}d}".encode():
        raise _damaged(path)
    warn_once(
        "runtimes",
        f"{path}: is not the file that edgehr wrote: another program has written it anew, or it is damaged; "
        "what it returns was not compared with the original",
    )
    return False


def _damaged(path: Path) -> ArtifactError:
    return ArtifactError(f"{path}: was damaged or altered: it is not the file that edgehr wrote; convert it again")
