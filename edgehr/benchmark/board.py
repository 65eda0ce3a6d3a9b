"""The power mode and clocks of a Jetson: figures without them mean little."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

RELEASE = "etc/nv_tegra_release"
POWER_STATUS = "var/lib/nvpmodel/status"
POWER_MODES = "etc/nvpmodel.conf"
CPU_CLOCK = "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
GPU_CLOCKS = "sys/class/devfreq/*gpu*/cur_freq"


@dataclass(frozen=True)
class Board:
    """Holds the power mode and clocks of a Jetson.

    Attributes:
        power_mode: The name that NVIDIA's `nvpmodel` gives it, or its number where the name is not known.
        clocks: Present CPU and GPU clock, in words.
    """

    power_mode: str
    clocks: str

    def to_dict(self) -> dict[str, str]:
        """Convert to plain JSON types."""
        return asdict(self)


def read_board(root: Path = Path("/")) -> Board | None:
    """Read the state; None where this is no Jetson.

    Args:
        root: Where the file system begins.
    """
    if not (root / RELEASE).is_file():
        return None
    clocks = []
    for label, path, unit in (("CPU", root / CPU_CLOCK, 1e3), ("GPU", next(root.glob(GPU_CLOCKS), None), 1e6)):
        value = read_text(path) if path is not None else ""
        if value.isdigit():
            clocks.append(f"{label} {int(value) / unit:.0f} MHz")
    return Board(_power_mode(root), ", ".join(clocks) or "clocks not readable")


def device_kinds(root: Path = Path("/")) -> list[str]:
    """List what kinds of device this is, the most special first: its board, ``jetson``, its architecture.

    Args:
        root: Where the file system begins.
    """
    model = read_text(root / "proc/device-tree/model").strip("\0 \n").lower()
    board = re.sub(r"[^a-z0-9]+", "-", model).strip("-")
    jetson = "jetson" if (root / RELEASE).is_file() else ""
    architecture = platform.machine().lower()
    return [kind for kind in (board, jetson, f"{platform.system().lower()}-{architecture}", architecture) if kind]


def _power_mode(root: Path) -> str:
    """Read the power mode from the files of `nvpmodel`, or ask it where they are not for everybody."""
    status = read_text(root / POWER_STATUS)
    if status:
        number = status.removeprefix("pmode:").lstrip("0") or "0"
        return _mode_name(read_text(root / POWER_MODES), number)
    program = shutil.which("nvpmodel")
    if not program:
        return "unknown"
    try:
        told = subprocess.run([program, "-q"], capture_output=True, text=True, timeout=10, check=False).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    named = re.search(r"^NV Power Mode: *(\S+)", told, re.MULTILINE)  # the number follows in a line of its own
    return named[1] if named else "unknown"


def _mode_name(config: str, number: str) -> str:
    for line in config.splitlines():  # < POWER_MODEL ID=2 NAME=MODE_15W >
        words = dict(word.split("=", 1) for word in line.strip("< >").split() if "=" in word)
        if line.lstrip("< ").startswith("POWER_MODEL") and words.get("ID") == number:
            return words.get("NAME", number)
    return number


def read_text(path: Path) -> str:
    """Read a file of the system; nothing where it is not there, or not for everybody."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
