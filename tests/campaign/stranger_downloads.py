"""Download servers that do what they should not, over HTTP and TLS."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

from tests.campaign import BrokenPromiseError

CONTENT = bytes(range(256)) * 40
# What a server may do -> what comes of it; {http} and {https} are its own addresses.
WAYS = {
    "to http": "Location: {http}/right",
    "to http in two steps": "Location: {https}/to-http",
    "to a file": "Location: file:///etc/passwd",
    "to ftp": "Location: ftp://127.0.0.1/x",
    "to data": "Location: data:,x",
    "to nothing": "Location: ",
    "to itself": "Location: {https}/to-itself",
    "to another": "Location: {https}/right",
    "short": "",
    "too long": "",
    "length of text": "",
    "negative length": "",
    "no length": "",
    "another range": "",
    "whole for a part": "",
    "other content": "",
    "an error page": "",
    "no http": "",
    "closes": "",
    "endless headers": "",
    "chunks that are none": "",
}
LENGTHS = {
    "short": str(len(CONTENT) + 5000),
    "too long": str(len(CONTENT) - 100),
    "length of text": "many",
    "negative length": "-5",
}
# What is sent in place of an answer.
RAW = {
    "no http": b"hello\n" * 9,
    "closes": b"",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(500)) + b"\r\n" + CONTENT,
    "chunks that are none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + CONTENT,
}
FETCHED = ("to another", "no length", "whole for a part", "length of text")


class Handler(BaseHTTPRequestHandler):
    """Does what its address says."""

    addresses: dict[str, str]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        way = self.path.strip("/").split("/")[0].replace("-", " ")
        self.close_connection = True
        location = WAYS.get(way, "")
        if location:
            self.send_response(302)
            self.send_header("Location", location.removeprefix("Location: ").format(**self.addresses))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._answer(way)

    def _answer(self, way: str) -> None:
        if way in RAW:
            self.wfile.write(RAW[way])
            return
        asked = self.headers.get("Range", "")
        ranged = way == "another range" and asked
        self.send_response(206 if ranged else 500 if way == "an error page" else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}")
        if way != "no length":
            self.send_header("Content-Length", LENGTHS.get(way, str(len(CONTENT))))
        self.end_headers()
        self.wfile.write(CONTENT[::-1] if way == "other content" else CONTENT)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, str]]:
    """Run a server over HTTP and one over TLS, whose certificate Python trusts meanwhile; gives their addresses."""
    certificate = folder / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(certificate)]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(make, check=True, capture_output=True)
    handler = type("OneHandler", (Handler,), {"addresses": {}})
    plain, secure = (ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, folder / "key.pem")
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    addresses = {"http": f"http://localhost:{plain.server_port}", "https": f"https://localhost:{secure.server_port}"}
    handler.addresses = addresses  # type: ignore[attr-defined]
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = str(certificate)
    threads = [threading.Thread(target=each.serve_forever, args=(0.05,), daemon=True) for each in (plain, secure)]
    for thread in threads:
        thread.start()
    try:
        yield addresses
    finally:
        os.environ.pop("SSL_CERT_FILE")
        if before is not None:
            os.environ["SSL_CERT_FILE"] = before
        for each in (plain, secure):
            each.shutdown()
            each.server_close()


def download(addresses: dict[str, str], cache: Path, chance: Random) -> str:
    """Fetch from such a server, to a cache that may hold a part already."""
    import hashlib

    from edgehr.errors import EdgehrError
    from edgehr.zoo import cached_path, fetch, get_card

    way = chance.choice(list(WAYS))
    card = get_card("litehrnet-18-coco-256x192")
    digest = hashlib.sha256(CONTENT).hexdigest()
    url = f"{addresses['https']}/{way.replace(' ', '-')}/w.pth"
    card = card.with_weights(replace(card.weights, file="w.pth", url=url, sha256=digest[:8]))
    before, os.environ["EDGEHR_CACHE"] = os.environ.get("EDGEHR_CACHE"), str(cache)
    try:
        path = cached_path(card)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        part = path.with_name("w.pth.part")
        part.unlink(missing_ok=True)
        if chance.random() < 0.5:
            part.write_bytes(CONTENT[: chance.randrange(1, len(CONTENT))])
        try:
            fetch(card)
        except EdgehrError as error:
            if way in FETCHED:
                raise BrokenPromiseError(f"{way}: not fetched: {error}") from None
            if path.exists():
                raise BrokenPromiseError(f"{way}: refused, but there is a file of that name") from None
            return "refused"
        if path.read_bytes() != CONTENT:
            raise BrokenPromiseError(f"{way}: another file than was asked for")
        if way not in FETCHED and way not in ("short", "too long", "negative length", "another range"):
            raise BrokenPromiseError(f"{way}: fetched")
        return "the right file"
    finally:
        del os.environ["EDGEHR_CACHE"]
        if before is not None:
            os.environ["EDGEHR_CACHE"] = before
