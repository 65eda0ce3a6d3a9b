"""A load of known size beside what is measured: processes that do nothing but compute."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Its standard input is a pipe that ends with the process at the other end, in whatever way that one ends. Ctrl-C goes
# to all processes of a terminal; whoever started this one then stops it.
_BUSY = """
import os, signal, sys, threading
signal.signal(signal.SIGINT, signal.SIG_IGN)
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
print("busy", flush=True)
while True:
    pass
"""


@contextmanager
def busy_processes(count: int) -> Iterator[list[int]]:
    """Keep so many other processes computing while the block runs, each enough for one core.

    They end with the block, and with this process even where that is killed.

    Yields:
        Their process ids.
    """
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            processes.append(
                subprocess.Popen([sys.executable, "-c", _BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
            )
        for process in processes:
            if process.stdout is not None:
                process.stdout.readline()  # it computes from here on
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
