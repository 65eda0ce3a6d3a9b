"""Real inference servers on loopback, from the environment that `make servers-env` makes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import ROOT

ENVIRONMENT = ROOT / ".venv-servers"
START_S = 90
STOP_S = 30
_PR_SET_PDEATHSIG = 1
_VERSION = "{}.{}".format(*sys.version_info)


def need_servers() -> Path:
    """Return the Python of the servers' environment; skip where that was not made, but not in CI."""
    if not (ENVIRONMENT / ".ready").is_file() and not (os.environ.get("CI") and sys.platform == "linux"):
        pytest.skip("there is no environment of inference servers (make servers-env)")
    return ENVIRONMENT / "bin" / "python"


def _end_with_parent() -> None:
    """Let a server end with the tests that started it, however they end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@dataclass
class Server:
    """A server in a process of its own."""

    command: list[str]
    environment: dict[str, str]
    log: Path
    http: int
    grpc: int
    ready: str = "/v2/health/ready"
    memory: str = "no-memory-of-tests-"  # what names of its shared memory begin with
    process: subprocess.Popen[bytes] | None = field(default=None)

    def url(self, scheme: str, model: str) -> str:
        return f"{scheme}://127.0.0.1:{self.grpc if scheme.startswith('grpc') else self.http}/{model}"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        ends = time.monotonic() + START_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > ends:
                self.stop()
                raise AssertionError(f"the server does not come up:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        if not self.ready:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.grpc), 1):
                return True
            return False
        with contextlib.suppress(OSError):
            return bool(urllib.request.urlopen(f"http://127.0.0.1:{self.http}{self.ready}", timeout=2).status == 200)
        return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError):  # Triton that was killed leaves the processes of its models
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_S)
        self.process = None
        for file in Path("/dev/shm").glob(f"{self.memory}*"):  # noqa: S108
            file.unlink()

    @contextlib.contextmanager
    def running(self) -> Iterator[Server]:
        self.start()
        try:
            yield self
        finally:
            self.stop()


def triton(repository: Path, folder: Path, options: Sequence[str] = (), ready: str = "/v2/health/ready") -> Server:
    """Triton as it is in the wheel of PyTriton, which has the Python backend only, with the stub for this Python."""
    python = need_servers()
    (files,) = (ENVIRONMENT / "lib").glob("python*/site-packages/pytriton/tritonserver")
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True, exist_ok=True)
    stub = files / "python_backend_stubs" / _VERSION / "triton_python_backend_stub"
    for file in (*(files / "backends" / "python").iterdir(), stub):
        link = backend / file.name
        if not link.exists():
            link.symlink_to(file)
    http, grpc = free_port(), free_port()
    memory = f"triton-of-tests-{grpc}-"
    command = [
        str(files / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={backend.parent}",
        f"--http-port={http}",
        f"--grpc-port={grpc}",
        "--http-address=127.0.0.1",
        "--grpc-address=127.0.0.1",
        "--allow-metrics=false",
        "--exit-timeout-secs=5",
        f"--backend-config=python,shm-region-prefix-name={memory}",
        *options,
    ]
    libraries = os.pathsep.join(filter(None, (os.environ.get("LD_LIBRARY_PATH"), sysconfig.get_config_var("LIBDIR"))))
    # The Python that the backend runs is the first on the path.
    environment = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "LD_LIBRARY_PATH": libraries}
    return Server(command, environment, folder / "triton.log", http, grpc, ready, memory)


def kserve(repository: Path, folder: Path, options: Sequence[str] = (), ready: str = "/v2/health/ready") -> Server:
    """KServe's Python ModelServer with edgehr in it."""
    http, grpc = free_port(), free_port()
    command = [str(need_servers()), "-m", "edgehr.serving.kserve_server", str(repository)]
    command += [f"--http_port={http}", f"--grpc_port={grpc}", *options]
    return Server(command, {}, folder / "kserve.log", http, grpc, ready)
