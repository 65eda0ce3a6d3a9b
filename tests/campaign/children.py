"""Command lines in child processes that are stopped at a moment chosen beforehand.

A new process needs seconds to import PyTorch and the rest. So a child is usually forked from this process, which has
imported everything and started no thread of its own, and runs `main` of the command line; a share is really new.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import pickle
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.campaign import BrokenPromiseError

TIMEOUT_S = 300.0  # after that, a command counts as hung: it needs seconds
GONE_S = 10.0  # so long a process that a command has started may outlive it
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}


@dataclass(frozen=True)
class Place:
    """Folders of a case: where it works, its temporary files, the cache; and, elsewhere, what it says."""

    root: Path
    log: Path

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def folders(self) -> tuple[Path, ...]:
        return (self.work, self.root / "tmp", self.root / "cache")

    def make(self) -> Place:
        for folder in (*self.folders, self.log):
            folder.mkdir(parents=True, exist_ok=True)
        return self

    def listing(self) -> set[str]:
        """List all files in there, and empty folders."""
        found = [path for folder in self.folders for path in folder.rglob("*")]
        return {str(path.relative_to(self.root)) for path in found if not path.is_dir() or not any(path.iterdir())}


@dataclass(frozen=True)
class Stop:
    """Says how a command is stopped.

    Attributes:
        number: The signal; 0 removes the folder `removed` instead.
        seconds: After how long.
        change: Or just before which change of the file system, counted from 1, that Python makes.
        removed: A folder.
    """

    number: int
    seconds: float | None = None
    change: int | None = None
    removed: Path | None = None

    def act(self, pid: int) -> None:
        if self.removed is not None:
            shutil.rmtree(self.removed, ignore_errors=True)
        else:
            os.kill(pid, self.number)


@dataclass(frozen=True)
class Ended:
    """Says how a command ended: status (minus a signal's number where one ended it), what it said, time, changes."""

    status: int
    said: str
    seconds: float
    changes: int

    @property
    def lines(self) -> list[str]:
        return [line for line in self.said.splitlines() if line.startswith("edgehr ")]


def run(
    arguments: list[str], place: Place, stop: Stop | None = None, *, fresh: bool = False, limit: int | None = None
) -> Ended:
    """Run a command line in a place.

    Args:
        arguments: Of `edgehr`.
        place: Its folders.
        stop: How it is stopped, if it is.
        fresh: A new process, in place of a forked one.
        limit: The most bytes that a file may have.

    Raises:
        BrokenPromiseError: It hangs, or leaves a process behind.
    """
    (place.log / "said").write_text("")
    began = time.monotonic()
    pid = _fork()
    if not pid:
        _become(arguments, place, stop, fresh=fresh, limit=limit)
    if stop is not None and stop.seconds is not None:
        while time.monotonic() < began + stop.seconds and not _has_ended(pid):
            time.sleep(0.002)
        if not _has_ended(pid):
            stop.act(pid)
    while not _has_ended(pid):
        if time.monotonic() > began + TIMEOUT_S:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise BrokenPromiseError(f"edgehr {' '.join(arguments)}: did not end in {TIMEOUT_S:.0f} s")
        time.sleep(0.005)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    seconds = time.monotonic() - began
    _check_gone(pid)
    changes = place.log / "changes"
    said = (place.log / "said").read_text(encoding="utf-8", errors="replace")
    return Ended(status, said, seconds, int(changes.read_text()) if changes.exists() else 0)


def import_as(place: Place) -> None:
    """Import what a command that ran in a place has imported: the next children need not."""
    modules = place.log / "modules"
    for name in modules.read_text().splitlines() if modules.exists() else ():
        if name not in sys.modules:
            with suppress(Exception):
                importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else the garbage collector of each child would copy pages that nobody changes


def in_child(function: Callable[..., Any], *arguments: Any, limit_s: float = TIMEOUT_S) -> Any:
    """Call a function in a forked process, as it may start threads; return or raise what it does.

    Raises:
        BrokenPromiseError: The process died, or took longer than the limit.
    """
    reading, writing = os.pipe()
    pid = _fork()
    if not pid:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(round(limit_s))  # ends the process
        try:
            result = (True, function(*arguments))
        except Exception as error:
            result = (False, error)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(pickle.dumps(result))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status or not content:
        name = getattr(function, "__name__", function)
        raise BrokenPromiseError(f"{name} ended its process with {status}" + (", it hung" if status == -14 else ""))
    good, result = pickle.loads(content)  # noqa: S301 - of a child of ours
    if not good:
        raise result
    return result


def _fork() -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # threads of libraries that wait, as NumPy's, do not matter to the child
        return os.fork()


def _become(arguments: list[str], place: Place, stop: Stop | None, *, fresh: bool, limit: int | None) -> None:
    """Run the command line in this process, and end it."""
    status = 70
    try:
        os.setsid()
        for number, name in ((1, "output"), (2, "said")):
            os.dup2(os.open(place.log / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.chdir(place.work)
        os.environ |= {"TMPDIR": str(place.folders[1]), "EDGEHR_CACHE": str(place.folders[2])}
        tempfile.tempdir = None
        if limit is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        if fresh:
            os.execv(sys.executable, [sys.executable, "-m", "edgehr.cli.main", *arguments])  # noqa: S606 - in place of this one
        status = _main(arguments, place.log / "changes", stop)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def _main(arguments: list[str], changes: Path, stop: Stop | None) -> int:
    from edgehr.cli.main import main

    count = 0

    def watch(event: str, given: tuple[Any, ...]) -> None:
        nonlocal count
        if event in CHANGES or (event == "open" and isinstance(given[2], int) and given[2] & WRITING):
            count += 1
            if stop is not None and count == stop.change:
                stop.act(os.getpid())

    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - until the process ends
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    atexit._clear()
    sys.addaudithook(watch)
    status = main(arguments)
    atexit._run_exitfuncs()
    gc.collect()  # as when an interpreter ends
    sys.stdout.flush()
    done, count = count, 1 << 60
    changes.write_text(str(done))
    changes.with_name("modules").write_text("\n".join(list(sys.modules)))
    return status


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _check_gone(group: int) -> None:
    """Raise where a process of a group that has lost its leader is still there."""
    end = time.monotonic() + GONE_S
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    os.killpg(group, signal.SIGKILL)
    raise BrokenPromiseError(f"a process that it had started was still there {GONE_S:.0f} s later")
