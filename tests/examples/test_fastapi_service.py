"""The pose service: a real server in a process of its own, asked over real connections."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.assets import photographs
from edgehr.live.predictors.pose import PoseEstimator
from tests.examples.conftest import EXAMPLES, environment

JPEG = {"Content-Type": "image/jpeg"}
PNG = {"Content-Type": "image/png"}


@dataclass
class Server:
    port: int
    log: Path

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """The status and the JSON that come back."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def post(self, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        return self.ask("POST", "/poses", body, headers)


@contextmanager
def serving(log: Path, command: list[str], **settings: str) -> Iterator[Server]:
    """A server on a free port, which it writes into its log; ended as a supervisor does it."""
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, *command], stderr=file, stdout=file, env=environment(**settings))
    try:
        yield Server(_port(process, log), log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert "Application shutdown complete" in log.read_text()
    assert "Traceback" not in log.read_text()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError(f"the server did not start:\n{log.read_text()}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sample_ir: Path, detector_ir: Path) -> Iterator[Server]:
    command = [str(EXAMPLES / "fastapi_service.py"), "--port", "0"]
    log = tmp_path_factory.mktemp("service") / "log"
    with serving(log, command, EDGEHR_MODEL=str(sample_ir), EDGEHR_DETECTOR=str(detector_ir)) as server:
        yield server


@pytest.fixture(scope="module")
def pictures(shared: Path) -> list[Path]:
    """The photographs and a few with several people."""
    several = sorted((shared / "data" / "coco-val2017-people" / "images").glob("*.jpg"))[:4]
    return [*photographs(), *several]


@pytest.mark.slow
def test_people_come_as_the_estimator_finds_them(
    server: Server, pictures: list[Path], sample_ir: Path, detector_ir: Path
) -> None:
    found = 0
    with PoseEstimator(sample_ir, detector=detector_ir) as estimator:
        for picture in pictures:
            status, answer = server.post(picture.read_bytes(), JPEG)
            image = cv2.imread(str(picture))
            poses = estimator(image)
            assert status == 200
            assert (answer["height"], answer["width"]) == image.shape[:2]
            assert len(answer["people"]) == len(poses)
            for index, person in enumerate(answer["people"]):
                assert person["box"] == pytest.approx(poses.boxes[index].tolist(), abs=0.5)
                assert tuple(person["keypoints"]) == estimator.card.spec.keypoints.names
                points = [[point["x"], point["y"]] for point in person["keypoints"].values()]
                np.testing.assert_allclose(points, poses.keypoints[index], atol=0.5)
                scores = [point["score"] for point in person["keypoints"].values()]
                np.testing.assert_allclose(scores, poses.scores[index], atol=1e-3)
            found += len(poses)
    assert found > len(pictures)  # in some there are several


@pytest.mark.slow
def test_several_clients_at_once_get_each_their_own_answer(server: Server, pictures: list[Path]) -> None:
    bodies = [picture.read_bytes() for picture in pictures]
    alone = [server.post(body, JPEG) for body in bodies]
    with ThreadPoolExecutor(12) as clients:
        together = list(clients.map(lambda body: server.post(body, JPEG), bodies * 4))
    assert together == alone * 4


@pytest.mark.slow
def test_a_png_of_any_depth_is_a_picture_too(server: Server) -> None:
    portrait = cv2.imread(str(photographs()[0]))
    gray = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    for image in (portrait, gray, gray.astype(np.uint16) * 257, cv2.cvtColor(portrait, cv2.COLOR_BGR2BGRA)):
        status, answer = server.post(cv2.imencode(".png", image)[1].tobytes(), {"Content-Type": "image/png; q=1"})
        assert (status, len(answer["people"])) == (200, 1)


@pytest.mark.slow
def test_a_picture_without_people_has_none(server: Server) -> None:
    empty = cv2.imencode(".jpg", np.full((64, 48, 3), 200, np.uint8))[1].tobytes()
    assert server.post(empty, JPEG) == (200, {"width": 48, "height": 64, "people": []})


def bomb() -> bytes:
    """A PNG of few bytes and many pixels."""
    return cv2.imencode(".png", np.zeros((8000, 8000), np.uint8))[1].tobytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (lambda: b"x", {}, 415, "send image/jpeg or image/png as the body, not a body without Content-Type"),
        (lambda: b"x", {"Content-Type": "text/plain"}, 415, "not text/plain"),
        (lambda: b"x", {"Content-Type": "multipart/form-data; boundary=x"}, 415, "not multipart/form-data"),
        (lambda: b"", JPEG, 400, "the body is empty"),
        (lambda: b"no picture", JPEG, 422, "not a picture that can be decoded"),
        (lambda: photographs()[0].read_bytes()[:300], JPEG, 422, "not a picture that can be decoded"),
        (lambda: b"\x89PNG\r\n\x1a\n" + bytes(50), PNG, 422, "not a picture that can be decoded"),
        (bomb, PNG, 413, "too many pixels"),
    ],
)
def test_bad_bodies_are_refused_in_one_line(
    server: Server, body: Callable[[], bytes], headers: dict[str, str], status: int, says: str
) -> None:
    answered, answer = server.post(body(), headers)
    assert answered == status
    assert says in answer["detail"]
    assert "\n" not in answer["detail"]


@pytest.mark.slow
def test_a_body_that_is_too_large_is_refused_before_it_comes(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(
            b"POST /poses HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 999999999\r\n\r\n"
        )
        assert b"413" in client.recv(1000).split(b"\r\n")[0]


@pytest.mark.slow
def test_a_body_of_unknown_length_is_cut_off_where_it_gets_too_large(server: Server) -> None:
    header = b"POST /poses HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(header)
        for size in [2**20] * 10 + [1]:
            client.sendall(b"%x\r\n" % size + bytes(size) + b"\r\n")
        assert b"413" in client.recv(1000).split(b"\r\n")[0]


@pytest.mark.slow
def test_when_every_place_is_taken_others_are_told_and_a_place_that_is_left_is_free(server: Server) -> None:
    header = b"POST /poses HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 100\r\n\r\n"
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(16)]
    for client in slow:
        client.sendall(header)
    assert until(lambda: server.post(b"x", JPEG), 503) == {"detail": "16 pictures are waiting already: try again"}
    assert server.ask("GET", "/health")[0] == 200
    for client in slow:
        client.close()  # in the middle of the upload
    until(lambda: server.post(b"x", JPEG), 422)


def until(ask: Callable[[], tuple[int, Any]], status: int) -> Any:
    """Ask until the answer has this status."""
    deadline = time.monotonic() + 30
    while True:
        answered, answer = ask()
        if answered == status:
            return answer
        assert time.monotonic() < deadline, (answered, answer)
        time.sleep(0.05)


@pytest.mark.slow
def test_health_and_the_description_of_the_service(server: Server) -> None:
    status, health = server.ask("GET", "/health")
    assert status == 200
    assert health == {"status": "ok", "model": "litehrnet-18-wider-naive-coco-256x192", "runtime": "openvino CPU"}
    _, described = server.ask("GET", "/openapi.json")
    operation = described["paths"]["/poses"]["post"]
    assert set(operation["requestBody"]["content"]) == {"image/jpeg", "image/png"}
    assert set(described["components"]["schemas"]) == {"Answer", "Keypoint", "Person"}


@pytest.mark.slow
def test_uvicorn_itself_serves_it_without_a_detector(sample_ir: Path, tmp_path: Path) -> None:
    command = ["-m", "uvicorn", "--app-dir", str(EXAMPLES), "fastapi_service:app", "--port", "0"]
    with serving(tmp_path / "log", command, EDGEHR_MODEL=str(sample_ir)) as server:
        status, answer = server.post(photographs()[0].read_bytes(), JPEG)
        assert (status, len(answer["people"])) == (200, 1)


@pytest.mark.parametrize(
    ("settings", "says"),
    [({}, "set EDGEHR_MODEL to a model"), ({"EDGEHR_MODEL": "nothing.xml"}, "nothing.xml: no such model file")],
)
def test_a_server_without_a_model_does_not_start_and_says_why(settings: dict[str, str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "fastapi_service.py"],
        capture_output=True,
        text=True,
        env=environment(**settings),
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"fastapi_service.py: {says}")
    assert done.stderr.count("\n") == 1


def test_an_upload_that_stalls_is_given_up(
    load_example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    example = load_example("fastapi_service")
    monkeypatch.setattr(example, "UPLOAD_S", 0.05)

    async def stalled() -> Any:
        await asyncio.sleep(30)

    scope = {"type": "http", "headers": [(b"content-type", b"image/png")]}
    with pytest.raises(example.HTTPException) as refused:
        asyncio.run(example.receive(example.Request(scope, stalled)))
    assert (refused.value.status_code, refused.value.detail) == (408, "the picture did not arrive within 0.05 s")
