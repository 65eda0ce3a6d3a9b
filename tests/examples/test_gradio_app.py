"""The page made with Gradio: the real one in a process of its own, asked as its clients do."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import edgehr
from edgehr.assets import group_picture
from tests.examples.conftest import EXAMPLES, environment

client_library = pytest.importorskip("gradio_client", reason="needs gradio, which the extra `dev` brings")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of the page, which is served on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("gradio")
    settings = {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(folder)}
    with (folder / "log").open("wb") as log:
        command = [sys.executable, str(EXAMPLES / "gradio_app.py")]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(**settings))
    try:
        wait_for(process, port, folder / "log")
        yield client_library.Client(f"http://127.0.0.1:{port}", verbose=False, download_files=str(folder))
    finally:
        process.terminate()
        process.wait(30)
    assert "Traceback" not in (folder / "log").read_text()


def wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if f"running on local URL:  http://127.0.0.1:{port}".lower() in log.read_text().lower():
            return
        time.sleep(0.1)
    raise AssertionError(f"the page did not start:\n{log.read_text()}")


def test_it_draws_the_people_that_the_estimator_finds(page: Any) -> None:
    drawn, answer = page.predict(client_library.handle_file(str(group_picture())), api_name="/find_people")
    picture = cv2.imread(str(group_picture()))
    with edgehr.PoseEstimator() as estimator:
        expected = estimator(picture)
    assert len(answer["people"]) == len(expected) > 1
    json.dumps(answer)
    for person, points in zip(answer["people"], expected.keypoints, strict=True):
        np.testing.assert_allclose(np.array(person["keypoints"])[:, :2], points, atol=0.5)
    shown = cv2.imread(drawn)
    assert shown.shape == picture.shape
    changed = np.abs(shown.astype(int) - picture).max(axis=2) > 60
    assert 0.001 < changed.mean() < 0.2  # skeletons, and the same colors elsewhere


def test_without_a_picture_it_says_so(page: Any) -> None:
    with pytest.raises(Exception, match="choose a picture first"):
        page.predict(None, api_name="/find_people")
