"""Two photographs of people that ship with edgehr: the demo's default, and what conversions are compared on.

Origin and terms are in NOTICE.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def photographs() -> list[Path]:
    """List the paths of the photographs, in a fixed order."""
    return sorted(FOLDER.glob("*.jpg"))
