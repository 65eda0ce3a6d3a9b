"""Processes that compute, and that they always end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgehr.benchmark.busy import busy_processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(process: int, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while alive(process) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(process)


def test_they_compute_until_the_block_ends() -> None:
    with busy_processes(2) as ids:
        assert len(set(ids)) == 2
        assert all(alive(each) for each in ids)
        os.kill(ids[0], signal.SIGINT)  # Ctrl-C in the terminal reaches them, too
        before = os.times().children_user
        time.sleep(0.2)
        assert alive(ids[0])
    assert not any(alive(each) for each in ids)
    assert os.times().children_user > before
    with busy_processes(0) as ids:
        assert ids == []


def test_they_end_with_an_error() -> None:
    with pytest.raises(KeyboardInterrupt), busy_processes(1) as ids:
        raise KeyboardInterrupt
    assert not alive(ids[0])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_they_end_with_whoever_started_them(number: signal.Signals) -> None:
    code = "from edgehr.benchmark.busy import busy_processes as b\nwith b(1) as ids: print(*ids, flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    busy = int(process.stdout.readline())
    assert alive(busy)
    process.send_signal(number)
    process.communicate()
    assert gone(busy)
