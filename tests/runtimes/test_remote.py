"""Addresses of models on servers, and servers that are none; real ones are in tests/serving."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

import edgehr
from edgehr.benchmark.remote import _files
from edgehr.errors import ArtifactError, EdgehrError, MissingDependencyError
from edgehr.runtimes import load
from edgehr.runtimes.formats import find_format, format_of
from edgehr.runtimes.remote.address import RemoteAddress, is_address
from edgehr.runtimes.remote.request import _contents


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("grpc://host:8001/pose", ("grpc", "host", 8001, "pose", "", "")),
        ("grpc:/host:8001/pose", ("grpc", "host", 8001, "pose", "", "")),
        ("GRPCS://host/pose/3", ("grpcs", "host", 443, "pose", "3", "")),
        ("http://[::1]:8000/pose", ("http", "::1", 8000, "pose", "", "")),
        ("https://host/serving/a/pose/12", ("https", "host", 443, "pose", "12", "serving/a")),
        ("http://host/7", ("http", "host", 80, "7", "", "")),
        ("http://host:80/a%20model.onnx", ("http", "host", 80, "a model.onnx", "", "")),
    ],
)
def test_addresses(text: str, expected: tuple[Any, ...]) -> None:
    found = RemoteAddress.parse(text)
    assert (found.scheme, found.host, found.port, found.model, found.version, found.base) == expected
    assert RemoteAddress.parse(Path(text)) == found
    assert RemoteAddress.parse(str(found).replace(" ", "%20")) == found
    assert format_of(Path(text)).name == "remote"


def test_options_of_an_address() -> None:
    options = "card=a+b/edgehr.json&ca=../ca.pem&token_file=/run/token&timeout=2.5&shared_memory=off"
    found = RemoteAddress.parse(Path(f"grpcs://host/pose?{options}"))
    assert (found.card, found.ca, found.token_file) == (Path("a+b/edgehr.json"), Path("../ca.pem"), Path("/run/token"))
    assert (found.timeout, found.shared_memory) == (2.5, "off")


@pytest.mark.parametrize("name", ["grpc", "grpc:", "grpc:model.onnx", "http.onnx", "c:/model.onnx", "ftp://host/m", ""])
def test_what_is_no_address(name: str) -> None:
    assert not is_address(name)
    found = find_format(name)
    assert found is None or found.name == "onnx"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grpc://host/pose", "expected grpc://HOST:PORT/MODEL"),
        ("grpc://host:8001", "expected grpc://HOST:PORT/MODEL"),
        ("grpc://host:99999/pose", "expected grpc://HOST:PORT/MODEL"),
        ("grpc://host:8001/a/pose", "gRPC knows no folders"),
        ("grpc://me:secret@host:8001/pose", "^host:8001/pose: an address holds no login"),
        ("http://host/pose?token=secret", "the option 'token' or its value is not understood"),
        ("http://host/pose?timeout=-1", "the option 'timeout'"),
        ("http://host/pose?timeout=nan", "the option 'timeout'"),
        ("http://host/pose?shared_memory=maybe", "the option 'shared_memory'"),
        ("http://host/pose?card", "NAME=VALUE"),
    ],
)
def test_addresses_that_cannot_be_meant(text: str, message: str) -> None:
    for call in (load, lambda name: load(Path(name)), edgehr.PoseEstimator):
        with pytest.raises(EdgehrError, match=message) as caught:
            call(text)
        assert "secret" not in str(caught.value)


def test_addresses_are_shown_as_they_were_written() -> None:
    with pytest.raises(EdgehrError, match=r"^grpc://host/pose: is no address"):
        load(Path("grpc://host/pose?timeout=3"))


def test_another_machine_measures_an_address_too(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    files, names = _files([Path("grpc://host:8001/pose?timeout=3"), tmp_path / "model.onnx"])
    assert list(files) == ["model.onnx"]
    assert RemoteAddress.parse(names[0]) == RemoteAddress.parse("grpc://host:8001/pose?timeout=3")
    assert names[1] == "model.onnx"


def test_kinds_of_models_are_listed_with_addresses(tmp_path: Path) -> None:
    (tmp_path / "model.h5").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"expected \.onnx, .* or an address, as grpc://HOST:8001/MODEL"):
        load(tmp_path / "model.h5")


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.mark.parametrize("scheme", ["grpc", "grpcs", "http", "https"])
def test_no_server(scheme: str, closed_port: int) -> None:
    with pytest.raises(EdgehrError, match="no server answers: is it running") as caught:
        load(f"{scheme}://127.0.0.1:{closed_port}/pose")
    assert "\n" not in str(caught.value)


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, *_: object) -> None:
        pass


class JsonOnly(Page):
    """A server of the protocol that takes no binary tensors, and says so in its own way."""

    def do_GET(self) -> None:
        tensor = {"datatype": "FP32", "shape": [1, 2]}
        model = {"name": "pose", "inputs": [{"name": "x", **tensor}], "outputs": [{"name": "y", **tensor}]}
        server = {"name": "plain", "version": "1", "extensions": []}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(model if "pose" in self.path else server).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(500)
        self.end_headers()
        self.wfile.write(b"Internal Server Error")


@contextmanager
def serving(kind: type[Page]) -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def web_server() -> Iterator[int]:
    with serving(Page) as port:
        yield port


def test_a_server_that_takes_no_binary_tensors() -> None:
    with serving(JsonOnly) as port, load(f"http://127.0.0.1:{port}/pose") as runtime:
        with pytest.raises(
            EdgehrError, match=r"takes no binary tensors by HTTP: see its log, or try grpc://"
        ) as caught:
            runtime.infer({"x": np.zeros((1, 2), np.float32)})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["grpc", "grpcs", "http", "https"])
def test_another_kind_of_server(scheme: str, web_server: int) -> None:
    with pytest.raises(EdgehrError, match=f"^{scheme}://127.0.0.1:{web_server}/pose: ") as caught:
        load(f"{scheme}://127.0.0.1:{web_server}/pose?timeout=5")
    assert "\n" not in str(caught.value)


def test_a_server_that_says_nothing() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        for scheme in ("grpc", "http"):
            address = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}/pose?timeout=0.3"
            with pytest.raises(EdgehrError, match=r"no answer in 0\.3 s|no server answers"):
                load(address)


def test_files_that_an_address_names(tmp_path: Path) -> None:
    (tmp_path / "nonsense").write_bytes(b"\xff\xfe\x00")
    for scheme in ("grpcs", "https"):
        with pytest.raises(EdgehrError, match="certificates"):
            load(f"{scheme}://127.0.0.1:1/pose?ca={tmp_path / 'absent.pem'}")
        for name, message in (("absent", "cannot read the token: No such file"), ("nonsense", "it is no text")):
            with pytest.raises(EdgehrError, match=message):
                load(f"{scheme}://127.0.0.1:1/pose?token_file={tmp_path / name}")
    with pytest.raises(EdgehrError, match="certificates"):
        load(f"https://127.0.0.1:1/pose?ca={tmp_path / 'nonsense'}")


@pytest.mark.parametrize("absent", ["tritonclient", "grpc"])
def test_without_the_client_the_extra_is_named(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] in ("tritonclient", absent):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgehr\[remote\]'"):
        load("grpc://127.0.0.1:1/pose")


@pytest.mark.parametrize(("datatype", "field"), [("FP32", "fp32_contents"), ("UINT8", "uint_contents")])
def test_numbers_that_are_sent_one_by_one(datatype: str, field: str) -> None:
    """As MLServer does in gRPC."""
    tensor = service_pb2.ModelInferResponse.InferOutputTensor(name="y", datatype=datatype, shape=[2, 3])
    assert _contents(tensor) is None
    getattr(tensor.contents, field).extend(range(6))
    found = _contents(tensor)
    assert found is not None
    np.testing.assert_array_equal(found, np.arange(6, dtype=found.dtype).reshape(2, 3))
    assert found.dtype.itemsize == {"FP32": 4, "UINT8": 1}[datatype]
