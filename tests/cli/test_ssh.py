"""Other machines by the real ssh: a server on loopback, with keys and a configuration of its own."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgehr.assets import packaged_model
from edgehr.cli.main import main
from tests.cli.test_bench import EDGEHR, QUICK, measuring, wait_for

SSH, SSHD = shutil.which("ssh"), shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SSH and SSHD), reason="needs OpenSSH with its server"),
]
MODEL = packaged_model("hrnetv2-w18-small-v1-person-192x192", ".tflite")


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server, which `board` and `garage` lead to; sessions have their temporary files in `kept` of the folder."""
    assert SSHD
    (tmp_path / "kept").mkdir()
    for name in ("host", "user"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(keygen, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/user.pub\n"
        f"PasswordAuthentication no\nStrictModes no\nPidFile none\nSetEnv TMPDIR={tmp_path}/kept\n"
    )
    (tmp_path / "ssh_config").write_text(
        f"Host board garage\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n"
        f" IdentityFile {tmp_path}/user\n IdentitiesOnly yes\n"
        f"Host *\n UserKnownHostsFile {tmp_path}/known\n StrictHostKeyChecking accept-new\n BatchMode yes\n"
    )
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {SSH} -F {tmp_path}/ssh_config "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # the server insists on it
    log = (tmp_path / "log").open("wb")
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(tmp_path / "sshd_config")], stderr=log)
    try:
        wait_for(lambda: server.poll() is not None or b"listening" in (tmp_path / "log").read_bytes())
        assert server.poll() is None, (tmp_path / "log").read_text()
        (tmp_path / "pid").write_text(str(server.pid))
        yield tmp_path
    finally:
        server.terminate()
        server.wait()
        log.close()


def test_a_fleet_is_measured_and_compared(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = ["--on", "board,garage,nowhere.invalid", "--on-edgehr", EDGEHR]
    assert main(["bench", str(MODEL), *there, *QUICK, "--json"]) == 1
    shown = capsys.readouterr()
    told = json.loads(shown.out)["machines"]
    assert [each["machine"] for each in told] == ["board", "garage", "nowhere.invalid"]
    assert [len(each["report"]["candidates"][0]["times_ms"]) for each in told[:2]] == [2, 2]
    assert "Could not resolve hostname nowhere.invalid" in told[2]["error"]
    assert "1 of 3 machines gave no figures" in shown.err

    assert main(["verify", str(MODEL), "--on", "board,garage", "--on-edgehr", EDGEHR, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["machines"]
    assert [each["machine"] for each in told] == ["board", "garage"]
    assert all(each["difference"] < 1e-5 for each in told)
    assert not [*(board / "kept").iterdir()]

    assert main(["bench", str(MODEL), "--on", "board", "--on-edgehr", "edgehr-absent"]) == 1
    assert "board: there is no 'edgehr-absent' there: install edgehr" in capsys.readouterr().err


@pytest.mark.parametrize("end", ["interrupt", "kill", "line"])
def test_whatever_ends_the_session_leaves_nothing_behind(board: Path, end: str) -> None:
    command = [sys.executable, "-m", "edgehr.cli.main", "bench", str(MODEL), "--seconds", "500", "--starts", "0"]
    process = subprocess.Popen(
        [*command, "--on", "board", "--on-edgehr", EDGEHR],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: measuring(board))
    if end == "line":
        for number in sessions(board):
            os.kill(number, signal.SIGKILL)
    else:
        process.send_signal(signal.SIGINT if end == "interrupt" else signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    if end == "interrupt":
        assert process.returncode == 130
    if end == "line":
        assert process.returncode == 1
        assert said.splitlines()[-1].startswith("edgehr bench: board: Connection to 127.0.0.1 closed by remote host")
    wait_for(lambda: not [*(board / "kept").iterdir()])
    wait_for(lambda: not measuring(board))


def sessions(board: Path) -> list[int]:
    """The server's processes that serve a connection."""
    server = (board / "pid").read_text()
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", server], capture_output=True, text=True, check=True)
    return [int(number) for number in listed.stdout.split()]
