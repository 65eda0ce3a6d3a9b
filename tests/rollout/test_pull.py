"""`edgehr rollout` and `edgehr pull`, against a real web server on the loopback interface."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edgehr.cli.main import main
from edgehr.errors import EdgehrError
from edgehr.rollout.manifest import RolledFile, Rollout
from edgehr.rollout.pull import pulled_model
from edgehr.runtimes import load
from tests.benchmark.test_candidates import foreign
from tests.small_segmenter import save_segmenter
from tests.spread.works import wait_for


class Server:
    """Serves a folder, with ranges, and breaks what it is told to break."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stop_after: int | None = None  # bytes of an answer
        self.pause_s = 0.0  # before each block of them
        self.content: dict[str, bytes] = {}  # in place of the file
        self.asked: list[tuple[str, str | None]] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.asked.append((request.path, asked))
        if request.path.startswith("/moved/"):
            request.send_response(302)
            request.send_header("Location", request.path.removeprefix("/moved"))
            request.end_headers()
            return
        path = self.folder / request.path.lstrip("/")
        if not path.is_file():
            request.send_error(404)
            return
        content = self.content.get(path.name, path.read_bytes())
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        body = content[start:] if path.suffix or self.stop_after is None else content[start : start + self.stop_after]
        for at in range(0, len(body), 1 << 12):
            time.sleep(0 if path.suffix else self.pause_s)
            try:
                request.wfile.write(body[at : at + (1 << 12)])
            except OSError:
                return

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.chdir(tmp_path)
    save_segmenter(tmp_path / "first.onnx")
    save_segmenter(tmp_path / "second.onnx", (96, 64))
    made = Server(tmp_path / "served")
    roll("any=first.onnx")
    yield made
    made.close()


def roll(*entries: str) -> None:
    assert main(["rollout", *entries, "--out", "served"]) == 0


def pull(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Any:
    capsys.readouterr()
    assert main(["pull", *arguments, "--json"]) == status
    shown = capsys.readouterr()
    if status:
        (line,) = shown.err.strip().splitlines()
        return line.removeprefix("edgehr pull: ")
    return json.loads(shown.out)


def is_whole(path: Path) -> bool:
    with load(path) as runtime:
        return bool(runtime.inputs)


def test_new_models_come_and_go_back(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    first = pull(capsys, server.url)
    assert (first["path"], first["changed"]) == ("models/current/first.onnx", True)
    assert first["difference"] < 1e-4
    assert is_whole(pulled_model(Path("models")))
    assert pull(capsys, server.url)["changed"] is False
    assert "models" in pull(capsys, "--back", status=1)
    roll("any=second.onnx")
    second = pull(capsys, f"{server.url}moved/rollout.json", "--out", "models", status=0)
    assert second["path"] == "models/current/second.onnx"
    assert Path("models/previous/first.onnx").read_bytes() == Path("first.onnx").read_bytes()
    assert pull(capsys, "--back")["path"] == "models/current/first.onnx"
    again = pull(capsys, server.url)  # what was left is not taken again, by a timer for one
    assert (again["path"], again["changed"]) == ("models/current/first.onnx", False)
    assert pull(capsys, "--back")["path"] == "models/current/second.onnx"
    assert pull(capsys, server.url.rstrip("/"))["changed"] is False
    assert pull(capsys, "--back")["path"] == "models/current/first.onnx"
    content = Path("models/current/first.onnx").read_bytes()
    Path("models/current/first.onnx").write_bytes(b"damaged")
    assert "is damaged, and the rollout has what --back left" in pull(capsys, server.url, status=1)
    Path("models/current/first.onnx").write_bytes(content)
    assert pull(capsys, "--back")["path"] == "models/current/second.onnx"
    roll("any=first.onnx")  # a server that goes back is followed
    assert pull(capsys, server.url)["path"] == "models/current/first.onnx"
    roll("any=second.onnx")
    assert pull(capsys, server.url)["path"] == "models/current/second.onnx"
    assert len([*Path("models/versions").iterdir()]) == 2
    assert not [*Path("models/.downloads").iterdir()]


def test_files_of_a_model_come_together(server: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import openvino as ov

    source = foreign(tmp_path / "m.onnx", x=(1, [1, 3, 8, 8]))
    ov.save_model(ov.convert_model(str(source)), tmp_path / "m.xml")
    roll("riscv64=first.onnx", "any=m.xml")
    told = pull(capsys, server.url)
    assert told["path"] == "models/current/m.xml"
    assert sorted(path.name for path in Path("models/current").iterdir()) == ["m.bin", "m.xml", "rolled-out.json"]
    assert is_whole(pulled_model(Path("models")))


def test_a_device_gets_what_is_for_its_kind(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    roll("raspberry-pi-5*,jetson=first.onnx", "aarch64=second.onnx")
    rollout = Rollout.from_data(json.loads((server.folder / "rollout.json").read_text()), "rollout.json")
    for kind, name in (("raspberry-pi-5-model-b-rev-1-0", "first"), ("jetson", "first"), ("aarch64", "second")):
        assert rollout.for_device([kind, "more"]).main == f"{name}.onnx"
    assert pull(capsys, server.url, "--kind", "aarch64", "--out", "d")["path"] == "d/current/second.onnx"
    said = pull(capsys, server.url, "--kind", "toaster", status=1)
    assert said.startswith("the rollout has nothing for this device (toaster), only for raspberry-pi-5*, jetson, aar")
    assert main(["pull", "--kinds"]) == 0
    assert len(capsys.readouterr().out.split()) >= 2


def test_a_download_that_breaks_off_goes_on(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    size = Path("first.onnx").stat().st_size
    server.stop_after = size // 5
    assert "run the command again to go on" in pull(capsys, server.url, status=1)
    assert not Path("models/current").exists()
    assert pull(capsys, server.url)["changed"] is True
    asked = [asked for path, asked in server.asked if path.startswith("/files/")]
    step = size // 5
    assert asked == [None, *(f"bytes={step * number}-" for number in range(1, 6 if 5 * step < size else 5))]


def test_another_file_than_was_rolled_out_is_refused(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    pull(capsys, server.url)
    roll("any=second.onnx")
    content = Path("second.onnx").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    for wrong, problem in ((content[:-1] + b"?", "is not second.onnx as"), (content * 2, "sends more than")):
        server.content[digest] = wrong
        assert problem in pull(capsys, server.url, status=1)
        assert is_whole(Path("models/current/first.onnx"))
    server.content.clear()
    assert pull(capsys, server.url)["changed"] is True


def test_a_model_that_fails_its_self_check_never_takes_its_place(
    server: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pull(capsys, server.url)
    roll("any=second.onnx")
    file = tmp_path / "served" / "rollout.json"
    told = json.loads(file.read_text())
    (sample,) = told["entries"][0]["check"]["outputs"].values()
    sample["values"] = [value + sample["deviation"] for value in sample["values"]]
    file.write_text(json.dumps(told))
    said = pull(capsys, server.url, status=1)
    assert said == (
        "second.onnx fails its self-check (its outputs are 1 standard deviations off, above 0.1): first.onnx of before "
        "stays"
    )
    # A file that is what the rollout says, but no model.
    broken = b"\x08\x07" * 50
    digest = hashlib.sha256(broken).hexdigest()
    (tmp_path / "served" / "files" / digest).write_bytes(broken)
    told["entries"][0]["files"] = [{"name": "second.onnx", "sha256": digest, "size": len(broken)}]
    file.write_text(json.dumps(told))
    said = pull(capsys, server.url, status=1)
    assert said.startswith("second.onnx fails its self-check (second.onnx: ONNX Runtime")
    assert is_whole(Path("models/current/first.onnx"))
    assert len([*Path("models/versions").iterdir()]) == 1
    assert not [*Path("models").glob(".edgehr-*")]


@pytest.mark.slow
def test_two_pulls_at_once_make_one_change(server: Server) -> None:
    server.pause_s = 0.2
    command = [sys.executable, "-m", "edgehr.cli.main", "pull", server.url, "--json"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [json.loads(process.communicate(timeout=100)[0]) for process in processes]
    assert sorted(each["changed"] for each in told) == [False, True]
    assert len({each["version"] for each in told}) == 1
    assert len([path for path, _ in server.asked if path.startswith("/files/")]) == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_a_kill_at_any_moment_leaves_the_old_model_or_the_new_one(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(capsys, server.url)
    roll("any=second.onnx")
    server.pause_s = 0.3
    models = Path("models")
    moments = (
        lambda: [part for part in models.glob(".downloads/*") if not part.suffix and part.stat().st_size],
        lambda: [*models.glob(".edgehr-unfinished-*/.rolled-out.json")],
        lambda: len([*models.glob("versions/*")]) > 1,
    )
    for moment in moments:
        process = subprocess.Popen([sys.executable, "-m", "edgehr.cli.main", "pull", server.url])
        wait_for(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert is_whole(pulled_model(models))
    pull(capsys, server.url)
    assert pulled_model(models).name == "second.onnx"
    assert Path("models/previous/first.onnx").read_bytes() == Path("first.onnx").read_bytes()
    assert not [*models.glob(".edgehr-*"), *models.glob(".current-*")]
    assert len([*models.glob("versions/*")]) == 2


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "../x.onnx"}, "must have a plain name, got '../x.onnx'"),
        ({"name": ".x.onnx"}, "must have a plain name"),
        ({"name": "rolled-out.json"}, "must have a plain name"),
        ({"sha256": "../../etc/passwd"}, "sha256 must be 64 hex digits"),
        ({"size": "many"}, "size in a file of the rollout must be"),
        ({"size": -1}, "a size cannot be -1"),
    ],
)
def test_a_rollout_file_is_data(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(EdgehrError, match=problem):
        RolledFile(**{"name": "x.onnx", "sha256": "0" * 64, "size": 1, **change})


@pytest.mark.parametrize("text", ["[]", '{"schema": 1}', '{"schema": 9}', '{"schema": 1, "entries": [{"kinds": 1}]}'])
def test_what_is_no_rollout_file_is_said(text: str) -> None:
    with pytest.raises(EdgehrError, match=r"^http://x: is (no|a) rollout"):
        Rollout.from_data(json.loads(text), "http://x")


def test_mistakes_are_one_line(server: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "expected an address of a web server" in pull(capsys, "file:///etc/passwd", status=1)
    assert "Not Found" in pull(capsys, f"{server.url}absent.json", status=1)
    assert "Connection refused" in pull(capsys, "http://127.0.0.1:9/", status=1)
    (tmp_path / "served" / "rollout.json").write_text("<html>")
    assert "not JSON" in pull(capsys, server.url, status=1)
    (tmp_path / "file").touch()
    assert "cannot write to file" in pull(capsys, server.url, "--out", "file", status=1)
    assert "holds no previous model" in pull(capsys, "--back", status=1)
    for wrong in (["absent.onnx"], ["any=absent.onnx", "--tolerance", "-1"]):
        with pytest.raises(SystemExit):
            main(["rollout", *wrong, "--out", "served"])
    assert main(["rollout", "any=absent.onnx", "--out", "served"]) == 1
    shutil.copy(tmp_path / "file", tmp_path / "empty.onnx")
    assert main(["rollout", "any=empty.onnx", "--out", "served"]) == 1
