"""Build with setuptools, whose editable install is put before folders that are only called edgehr.

Its finder of the clone's modules comes after Python's own, which takes a folder ``edgehr`` in the current folder for a
namespace package: in the clone's parent, ``import edgehr`` would give an empty module.
"""

from __future__ import annotations

import base64
import hashlib
import warnings
import zipfile
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 - the other hooks are setuptools' own

# Python runs these files in the order of their names: after `__editable__.edgehr-VERSION.pth`, which adds the finder.
FIRST = "edgehr_first.pth"
LINE = (
    "import sys; sys.meta_path.sort(key=lambda finder: "
    "not getattr(finder, '__module__', '').startswith('__editable___edgehr_'))\n"
)


def build_editable(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build the editable wheel, and add the file that puts its finder first."""
    with warnings.catch_warnings():
        # It warns of folders called edgehr, which are no danger here, and pip shows that as if something were wrong.
        warnings.filterwarnings("ignore", message="Editable installation")
        name: str = build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
    path = Path(wheel_directory, name)
    with zipfile.ZipFile(path) as wheel:
        files = {entry: wheel.read(entry) for entry in wheel.namelist()}
    (record,) = (entry for entry in files if entry.endswith(".dist-info/RECORD"))
    digest = base64.urlsafe_b64encode(hashlib.sha256(LINE.encode()).digest()).rstrip(b"=").decode()
    files[record] = f"{FIRST},sha256={digest},{len(LINE)}\n".encode() + files[record]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for entry, content in {FIRST: LINE.encode(), **files}.items():
            wheel.writestr(entry, content)
    return name
