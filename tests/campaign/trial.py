"""The trial of foreign files, in the campaign's own child: a process each would take most of the time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from edgehr.errors import ArtifactError
from edgehr.runtimes import trial


def in_this_process(say: Callable[[str], None]) -> None:
    """Let trials run here, between two messages; where the process dies in one, the trial's own would have died."""

    def try_here(path: Path, library: str, code: str, arguments: Sequence[str] = ()) -> None:
        say("trial")
        before, sys.argv = sys.argv, ["-c", str(path), *arguments]
        paths = list(sys.path)
        try:
            exec(code, {"__name__": "__main__"})  # noqa: S102 - our own
        except Exception as error:
            raise ArtifactError(f"{path}: cannot be loaded, truncated or foreign: {type(error).__name__}") from None
        finally:
            sys.argv, sys.path[:] = before, paths
            say("")

    trial.try_in_child = try_here
