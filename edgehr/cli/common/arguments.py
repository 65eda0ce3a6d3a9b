"""Arguments that several commands take, and what is wrong with them."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgehr.errors import EdgehrError


def count(text: str) -> int:
    """Parse a whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def check_page(path: Path) -> None:
    """Raise EdgehrError for a name that is none of a page, or where nothing can be written."""
    from edgehr.files import check_writable

    if path.suffix not in (".html", ".htm"):
        raise EdgehrError(f"{path}: the page's name must end in .html")
    check_writable(path)
