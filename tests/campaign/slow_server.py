"""Serves a folder in pieces, as a slow network does, and goes on where a client asks.

python -m tests.campaign.slow_server FOLDER   # prints the port
"""

from __future__ import annotations

import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PIECES, PAUSE_S = 20, 0.03


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = Path(sys.argv[1], Path(self.path).name).read_bytes()
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        step = len(content) // PIECES
        try:
            for place in range(start, len(content), step):
                self.wfile.write(content[place : place + step])
                time.sleep(PAUSE_S)
        except OSError:
            pass  # the client was killed

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_port, flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()  # ends when whoever started this is gone
