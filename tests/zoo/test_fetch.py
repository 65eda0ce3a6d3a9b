"""Downloading, against a real HTTP server on the loopback interface."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.zoo import cached_path, fetch, find_weights, get_card

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    ranges = True
    stop_after: int | None = None
    requests: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        type(self).requests.append(asked)
        if self.path != "/weights.pth":
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.stop_after is None else body[: self.stop_after])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[type[Handler], str]]:
    handler = type("OneTestHandler", (Handler,), {"requests": []})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path / "cache"))
    yield handler, f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def card_for(url: str, sha256: str = DIGEST[:8]) -> ModelCard:
    card = get_card("litehrnet-18-coco-256x192")
    return card.with_weights(replace(card.weights, url=f"{url}/weights.pth", file="weights.pth", sha256=sha256))


def test_downloads_with_progress_into_the_chosen_cache_and_only_once(
    server: tuple[type[Handler], str], tmp_path: Path
) -> None:
    handler, url = server
    seen: list[tuple[int, int | None]] = []
    path = fetch(card_for(url), lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "cache" / "weights" / "weights.pth"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert fetch(card_for(url)) == find_weights(card_for(url)) == path
    assert handler.requests == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_goes_on_after_a_broken_connection(server: tuple[type[Handler], str], ranges: bool) -> None:
    handler, url = server
    handler.stop_after = 300_000
    with pytest.raises(EdgehrError, match="run the command again"):
        fetch(card_for(url))
    path = cached_path(card_for(url))
    assert not path.exists()
    have = path.with_name("weights.pth.part").stat().st_size
    assert 0 < have <= 300_000
    handler.stop_after, handler.ranges = None, ranges
    assert fetch(card_for(url)).read_bytes() == CONTENT
    assert handler.requests[-1] == f"bytes={have}-"


def test_a_complete_part_file_is_checked_and_moved(server: tuple[type[Handler], str]) -> None:
    _, url = server
    path = cached_path(card_for(url))
    path.parent.mkdir(parents=True)
    path.with_name("weights.pth.part").write_bytes(CONTENT)
    assert fetch(card_for(url)).read_bytes() == CONTENT


def test_a_wrong_hash_is_thrown_away(server: tuple[type[Handler], str]) -> None:
    _, url = server
    card = card_for(url, sha256="00000000")
    with pytest.raises(EdgehrError, match=f"begins {DIGEST[:16]}, expected 00000000"):
        fetch(card)
    assert list(cached_path(card).parent.iterdir()) == []


def test_a_file_put_there_by_hand_is_checked_and_kept(server: tuple[type[Handler], str]) -> None:
    _, url = server
    path = cached_path(card_for(url))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"another file")
    for find in (fetch, find_weights):
        with pytest.raises(EdgehrError, match=r"weights\.pth: is not what .* publishes"):
            find(card_for(url))
    assert path.read_bytes() == b"another file"
    path.write_bytes(CONTENT)
    assert find_weights(card_for(url)) == path


def test_offline_says_which_file_to_put_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path))
    card = card_for("http://127.0.0.1:9")  # the discard port: nothing listens
    with pytest.raises(EdgehrError) as caught:
        fetch(card)
    message = str(caught.value)
    assert "http://127.0.0.1:9/weights.pth" in message
    assert str(tmp_path / "weights" / "weights.pth") in message
    assert "\n" not in message


def test_a_missing_file_on_the_server_is_said(server: tuple[type[Handler], str]) -> None:
    _, url = server
    card = card_for(url)
    with pytest.raises(EdgehrError, match="Not Found"):
        fetch(card.with_weights(replace(card.weights, url=f"{url}/absent.pth")))


def test_a_cache_that_cannot_be_written_is_said(
    server: tuple[type[Handler], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path / "file"))
    with pytest.raises(EdgehrError, match="cannot write"):
        fetch(card_for(server[1]))


def test_sample_weights_need_no_download() -> None:
    card = get_card("litehrnet-18-wider-naive-coco-256x192")
    path = fetch(card)
    assert path.is_file()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card.weights.sha256


def test_models_without_published_weights_say_so() -> None:
    with pytest.raises(EdgehrError, match=r"no published weights.*--weights"):
        fetch(get_card("litehrnet-18-naive-coco-256x192"))


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_a_server_sends_on_to_web_servers_alone(
    where: str, server: tuple[type[Handler], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, url = server

    def redirect(self: Handler) -> None:
        self.send_response(302)
        self.send_header("Location", where)
        self.end_headers()

    monkeypatch.setattr(handler, "do_GET", redirect)
    with pytest.raises(EdgehrError, match="cannot download"):
        fetch(card_for(url))


def test_a_part_that_was_not_asked_for_is_refused(server: tuple[type[Handler], str]) -> None:
    handler, url = server

    part = cached_path(card_for(url)).with_name("weights.pth.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:1000])

    def answer(self: Handler) -> None:
        self.send_response(206)
        self.send_header("Content-Range", f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", "many")
        self.end_headers()
        self.wfile.write(CONTENT)

    handler.do_GET = answer  # type: ignore[method-assign]
    with pytest.raises(EdgehrError, match="another part than it was asked for"):
        fetch(card_for(url))
    assert part.read_bytes() == CONTENT[:1000]


def test_a_server_that_never_ends_does_not_fill_the_disk(
    server: tuple[type[Handler], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["edgehr.zoo.fetch"], "MAX_BYTES", 1000)
    with pytest.raises(EdgehrError, match="sends more than"):
        fetch(card_for(server[1]))
