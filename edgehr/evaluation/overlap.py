"""Whether images are the same picture: a model is not evaluated on what it was calibrated on.

A picture's fingerprint is its luminance in 6x6 fields. It is that of the picture, not of the file: it survives another
format, another size and strong compression, though not a crop, a mirrored or a retouched copy.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import ArtifactError, EdgehrError
from edgehr.opencv import cv2
from edgehr.runtimes.artifact import Artifact
from edgehr.tasks.image.reading import Image, read_reduced

FIELDS = 6
# Levels (of 256) that any field of a copy may be off. Of 226 COCO images as JPEG of quality 25 to 90, WebP, PNG, at
# half and double size, the worst field was off by 10. Of 10 million pairs of person crops one was within 10, the same
# photograph twice, and the next were 11 and 14 apart.
TOLERANCE = 10
# A picture without contrast, a black frame for one, looks like any other such.
LEAST_CONTRAST = 32


def fingerprint(image: Image) -> str:
    """Fingerprint a (H, W, 3) BGR image of any size in 48 letters; in none where it has no contrast."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    fields = np.rint(cv2.resize(gray, (FIELDS, FIELDS), interpolation=cv2.INTER_AREA)).astype(np.uint8)
    if int(fields.max()) - int(fields.min()) < LEAST_CONTRAST:
        return ""
    return base64.b64encode(fields.tobytes()).decode()


def file_fingerprint(path: Path, size: tuple[int, int] | None = None) -> str:
    """Fingerprint an image file; raises EdgehrError where it cannot be read, or has another width and height."""
    return fingerprint(read_reduced(path, size)[0])


def among(prints: Sequence[str], known: Sequence[str]) -> list[int]:
    """Return the indices of those fingerprints that belong to a known picture.

    Raises:
        ArtifactError: Something in them is no fingerprint.
    """
    table = _fields(known)
    if not len(table):
        return []
    return [
        place
        for place, text in enumerate(prints)
        if text and (np.abs(table - _fields([text])).max(axis=1) <= TOLERANCE).any()
    ]


def refuse_calibrated(artifacts: Iterable[Artifact | None], images: Sequence[Path]) -> None:
    """Make sure that models were not calibrated on the images that they are evaluated on.

    Args:
        artifacts: What the models say of themselves; those that were not calibrated pass.
        images: The image files.

    Raises:
        EdgehrError: One was calibrated on some of them, or an image cannot be read.
    """
    known = {text: None for artifact in artifacts if artifact for text in artifact.calibration_images}
    if not known:
        return
    found = among([file_fingerprint(path) for path in images], list(known))
    if found:
        raise EdgehrError(
            f"{images[found[0]]}: the model was calibrated on this image ({len(found)} of the {len(images)} images "
            "given), so that figures would say too much: evaluate on others"
        )


def _fields(prints: Sequence[str]) -> NDArray[np.int16]:
    """Decode fingerprints to (N, 36) numbers, those of images without contrast left out."""
    try:
        data = b"".join(base64.b64decode(text, validate=True) for text in prints)
        return np.frombuffer(data, np.uint8).reshape(-1, FIELDS**2).astype(np.int16)
    except (binascii.Error, ValueError):
        raise ArtifactError("the fingerprints of the calibration images are damaged: convert the model again") from None
