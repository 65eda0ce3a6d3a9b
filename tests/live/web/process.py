"""A page in a process of its own, which can be killed.

python -m tests.live.web.process ARGUMENTS   # of `WebServer`, as JSON; prints the address
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edgehr.live.web import WebServer
from tests.conftest import ROOT
from tests.live.web.clients import publishing


@contextmanager
def served_elsewhere(**arguments: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    """Serve moving pictures from another process: the page's address, and what kills that process."""
    command = [sys.executable, "-m", "tests.live.web.process", json.dumps(arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def kill() -> None:
        process.kill()
        process.wait()

    with process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip(), kill
        finally:
            kill()


if __name__ == "__main__":
    with WebServer(**json.loads(sys.argv[1])) as web, publishing(web, fps=30):
        print(web.url, flush=True)
        sys.stdin.read()  # until the other process has gone
