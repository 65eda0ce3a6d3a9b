"""The same measurement on another machine, with nothing but a device's install there.

One connection does it all: the files go as a tar archive over its standard input into a temporary folder, the result
comes back as JSON. That asks for a password once at most, needs no file transfer service, and leaves nothing behind:
where the connection breaks or the user gives up, the other side sees its input end, stops and removes the folder.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import tarfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgehr.errors import EdgehrError, first_line

CONNECT_S = 20
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


def ssh_command(host: str) -> list[str]:
    """Return the command before a script for another machine; raises EdgehrError where `host` is no name of one."""
    if not host or host.startswith("-") or any(letter.isspace() for letter in host):
        raise EdgehrError(f"--on {host!r}: expected a host of ssh, such as user@board")
    return ["ssh", "-T", "-o", f"ConnectTimeout={CONNECT_S}", "-o", "ServerAliveInterval=15", host]


def run_remote(
    prefix: Sequence[str], where: str, edgehr: str, files: Mapping[str, Path], arguments: Sequence[str]
) -> dict[str, Any]:
    """Run `edgehr bench --json` on another machine.

    Args:
        prefix: The command that runs what follows it as a shell's script there, as `ssh_command` makes it.
        where: What messages call that machine.
        edgehr: How edgehr is called there, in the words of a shell.
        files: Files that are needed there, by the name that they get in the folder in which it runs.
        arguments: Of `edgehr bench`.

    Returns:
        What it printed.

    Raises:
        EdgehrError: It cannot be reached, has no edgehr, or edgehr failed there; one line.
    """
    archive = _archive(files)
    if re.match(r"[^/~$\s][^\s]*/", edgehr):  # from the folder in which a session begins there, which the script leaves
        edgehr = f'"$OLDPWD"/{edgehr}'
    command = f"{edgehr} bench --json {shlex.join(arguments)}"
    script = _SCRIPT.format(size=len(archive), command=command)
    try:
        process = subprocess.Popen(  # noqa: S603
            [*prefix, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise EdgehrError(f"{prefix[0]}: cannot be run: {error.strerror}") from None
    out, said = _talk(process, archive)
    if process.returncode:
        raise EdgehrError(f"{where}: {_problem(said, process.returncode, edgehr)}")
    try:
        told: dict[str, Any] = json.loads(out[out.index(b"{") :])  # a login may have printed a greeting before it
    except ValueError as error:
        raise EdgehrError(f"{where}: printed no measurement: {first_line(error)}") from None
    return told


def _archive(files: Mapping[str, Path]) -> bytes:
    """Pack files, without owners and times."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, path in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(entry, file)
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
    return last.removeprefix("edgehr bench: ").removeprefix("edgehr: ")
