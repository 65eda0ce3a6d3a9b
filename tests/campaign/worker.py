"""A child process that reads damaged files for a campaign, and what watches it: ends, hangs, memory, files it touches.

The parent sends `(kind, folder of the damaged file, folder of the whole one)` and gets a word of what came of it. A
child that dies, hangs or grows is counted and replaced.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import resource
import signal
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.campaign import BrokenPromiseError

MAX_CPU_S, MAX_WALL_S = 10.0, 180.0  # the latter on a machine that others keep busy
MAX_MEMORY = 2 << 30
ADDRESSES = 16 << 30
# A child is replaced after so many cases, so that what they leave in it does not add up.
CASES = 20_000

_talk: Connection | None = None


def say(what: str) -> None:
    """Tell the parent where the child is: what kills it during a trial would have killed a trial's own process."""
    if _talk is not None:
        _talk.send(("phase", what))


class Worker:
    """Runs cases in a child.

    Args:
        folder: Where the child may work: its current folder, and that of its temporary files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: Any = None
        self._pipe: Any = None
        self._done = 0

    def run(self, kind: str, given: Path, sample: Path) -> str:
        """Run a case.

        Raises:
            BrokenPromiseError: The child died, hung, took too much memory, or touched what it must not; or the check
                says so.
        """
        if self._process is None or not self._process.is_alive() or self._done >= CASES:
            self._start()
        self._done += 1
        self._pipe.send((kind, str(given), str(sample)))
        phase, began, cpu = "", time.monotonic(), self._cpu()
        while True:
            if self._pipe.poll(1):
                try:
                    sort, said = self._pipe.recv()
                except (EOFError, ConnectionResetError):
                    return self._died(phase)
                if sort == "phase":
                    phase = said
                    continue
                if sort == "ok":
                    return str(said)
                if sort == "memory":
                    self.stop()
                raise BrokenPromiseError(str(said))
            if self._cpu() - cpu > MAX_CPU_S or time.monotonic() - began > MAX_WALL_S:
                seconds = time.monotonic() - began
                self.stop()
                if phase == "trial":
                    return "refused by the trial"
                raise BrokenPromiseError(f"hung: not done after {seconds:.0f} s")

    def _died(self, phase: str) -> str:
        self._process.join()
        code = self._process.exitcode
        self._process = None
        if phase == "trial":
            return "refused by the trial"
        name = signal.Signals(-code).name if code < 0 else f"status {code}"
        raise BrokenPromiseError(f"the process ended: {name}")

    def _cpu(self) -> float:
        """Read the processor time of the child, in seconds."""
        with suppress(OSError, IndexError, ValueError):
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def _start(self) -> None:
        self.stop()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._folder.mkdir(parents=True, exist_ok=True)
        before = os.environ.copy()
        os.environ |= {"TMPDIR": str(self._folder), "OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_LOG_LEVEL": "OFF"}
        try:
            self._process = context.Process(target=_work, args=(theirs, str(self._folder)), daemon=True)
            self._process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        theirs.close()
        self._pipe.recv()  # it has imported what it needs
        self._done = 0

    def stop(self) -> None:
        """End the child."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def _work(pipe: Connection, folder: str) -> None:
    global _talk
    _talk = pipe
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    watch = Watch(folder)
    sys.addaudithook(watch)
    from tests.campaign.damage_checks import check
    from tests.campaign.trial import in_this_process

    in_this_process(say)
    pipe.send("ready")
    while True:
        kind, given, sample = pipe.recv()
        watch.begin(given, sample)
        try:
            answer = "ok", _checked(check, kind, Path(given), Path(sample))
        except BrokenPromiseError as broken:
            answer = "broken", str(broken)
        except BaseException as error:
            answer = "broken", f"{type(error).__name__}: {error} at {_place(error)}"
        watch.active = False
        if watch.seen:
            answer = "broken", f"touched {', '.join(watch.seen[:3])}"
        grown = max(_own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10)
        if grown > MAX_MEMORY:
            answer = "memory", f"took {grown / 1e9:.1f} GB ({answer[1]})"
        pipe.send(answer)


def _own_peak() -> int:
    """Return the most bytes that this process held; its resource usage would count what its parent held before."""
    (peak,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak) << 10


def _checked(check: Any, kind: str, given: Path, sample: Path) -> str:
    from edgehr.errors import EdgehrError

    try:
        return str(check(kind, given, sample))
    except EdgehrError as error:
        said = str(error)
        if "\n" in said or not said:
            raise BrokenPromiseError(f"not one line: {said!r}") from None
        return "refused"


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    place = ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "/tests/" not in file:
            place = f"{Path(file).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


class Watch:
    """An audit hook that notes what is opened, written, started or called outside of a case's own folders."""

    def __init__(self, folder: str) -> None:
        root = Path(__file__).resolve().parents[2]
        self._own = (folder,)
        self._readable = tuple(map(str, (sys.prefix, sys.base_prefix, root, "/proc", "/sys", "/usr", "/lib", "/dev")))
        self._readable += ("/etc/ld.so", "/etc/localtime", "/etc/mime.types", "/etc/nsswitch", "/etc/os-release")
        self.active, self.seen = False, []  # type: bool, list[str]
        self._case: tuple[str, ...] = ()
        self._shared: tuple[str, ...] = ()

    def begin(self, given: str, sample: str) -> None:
        """Watch a case."""
        self._case, self._shared, self.seen, self.active = (given,), (sample, str(Path(sample).parent)), [], True

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note an event."""
        if not self.active:
            return
        if event == "open":
            self._opened(*arguments)
        elif event in (
            "os.remove",
            "os.rename",
            "os.mkdir",
            "os.rmdir",
            "os.symlink",
            "os.link",
            "os.chmod",
            "os.truncate",
        ):
            self._written(event, arguments[0])
        elif event in ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "socket.connect", "subprocess.Popen"):
            if arguments[0] == "/sbin/ldconfig":  # of ctypes, which PyTorch's imports ask for a library
                return
            self.seen.append(f"{event} {arguments[0]!r}")

    def _opened(self, path: Any, mode: Any, flags: Any) -> None:
        if not isinstance(path, (str, bytes)):
            return
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR)) if isinstance(flags, int) else "w" in str(mode)
        full = os.path.abspath(os.fsdecode(path))
        if writes:
            self._written("open to write", path)
        elif not full.startswith((*self._case, *self._shared, *self._own, *self._readable)):
            self.seen.append(f"open {full}")

    def _written(self, event: str, path: Any) -> None:
        if not isinstance(path, (str, bytes)):
            return
        full = os.path.abspath(os.fsdecode(path))
        if not full.startswith((*self._case, *self._own, "/dev/null")) and "__pycache__" not in full:
            self.seen.append(f"{event} {full}")
