"""`edgehr demo` as users meet it: in a process of its own, with sources that are not there and ends that come early."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.assets import packaged_model
from edgehr.cli import demo
from edgehr.cli.main import build_parser, main
from edgehr.errors import EdgehrError
from edgehr.runtimes.onnx.runtime import OnnxRuntime
from edgehr.zoo import DEFAULT_MODEL
from tests.cli.test_cli import one_line


@pytest.mark.slow
def test_demo_follows_a_person_through_a_video(
    sample_ir: Path, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shared / "data" / "video" / "posetrack.mp4"
    command = ["demo", "--model", sample_ir, "--source", source, "--save", tmp_path, "--json"]
    assert main(list(map(str, command))) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames"] == 5
    assert summary["frames_with"] >= 4
    noses = np.array([frame["people"][0]["keypoints"][0][:2] for frame in summary["results"] if frame["people"]])
    assert np.linalg.norm(np.diff(noses, axis=0), axis=1).max() < 60  # the same player throughout
    capture = cv2.VideoCapture(str(tmp_path / "posetrack.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == summary["frames"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_closes_its_files(
    number: signal.Signals, sample_ir: Path, shared: Path, tmp_path: Path
) -> None:
    source = shared / "data" / "video" / "people.mp4"
    command = [sys.executable, "-m", "edgehr.cli.main", "demo", "--model", str(sample_ir), "--source", str(source)]
    command += ["--save", str(tmp_path), "--jsonl", str(tmp_path / "poses.jsonl"), "--loop", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".edgehr-*/people.mp4")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(1)
    process.send_signal(number)
    try:
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, stderr
    summary = json.loads(stdout)
    assert summary["interrupted"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["people.mp4", "poses.jsonl"]
    capture = cv2.VideoCapture(str(tmp_path / "people.mp4"))
    assert summary["frames"] > 0
    assert abs(capture.get(cv2.CAP_PROP_FRAME_COUNT) - summary["frames"]) <= 1  # one may have been on its way
    lines = [json.loads(line) for line in (tmp_path / "poses.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(len(lines)))
    assert abs(len(lines) - summary["frames"]) <= 1


def test_what_was_found_before_the_model_fails_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where its server goes away."""
    run, left = OnnxRuntime._infer, iter(range(8))

    def fail_later(self: OnnxRuntime, inputs: Any) -> Any:
        if next(left, None) is None:
            raise EdgehrError("grpc://host:8001/pose: no server answers")
        return run(self, inputs)

    monkeypatch.setattr(OnnxRuntime, "_infer", fail_later)
    command = ["demo", "--source", "clip", "--detector", "none", "--model", packaged_model(DEFAULT_MODEL, ".onnx")]
    command += ["--save", tmp_path / "seen.mp4", "--jsonl", tmp_path / "seen.jsonl"]
    assert main(list(map(str, command))) == 1
    shown = capsys.readouterr()
    assert shown.err.strip().splitlines()[-1] == (
        "edgehr demo: grpc://host:8001/pose: no server answers (what was found before is kept)"
    )
    lines = (tmp_path / "seen.jsonl").read_text().splitlines()
    assert len(lines) == cv2.VideoCapture(str(tmp_path / "seen.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) > 0


def test_sources_that_cannot_be_opened_are_one_line(tmp_path: Path) -> None:
    """In another process, where FFmpeg would write to standard error by itself."""
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    expected = {
        "text.mp4": "text.mp4: OpenCV cannot open this video",
        "empty": "empty: holds no images",
        "": "the source is empty",
        "99": "camera 99: cannot be opened",
        f"rtsp://user:topsecret@127.0.0.1:{port}/x": f"rtsp://user:***@127.0.0.1:{port}/x: cannot be opened",
        f"http://127.0.0.1:{port}/x.mp4": "cannot be opened",
    }
    code = "import sys; from edgehr.cli.main import main; "
    code += "sys.exit(sum(main(['demo', '--source', source]) for source in sys.argv[1:]))"
    command = [sys.executable, "-c", code, *expected]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (len(expected), "")
    for line, message in zip(done.stderr.strip().splitlines(), expected.values(), strict=True):
        assert message in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "text.mp4"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--frames", "0"], "--frames must be at least 1"),
        (["--detect-every", "0"], "--detect-every must be at least 1"),
        (["--token", "12345678"], "--token goes with --serve"),
    ],
)
def test_options_that_make_no_sense(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *options]) == 1
    assert message in one_line(capsys.readouterr().err)


@pytest.mark.slow
def test_places_that_are_taken_or_closed(
    sample_ir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    command = ["demo", "--model", str(sample_ir)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        for options, message in (
            (["--serve", port], f"port {port} of 127.0.0.1 is taken"),
            (["--save", "file/x.jpg"], "cannot write to file"),
            (["--jsonl", "file/x.jsonl"], "cannot write to file"),
        ):
            assert main([*command, *options]) == 1
            assert message in one_line(capsys.readouterr().err)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.slow
def test_a_reader_of_the_json_lines_that_has_seen_enough(sample_ir: Path, shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "video" / "people.mp4"
    command = f"{sys.executable} -m edgehr.cli.main demo --model {sample_ir} --source {source} --loop --jsonl -"
    script = f"{command} --save {tmp_path} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["frame"] == 0
    assert cv2.VideoCapture(str(tmp_path / "people.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) > 0


class Camera:
    """A source in place of the first camera, which is not here."""

    kind, closed = "live", False

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("options", "screen", "chosen"),
    [
        ([], True, "camera"),
        ([], False, "people.jpg"),
        (["--serve", "8080"], False, "camera"),
        (["--detector", "none"], False, "astronaut.jpg"),
        (["--model", "own.xml"], False, "astronaut.jpg"),
        (["--model", "own.xml", "--detector", "d.xml"], False, "people.jpg"),
    ],
)
def test_the_source_that_nobody_named(
    options: list[str], screen: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = Camera()
    monkeypatch.setattr(demo, "_first_camera", lambda: camera)
    monkeypatch.setattr(demo, "_has_screen", lambda: screen)
    args = build_parser().parse_args(["demo", *options])
    source = demo._source(args)
    if chosen == "camera":
        assert source is camera
        assert args.window == (not options)
    else:
        assert source.path is not None
        assert source.path.name == chosen
        assert camera.closed
    monkeypatch.setattr(demo, "_first_camera", lambda: None)
    assert ("no screen" in (args.why or "")) == (chosen != "camera")
    assert demo._source(args).kind == "images"
    assert "no camera opens" in args.why


def test_without_options_several_people_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_first_camera", lambda: None)
    assert main(["demo", "--json", "--threads", "1"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert len(summary["results"][0]["people"]) == 3
    assert summary["saved"] == [str(Path("out", "people.jpg"))]
