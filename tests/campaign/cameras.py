"""Cameras on loopback that tests can switch off, and a proxy before them that flips bytes."""

from __future__ import annotations

import select
import socket
import subprocess
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).parent / "rtsp_server.py"
_PROBE = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst; Gst.init(None); "
    "raise SystemExit(not all(map(Gst.ElementFactory.find, ('x264enc', 'rtph264pay', 'breakmydata'))))"
)


@cache
def rtsp_reason() -> str:
    """Say why there is no RTSP server here; empty where there is one."""
    try:
        done = subprocess.run([SYSTEM_PYTHON, "-c", _PROBE], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        done = None
    if done is not None and done.returncode == 0:
        return ""
    return (
        "GStreamer's RTSP server is not installed (Debian: gir1.2-gst-rtsp-server-1.0 python3-gi "
        "gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly)"
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class RtspCamera:
    """A camera that asks for a login, while it is up.

    Args:
        damage: The share of bytes of its pictures that it breaks.
    """

    def __init__(self, damage: float = 0.0) -> None:
        self._damage, self.port = damage, free_port()
        self._process: subprocess.Popen[str] | None = None
        self.up()

    def address(self, password: str = "topsecret", port: int = 0) -> str:  # noqa: S107 - of a server of ours
        return f"rtsp://user:{password}@127.0.0.1:{port or self.port}/live"

    def up(self) -> None:
        command = [SYSTEM_PYTHON, str(SERVER), str(self.port), "--damage", str(self._damage)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout
        assert self._process.stdout.readline() == "up\n"

    def down(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None


class FlippingProxy:
    """Passes on what a client and a server on loopback say to each other, with some of the server's bytes flipped.

    Args:
        port: The server's.
        share: Of the bytes that are flipped, while `flips` is set.
        random: Chooses them.
    """

    def __init__(self, port: int, share: float, random: Random) -> None:
        self.flips = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._target, self._share, self._random = port, share, random
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        self._server.settimeout(0.1)
        while not self._stop.is_set():
            with suppress(TimeoutError, ConnectionError):
                client, _ = self._server.accept()
                thread = threading.Thread(target=self._pass, args=(client,))
                thread.start()
                self._threads.append(thread)

    def _pass(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as server:
            while not self._stop.is_set():
                ready, _, _ = select.select([client, server], [], [], 0.1)
                for side in ready:
                    data = side.recv(1 << 16)
                    if not data:
                        return
                    if side is server:
                        client.sendall(self._flipped(data))
                    else:
                        server.sendall(data)

    def _flipped(self, data: bytes) -> bytes:
        if not self.flips.is_set():
            return data
        changed = bytearray(data)
        for _ in range(sum(self._random.random() < self._share * 64 for _ in range(len(data) // 64 + 1))):
            changed[self._random.randrange(len(changed))] ^= 1 << self._random.randrange(8)
        return bytes(changed)

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._server.close()
