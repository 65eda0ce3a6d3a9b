"""A camera on the network, on loopback: HTTP with one JPEG after the other, that can be silent, leave and return."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

BITS = 16


def numbered(number: int) -> np.ndarray:
    """(32, 256, 3) picture that shows a number as white and black stripes, which survive compression."""
    bits = [255 * (number >> bit & 1) for bit in range(BITS)]
    return np.repeat(np.tile(np.repeat(np.uint8(bits), 16), (32, 1))[:, :, None], 3, axis=2)


def number_in(image: np.ndarray) -> int:
    return sum(int(image[16, 16 * bit + 8].mean() > 127) << bit for bit in range(BITS))


class MjpegServer:
    """Serves numbered pictures at `address` while it is up; `silent` keeps connections but sends nothing."""

    def __init__(self, fps: float = 100) -> None:
        self.silent = threading.Event()
        self.sent = 0
        self._pause = 1 / fps
        self._down = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.up()

    @property
    def address(self) -> str:
        return f"http://user:topsecret@127.0.0.1:{self._port}/live.mjpg"

    def up(self) -> None:
        self._down.clear()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
                self.end_headers()
                try:
                    while not camera._down.wait(camera._pause):
                        if not camera.silent.is_set():
                            self.wfile.write(camera._part())
                except OSError:
                    pass  # the client left

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = False  # so that `server_close` waits for them

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="camera").start()

    def _part(self) -> bytes:
        jpeg = cv2.imencode(".jpg", numbered(self.sent))[1].tobytes()
        self.sent += 1
        head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        return head.encode() + jpeg + b"\r\n"

    def down(self) -> None:
        self._down.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
