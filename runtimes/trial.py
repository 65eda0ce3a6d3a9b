"""Files that edgehr did not write are opened in a process of their own first: a malformed one can crash a runtime."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgehr.errors import ArtifactError

TRIAL_SECONDS = 120

_LOG = logging.getLogger("edgehr.runtimes")


def try_in_child(path: Path, library: str, code: str, arguments: Sequence[str] = ()) -> None:
    """Load and run a file once in a process of its own.

    Args:
        path: The file.
        library: What runs it, with its version.
        code: Python that loads and runs the file `sys.argv[1]`, with its arguments behind that.
        arguments: Those arguments.

    Raises:
        ArtifactError: The process ended with an error, crashed, or does not end.
    """
    _LOG.info("%s: not of edgehr, so it is tried in a process of its own first", path)
    command = [sys.executable, "-c", code, str(path), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TRIAL_SECONDS)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise ArtifactError(f"{path}: {library} does not finish with it in {TRIAL_SECONDS} s") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        reason = f"it crashes {library} (signal {-done.returncode})" if done.returncode < 0 else last[0][:1000]
        raise ArtifactError(f"{path}: cannot be loaded, truncated or foreign: {reason}")
