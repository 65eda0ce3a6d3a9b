"""The state of a machine: figures without it mean little. Read from /proc and /sys, as far as these are there."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgehr.benchmark.board import read_board, read_text
from edgehr.runtimes.streams import usable_cores

_PACKAGES = {
    "openvino": "openvino",
    "onnxruntime": "onnxruntime",
    "remote": "tritonclient",
    "tflite": "ai-edge-litert",
    "tensorrt": "tensorrt",
}
_CPUS = "sys/devices/system/cpu"
# Bits of a Raspberry Pi's `get_throttled` that tell of now; the same 16 bits higher of the time since it was started.
_PI_BITS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
_PI_THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
# By the number that the cores of ARM's own design tell.
_ARM_CORES = {
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd0d": "Cortex-A77",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd44": "Cortex-X1",
}
# Above these, figures are of a machine that had something else to do.
_BUSY_CORES, _STOLEN, _CLOCK_DROP = 0.15, 0.02, 0.1


@dataclass(frozen=True)
class State:
    """Holds what a machine says of itself at one moment; what it does not tell is empty or None.

    Attributes:
        governors: Of the cores' clocks, each once: ``performance``, ``schedutil``, ...
        clock_mhz: Present clock of the cores, their mean.
        clock_limit_mhz: The highest clock that they are allowed.
        turbo: Whether they may go beyond their nominal clock.
        temperatures: Degrees Celsius by sensor.
        throttled: How often cores were slowed down for their heat since the machine was started, all of them together.
        throttling: What a Raspberry Pi says of its supply and heat.
        load: Processes that wanted to run in the last minute, on average.
        power_mode: Of a Jetson.
        clocks: Of a Jetson, in words.
    """

    governors: list[str] = field(default_factory=list)
    clock_mhz: float | None = None
    clock_limit_mhz: float | None = None
    turbo: bool | None = None
    temperatures: dict[str, float] = field(default_factory=dict)
    throttled: int | None = None
    throttling: list[str] = field(default_factory=list)
    load: float | None = None
    power_mode: str = ""
    clocks: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Cores:
    """Tells the cores of a machine.

    Attributes:
        processor: Their name.
        usable: How many this process may use.
        all: How many there are.
        quota: How many cores' time a container may use, where that is limited.
    """

    processor: str
    usable: int
    all: int
    quota: float | None


def read_cores(root: Path = Path("/")) -> Cores:
    """Read what cores there are; `root` is where the file system begins."""
    lines = read_text(root / "proc/cpuinfo").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model", "Hardware"))]
    board = read_text(root / "proc/device-tree/model").strip("\0 \n")
    processor = (names and names[0]) or board or _arm_core(lines) or platform.processor() or "unknown processor"
    all_cores = os.cpu_count() or 1
    usable = usable_cores()
    limit, _, period = read_text(root / "sys/fs/cgroup/cpu.max").partition(" ")
    if not limit:  # the older cgroups
        limit = read_text(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us")
        period = read_text(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us")
    quota = int(limit) / int(period) if limit.isdecimal() and period.isdecimal() and int(period) else None
    return Cores(processor, usable, all_cores, quota if quota and quota < usable else None)


def _arm_core(lines: Sequence[str]) -> str:
    """Name the ARM cores of /proc/cpuinfo, which has numbers for them; the fastest ones of several kinds are last."""
    parts = [line.split(":", 1)[1].strip() for line in lines if line.startswith("CPU part")]
    kinds = dict.fromkeys(parts)
    return " and ".join(_ARM_CORES.get(part, f"ARM core {part}") for part in kinds)


def machine() -> str:
    """Name the processor, its usable cores and the system."""
    cores = read_cores()
    return f"{cores.processor}, {cores.usable} cores, {platform.system()} {platform.machine()}"


def software() -> str:
    """Name the versions of edgehr, where it is installed, and of what it runs on."""
    try:
        own = f"edgehr {version('edgehr')}, "
    except PackageNotFoundError:  # a folder on the path
        own = ""
    return f"{own}Python {platform.python_version()}, {platform.system()} {platform.release()}"


def runtime_version(backend: str) -> str:
    """Name a backend with the version of its package, if that can be told."""
    try:
        return f"{backend} {version(_PACKAGES[backend])}"
    except (PackageNotFoundError, KeyError):
        return backend


def read_state(root: Path = Path("/")) -> State:
    """Read the state of the machine; `root` is where the file system begins."""
    cores = sorted((root / _CPUS).glob("cpu[0-9]*"))
    clocks = [int(text) / 1000 for text in _read_all(cores, "cpufreq/scaling_cur_freq") if text.isdecimal()]
    if not clocks:  # as in virtual machines
        lines = read_text(root / "proc/cpuinfo").splitlines()
        clocks = [float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")]
    limits = [int(text) / 1000 for text in _read_all(cores, "cpufreq/scaling_max_freq") if text.isdecimal()]
    counts = [int(text) for text in _read_all(cores, "thermal_throttle/core_throttle_count") if text.isdecimal()]
    load = read_text(root / "proc/loadavg").split()
    board = read_board(root)
    return State(
        governors=sorted(set(_read_all(cores, "cpufreq/scaling_governor"))),
        clock_mhz=sum(clocks) / len(clocks) if clocks else None,
        clock_limit_mhz=max(limits, default=None),
        turbo=_turbo(root),
        temperatures=_temperatures(root),
        throttled=sum(counts) if counts else None,
        throttling=_throttling(read_text(root / _PI_THROTTLED)),
        load=float(load[0]) if load else None,
        power_mode=board.power_mode if board else "",
        clocks=board.clocks if board else "",
    )


def _read_all(folders: Sequence[Path], name: str) -> Iterator[str]:
    return filter(None, (read_text(folder / name) for folder in folders))


def _turbo(root: Path) -> bool | None:
    """Read whether turbo is on; Intel's own driver says when it is off."""
    off, on = read_text(root / _CPUS / "intel_pstate/no_turbo"), read_text(root / _CPUS / "cpufreq/boost")
    return off == "0" if off else on == "1" if on else None


def _temperatures(root: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        text = read_text(zone / "temp")
        if text.lstrip("-").isdecimal():  # sensors that are asleep have none
            name = read_text(zone / "type") or zone.name
            found[name if name not in found else f"{name} {zone.name}"] = int(text) / 1000
    return found


def _throttling(text: str) -> list[str]:
    try:
        bits = int(text, 16)
    except ValueError:
        return []
    return [name for bit, name in _PI_BITS.items() if bits >> bit & 1] + [
        f"{name} since start" for bit, name in _PI_BITS.items() if bits >> (bit + 16) & 1 and not bits >> bit & 1
    ]


@dataclass(frozen=True)
class Use:
    """Tells how the cores were used while something ran.

    Attributes:
        seconds: How long that was.
        others: Cores that other processes kept busy meanwhile, on average; None where the system does not tell.
        stolen: The share of time that a virtual machine's host gave to others.
    """

    seconds: float
    others: float | None = None
    stolen: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


class UseMeter:
    """Tells how much other processes compute.

    Args:
        own: Processes beside this one that count as its own, such as a load that it has made.
        root: Where the file system begins.
    """

    def __init__(self, own: Sequence[int] = (), root: Path = Path("/")) -> None:
        self._root, self._own = root, own
        self._before = self._sample()

    def _sample(self) -> tuple[float, float, float, float] | None:
        """Return the time by the clock, and seconds that all, the host's others and our own processes computed."""
        fields = read_text(self._root / "proc/stat").split("\n", 1)[0].split()[1:]
        if len(fields) < 8:
            return None
        user, nice, system, _idle, _wait, irq, softirq, steal = (int(each) for each in fields[:8])
        tick = os.sysconf("SC_CLK_TCK")
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        for process in self._own:
            rest = read_text(self._root / f"proc/{process}/stat").rpartition(")")[2].split()
            own += (int(rest[11]) + int(rest[12])) / tick if len(rest) > 12 else 0
        return time.monotonic(), (user + nice + system + irq + softirq) / tick, steal / tick, own

    def read(self) -> Use:
        """Return how the cores were used since this was made."""
        after = self._sample()
        if after is None or self._before is None:
            return Use(0.0)
        seconds, busy, steal, own = (now - then for now, then in zip(after, self._before, strict=True))
        seconds = max(seconds, 1e-9)
        return Use(seconds, max(busy - own, 0) / seconds, steal / seconds / (os.cpu_count() or 1))


def remarks(cores: Cores, before: State, after: State, use: Use) -> list[str]:
    """Say in sentences what of the machine's state makes figures worth less."""
    found = []
    if cores.quota:
        found.append(f"this container may use {cores.quota:.3g} of {cores.usable} cores: it is stopped now and then")
    slow = [name for name in before.governors if name != "performance"]
    if slow:
        found.append(f"the clock's governor is {', '.join(slow)}: for steady figures set it to performance")
    if after.throttled is not None and before.throttled is not None and after.throttled > before.throttled:
        found.append("cores got too hot and were slowed down meanwhile: cool the machine, or rest it between runs")
    if after.throttling:
        found.append(f"the board reports {', '.join(after.throttling)}: check its supply and cooling")
    if before.clock_mhz and after.clock_mhz and after.clock_mhz < (1 - _CLOCK_DROP) * before.clock_mhz:
        found.append(f"the clock fell from {before.clock_mhz:.0f} to {after.clock_mhz:.0f} MHz")
    if use.others is not None and use.others > _BUSY_CORES:
        found.append(f"other programs kept {use.others:.1f} cores busy meanwhile")
    if use.stolen is not None and use.stolen > _STOLEN:
        found.append(f"the host of this virtual machine took {100 * use.stolen:.0f} % of its time for others")
    return found
