"""The folder, and the packages in it: a registry on the loopback, bad input, hosts."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgehr
from edgehr.assets import packaged_model
from edgehr.cli.main import main
from edgehr.errors import EdgehrError
from edgehr.live.web_demo import make_folder, npm
from edgehr.live.web_demo.models import read_model
from edgehr.runtimes.tflite.format import FORMAT
from edgehr.zoo import DEFAULT_DETECTOR, DEFAULT_MODEL, DEFAULT_SEGMENTER
from tests.live.web_demo.browsing import folder_for

ENTRY = b'import { createWasmLib } from "@litertjs/wasm-utils";\n'


def packed(package: npm.Package, content: bytes = ENTRY) -> bytes:
    """An archive as npm has it, with all files that the page needs."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name in package.files:
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An npm registry that holds small packages of those names, which are pinned for the test."""
    root = tmp_path / "registry"
    small = {}
    for package in (npm.ONNXRUNTIME_WEB, npm.LITERT, npm.WASM_UTILS):
        archive = packed(package)
        path = root / package.name / "-" / package.archive
        path.parent.mkdir(parents=True)
        path.write_bytes(archive)
        integrity = base64.b64encode(hashlib.sha512(archive).digest()).decode()
        small[package.name] = replace(package, integrity=integrity)
    monkeypatch.setattr(npm, "LITERT", small["@litertjs/core"])
    monkeypatch.setitem(npm.RUNTIMES, ".onnx", ("onnxruntime-web", (small["onnxruntime-web"],)))
    both = (small["@litertjs/core"], small["@litertjs/wasm-utils"])
    monkeypatch.setitem(npm.RUNTIMES, ".tflite", ("litert", both))
    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path / "cache"))
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_folder_has_all_that_its_page_names(registry: str, tmp_path: Path) -> None:
    told: list[str] = []
    made = make_folder(
        packaged_model(DEFAULT_MODEL, ".tflite"),
        tmp_path / "page",
        detector=packaged_model(DEFAULT_DETECTOR),
        registry=registry,
        progress=lambda name, done, total: told.append(name),
    )
    assert {package.name for package in made.packages} == {"@litertjs/core", "@litertjs/wasm-utils", "onnxruntime-web"}
    assert len(set(told)) == 3
    description = json.loads((made.path / "demo.json").read_text())
    assert set(description["models"]) == {"pose", "detector"}
    for model in description["models"].values():
        assert (made.path / model["file"]).stat().st_size == model["bytes"]
    pose = description["models"]["pose"]
    assert (pose["runtime"], pose["input_shape"], pose["card"]["layout"]) == ("litert", [1, 256, 192, 3], "nhwc")
    for name in ("index.html", "app.js", "worker.js", "style.css", "icon.svg", "vision/session.js", "ui/sources.js"):
        assert (made.path / name).is_file()
    entry = (made.path / "runtime" / "litert" / "index.js").read_text()
    assert 'from "./wasm-utils.js"' in entry
    assert "Changed by edgehr" in entry
    notice = (made.path / "runtime" / "NOTICE.txt").read_text()
    assert "MIT" in notice
    assert "Apache" in notice
    assert made.bytes == sum(path.stat().st_size for path in made.path.rglob("*") if path.is_file())
    assert list(tmp_path.glob(".edgehr*")) == []
    for path in made.path.rglob("*"):  # nothing is fetched from elsewhere
        if path.suffix in (".html", ".js", ".css") and "runtime" not in path.parts:
            own = path.read_text(encoding="utf-8").replace("by https://, ", "")
            assert "http://" not in own
            assert "https://" not in own


def test_half_precision_is_widened_for_litert(registry: str, tmp_path: Path) -> None:
    """Browsers would do that at every inference."""
    path = packaged_model(DEFAULT_MODEL, ".tflite")
    made = make_folder(path, tmp_path / "page", registry=registry)
    wide = made.path / "models" / "pose.tflite"
    kinds = FORMAT.operators(path), FORMAT.operators(wide)
    assert kinds[0] is not None
    assert kinds[1] == {name: count for name, count in kinds[0].items() if name != "DEQUANTIZE"}
    batch = np.random.default_rng(0).normal(size=(1, 256, 192, 3)).astype(np.float32)
    with edgehr.load(path) as narrow, edgehr.load(wide) as single:
        assert np.array_equal(*(next(iter(each.infer({"image": batch}).values())) for each in (narrow, single)))


def test_packages_come_from_the_cache_the_second_time(registry: str, tmp_path: Path) -> None:
    make_folder(packaged_model(DEFAULT_MODEL), tmp_path / "one", registry=registry)
    make_folder(packaged_model(DEFAULT_MODEL), tmp_path / "two", registry="http://127.0.0.1:9")
    with pytest.raises(EdgehrError, match=r"cannot download http://127\.0\.0\.1:9/@litertjs/core/-/core-2"):
        make_folder(packaged_model(DEFAULT_MODEL, ".tflite"), tmp_path / "three", registry="http://127.0.0.1:9/")
    assert not (tmp_path / "three").exists()


def test_another_content_than_the_pinned_one_is_refused(registry: str, tmp_path: Path) -> None:
    (package,) = npm.RUNTIMES[".onnx"][1]
    (tmp_path / "registry" / package.name / "-" / package.archive).write_bytes(packed(package, b"other"))
    with pytest.raises(EdgehrError, match=r"is not onnxruntime-web 1\.30\.0 as it was published"):
        make_folder(packaged_model(DEFAULT_MODEL), tmp_path / "page", registry=registry)
    assert not (tmp_path / "page").exists()
    assert list((tmp_path / "cache" / "npm").iterdir()) == []


def test_the_registry_is_that_of_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY", "npm_config_userconfig"):
        monkeypatch.delenv(name, raising=False)
    settings = tmp_path / "npmrc"
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(settings))
    assert npm.registry_address() == "https://registry.npmjs.org"
    settings.write_text("; ours\nregistry = https://npm.example.org/\n@litertjs:registry=https://other.example.org\n")
    assert npm.registry_address() == "https://npm.example.org"
    assert npm.registry_address(scope="@litertjs") == "https://other.example.org"
    monkeypatch.setenv("npm_config_registry", "http://mirror.example.org/npm/")
    assert npm.registry_address() == "http://mirror.example.org/npm"
    assert npm.registry_address("https://given.example.org") == "https://given.example.org"
    with pytest.raises(EdgehrError, match="not the address of an npm registry"):
        npm.registry_address("npm.example.org")


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        ("missing.onnx", (), "missing.onnx: no such model file"),
        ("model.xml", (), "model.xml: browsers run .onnx and .tflite files"),
        ("model.plan", (), "model.plan: browsers run .onnx and .tflite files"),
        ("notes.txt", (), "notes.txt: browsers run .onnx and .tflite files"),
        ("hrnet-w32-coco-256x192", (), "does not ship with edgehr: edgehr convert hrnet-w32-coco-256x192 --to tflite"),
        ("damaged.onnx", (), "damaged.onnx: "),
        (DEFAULT_DETECTOR, (), "is a model for detection"),
        (DEFAULT_MODEL, ("--detector", DEFAULT_SEGMENTER), "and --detector takes a detector"),
        (DEFAULT_MODEL, ("--segmenter", DEFAULT_DETECTOR), "and --segmenter takes one for segmentation"),
        (DEFAULT_SEGMENTER, ("--detector", DEFAULT_DETECTOR), "--detector and --segmenter go with others"),
        (DEFAULT_MODEL, ("--registry", "ftp://here"), "not the address of an npm registry"),
        (DEFAULT_MODEL, ("--serve", "here"), "not an address to serve at"),
        (DEFAULT_MODEL, ("--out", "full"), "full: is there already"),
    ],
)
def test_bad_input_gets_one_line(
    model: str,
    options: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path / "cache"))
    Path("model.xml").write_text("<net/>")
    Path("model.plan").write_bytes(b"plan")
    Path("damaged.onnx").write_bytes(b"\x08\x09 no graph at all")
    Path("notes.txt").write_text("not a model")
    Path("full").mkdir()
    Path("full", "holiday.jpg").touch()
    assert main(["web-demo", model, "--out", "page", *options]) == 1
    error = capsys.readouterr().err.strip()
    assert says in error
    assert len(error.splitlines()) == 1
    assert not Path("page").exists()
    assert Path("full", "holiday.jpg").exists()


@pytest.mark.slow
def test_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    """A folder that was not asked for is gone afterwards."""
    folder_for(tmp_path / "page", packaged_model(DEFAULT_MODEL))  # which fills the cache
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "edgehr.cli.main", "web-demo", str(packaged_model(DEFAULT_MODEL)), "--serve", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        address = next(line.split()[-1] for line in lines if line.startswith("serving at "))
        with urllib.request.urlopen(f"{address}demo.json") as answer:
            assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
            assert set(json.load(answer)["models"]) == {"pose"}
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_a_model_that_browsers_cannot_feed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packaged_model(DEFAULT_MODEL)
    about: dict[str, Any] = read_model(path).card.to_dict()

    def described(dtype: str, batch: int | None) -> Any:
        ends = {"name": "image", "shape": [batch, 3, 256, 192], "dtype": dtype}
        artifact = {"card": about, "precision": "int8", "parts": {}}
        return lambda _: {"inputs": [ends], "outputs": [], "artifact": artifact}

    for dtype, batch, says in (
        ("int8", 1, "convert it without --int8-io"),
        ("float16", 1, "convert it without --fp16-io"),
        ("float32", 4, "takes 4 images at a time: convert it with --batch 1"),
    ):
        monkeypatch.setattr("edgehr.live.web_demo.models.describe", described(dtype, batch))
        with pytest.raises(EdgehrError, match=says):
            make_folder(path, tmp_path / "page")
