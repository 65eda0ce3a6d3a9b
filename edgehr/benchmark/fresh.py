"""Start of a model in a process of its own: what a program waits for, and what it takes in memory.

Another process has imported the library, and opened the file, before; so each figure comes from a new one.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgehr.errors import EdgehrError

LIMIT_S = 600
INFERENCES = 10  # before memory is read: some backends take theirs late


@dataclass(frozen=True)
class Start:
    """Tells how a model starts.

    Attributes:
        load_ms: From nothing to an open model, the import of the runtime's library with it.
        first_ms: The first inference.
        reload_ms: Opening it once more in the same process, as the library is there already.
        peak_mib: The most memory that the process held while it did this and ran ten inferences, everything included;
            None where the system does not tell.
    """

    load_ms: float
    first_ms: float
    reload_ms: float
    peak_mib: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return vars(self).copy()

    @classmethod
    def median(cls, starts: Sequence[Start]) -> Start:
        """Take the medians of several, and the most memory."""
        load, first, again = (
            statistics.median(getattr(each, name) for each in starts) for name in ("load_ms", "first_ms", "reload_ms")
        )
        return cls(load, first, again, max((each.peak_mib for each in starts if each.peak_mib), default=None))


def start_fresh(candidate: dict[str, Any]) -> Start:
    """Open a candidate (as `Candidate.to_dict` gives it) in a new process and run it.

    Raises:
        EdgehrError: It cannot be opened or run, or that process crashed.
    """
    command = [sys.executable, "-m", "edgehr.benchmark.fresh", json.dumps(candidate)]
    name = candidate["path"]
    try:
        done = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=LIMIT_S
        )
    except subprocess.TimeoutExpired:
        raise EdgehrError(f"{name}: a new process did not run it in {LIMIT_S} s") from None
    if done.returncode < 0:
        raise EdgehrError(f"{name}: a new process that runs it crashes (signal {-done.returncode})")
    try:
        told = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise EdgehrError(f"{name}: a new process cannot run it: {last[0]}") from None
    if "error" in told:
        raise EdgehrError(told["error"])
    return Start(**told)


def peak_mib() -> float | None:
    """Read the most memory that this process has held, MiB; None where the system does not tell.

    On Linux from the kernel's status of the process: `getrusage` would add what its parent held when it started it.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
        return int(found[1]) / 1024 if found else None
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main() -> None:
    """Do it in this process, and print a line of JSON."""
    data = json.loads(sys.argv[1])
    started = time.perf_counter()
    try:
        from edgehr.runtimes import load

        settings = {name: data[name] for name in ("threads", "precision")}
        runtime = load(data["path"], data["device"], **settings)
        loaded = time.perf_counter()
        from edgehr.benchmark.candidates import Candidate

        fed = replace(Candidate.from_dict(data), at_once=None).feed(runtime)
        before = time.perf_counter()
        fed.call()
        first = time.perf_counter()
        for _ in range(INFERENCES):
            fed.call()
        peak = peak_mib()
        runtime.close()
        again = time.perf_counter()
        runtime = load(data["path"], data["device"], **settings)
        reloaded = time.perf_counter()
        runtime.close()
    except EdgehrError as error:
        print(json.dumps({"error": str(error)}))
        return
    load_ms, first_ms, reload_ms = (1000 * each for each in (loaded - started, first - before, reloaded - again))
    print(json.dumps(Start(load_ms, first_ms, reload_ms, peak).to_dict()))


if __name__ == "__main__":
    main()
