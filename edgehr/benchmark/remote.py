"""Measure on another machine, with nothing but a device's install there.

One connection does it all: the files go as a tar archive over its standard input into a temporary folder, the result
comes back as JSON. That asks for a password once at most, needs no file transfer service, and leaves nothing behind:
where the connection breaks or the user gives up, the other side sees its input end, stops and removes the folder.
"""

from __future__ import annotations

import io
import json
import logging
import re
import shlex
import subprocess
import tarfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from edgehr.benchmark.bench import Settings
from edgehr.benchmark.candidates import Candidate
from edgehr.benchmark.results import BenchReport
from edgehr.errors import EdgehrError, first_line
from edgehr.files import read_json
from edgehr.runtimes.formats import format_of, model_files

_LOG = logging.getLogger("edgehr.benchmark")

CONNECT_S = 20
PLAN = ".edgehr-plan.json"  # in the folder on the other machine: no name that a model's file has
# Run by `sh` on the other machine. Standard input is the archive, of a known number of bytes, and then stays open. What
# a shell says of a job that was killed must not end the shell itself where nobody listens any more.
_SCRIPT = """
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap '' PIPE
trap 'kill -TERM $work 2> /dev/null; exit 143' HUP INT TERM
head -c {size} | tar -xf - -C "$folder" || exit 1
exec 3<&0
cd "$folder" || exit 1
{command} < /dev/null &
work=$!
sh -c 'cat; kill -TERM "$0"' $work <&3 > /dev/null 2>&1 &
watch=$!
wait $work
status=$?
kill $watch 2> /dev/null
exit $status
"""


@dataclass(frozen=True)
class Remote:
    """Names another machine and how it is reached.

    Attributes:
        prefix: The command that runs what follows it as a shell's script there.
        where: What messages call the machine.
        edgehr: How edgehr is called there, in the words of a shell.
    """

    prefix: tuple[str, ...]
    where: str
    edgehr: str = "edgehr"
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False, compare=False)
    _stopped: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)

    @classmethod
    def by_ssh(cls, host: str, edgehr: str = "edgehr") -> Remote:
        """Reach a host by ssh; raises EdgehrError where `host` is no name of one."""
        if not host or host.startswith("-") or any(letter.isspace() for letter in host):
            raise EdgehrError(f"--on {host!r}: expected a host of ssh, such as user@board")
        command = ("ssh", "-T", "-o", f"ConnectTimeout={CONNECT_S}", "-o", "ServerAliveInterval=15", host)
        return cls(command, host, edgehr)

    @classmethod
    def by_command(cls, command: str, edgehr: str = "edgehr") -> Remote:
        """Reach it by a command before `sh -c`, such as `docker exec -i board`; raises EdgehrError for none."""
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise EdgehrError(f"--on-command {command!r}: {error}") from None
        if not words:
            raise EdgehrError("--on-command is empty: name the command that runs `sh` there")
        return cls((*words, "sh", "-c"), command, edgehr)

    def check(self) -> None:
        """Make sure that it can be reached and has edgehr; raises EdgehrError where not."""
        self._run(_archive({}, b""), "--version")

    def bench(self, candidates: Sequence[Candidate], settings: Settings) -> BenchReport:
        """Measure there as `run_bench` does here.

        Raises:
            EdgehrError: It cannot be reached, has no edgehr, or edgehr failed there; one line.
        """
        files, names = _files([each.path for each in candidates])
        there = [replace(each, path=Path(name)) for each, name in zip(candidates, names, strict=True)]
        archive = _archive(files, plan_text(there, settings))
        told = self._told(archive, f"bench --json --plan {PLAN}")
        told.pop("page", None)
        return BenchReport.from_dict(told)

    def difference(self, path: Path, reference: Mapping[str, Any]) -> float:
        """Run a model there, and return how far its outputs are off, in standard deviations.

        Args:
            path: The model.
            reference: What it returned elsewhere, in plain JSON types.

        Raises:
            EdgehrError: As `bench`.
        """
        files, (name,) = _files([path])
        archive = _archive(files, json.dumps(reference).encode())
        told = self._told(archive, f"verify {shlex.quote(name)} --reference {PLAN} --json").get("difference")
        if not isinstance(told, float):
            raise EdgehrError(f"{self.where}: told no difference")
        return told

    def stop(self) -> None:
        """End what runs there, if anything does, and start nothing more."""
        self._stopped.set()
        for process in self._running:
            process.terminate()

    def _told(self, archive: bytes, arguments: str) -> dict[str, Any]:
        """Run edgehr there and read the JSON that it prints; a login may have printed a greeting before that."""
        out = self._run(archive, arguments)
        try:
            told: dict[str, Any] = json.loads(out[out.index(b"{") :])
        except (ValueError, RecursionError) as error:
            raise EdgehrError(f"{self.where}: printed no measurement: {first_line(error)}") from None
        return told

    def _run(self, archive: bytes, arguments: str) -> bytes:
        """Run edgehr there in a folder with these files, and return what it printed."""
        if self._stopped.is_set():
            raise EdgehrError(f"{self.where}: stopped")
        edgehr = self.edgehr
        if re.match(r"[^/~$\s][^\s]*/", edgehr):  # from the folder in which a session begins there, which is left
            edgehr = f'"$OLDPWD"/{edgehr}'
        _LOG.info("%s: sending %.1f MB, then `%s %s` there", self.where, len(archive) / 1e6, edgehr, arguments)
        script = _SCRIPT.format(size=len(archive), command=f"{edgehr} {arguments}")
        try:
            process = subprocess.Popen(  # noqa: S603
                [*self.prefix, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise EdgehrError(f"{self.prefix[0]}: cannot be run: {error.strerror}") from None
        self._running.append(process)
        if self._stopped.is_set():  # meanwhile
            process.terminate()
        out, said = _talk(process, archive)
        if process.returncode:
            raise EdgehrError(f"{self.where}: {_problem(said, process.returncode, edgehr)}")
        return out


def plan_text(candidates: Sequence[Candidate], settings: Settings) -> bytes:
    """Write what is to be measured and how as JSON, for `read_plan`."""
    plan = {"candidates": [each.to_dict() for each in candidates], "settings": settings.to_dict()}
    return json.dumps(plan).encode()


def read_plan(path: Path) -> tuple[list[Candidate], Settings]:
    """Read what `plan_text` wrote; raises EdgehrError where the file is something else."""
    data = read_json(path)
    try:
        return [Candidate.from_dict(each) for each in data["candidates"]], Settings.from_dict(data["settings"])
    except (KeyError, TypeError, AttributeError):
        raise EdgehrError(f"{path}: is no plan of a measurement, or one of another edgehr") from None


def _files(paths: Sequence[Path]) -> tuple[dict[str, Path], list[str]]:
    """List all files of all models by the names that they get elsewhere, and these names of the models."""
    distinct = list(dict.fromkeys(paths))
    plain = len({path.name for path in distinct}) == len(distinct)
    files: dict[str, Path] = {}
    names = {}
    for number, path in enumerate(distinct):
        kind = format_of(path)
        if not kind.files(path):  # an address, which is as good there
            names[path] = str(path)
            continue
        folder = "" if plain else f"{number + 1}/"
        files |= {f"{folder}{file.name}": file for file in model_files(path)}
        names[path] = f"{folder}{path.name}"
    return files, [names[path] for path in paths]


def _archive(files: Mapping[str, Path], plan: bytes) -> bytes:
    """Pack files and the plan, without owners and times."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:

        def add(name: str, content: BinaryIO, size: int) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = size
            archive.addfile(entry, content)

        add(PLAN, io.BytesIO(plan), len(plan))
        for name, path in files.items():
            with path.open("rb") as file:
                add(name, file, path.stat().st_size)
    return packed.getvalue()


def _talk(process: subprocess.Popen[bytes], archive: bytes) -> tuple[bytes, str]:
    """Send the archive, keep the input open, and wait for what comes back."""
    said: list[bytes] = []
    listening = threading.Thread(target=lambda: said.append(process.stderr.read() if process.stderr else b""))
    listening.start()
    try:
        if process.stdin is None or process.stdout is None:
            raise EdgehrError("no connection")
        with suppress(BrokenPipeError):  # it has ended, and its own words say why
            process.stdin.write(archive)
            process.stdin.flush()
        out = process.stdout.read()
        process.wait()
    finally:
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()  # tells the other side that nobody waits any more
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        listening.join()
        if process.stdout is not None:
            process.stdout.close()
        if process.stderr is not None:
            process.stderr.close()
    return out, b"".join(said).decode(errors="replace")


def _problem(said: str, status: int, edgehr: str) -> str:
    """Say in one line what went wrong there."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if status == 127 or any("not found" in line and edgehr in line for line in lines):
        return f"there is no {edgehr!r} there: install edgehr, or name it with --on-edgehr PATH/edgehr"
    last = next(
        (line for line in reversed(lines) if line.startswith("edgehr")), (lines or [f"ended with {status}"])[-1]
    )
    return re.sub(r"^edgehr( bench| verify)?: ", "", last)
