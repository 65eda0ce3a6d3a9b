"""Models on real servers do what they do as files, to the last bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgehr
from edgehr.assets import group_picture, photographs
from edgehr.cli.main import main
from edgehr.evaluation.annotations import Annotations
from tests.serving.certificates import Certificates
from tests.serving.servers import Server

pytestmark = pytest.mark.slow
Address = Callable[[str], str]


BOTH = pytest.mark.parametrize("address", ["triton grpc", "kserve grpc"], indirect=True)


@pytest.fixture(params=["triton grpc", "triton http", "kserve grpc", "kserve https"])
def address(request: pytest.FixtureRequest) -> Address:
    """The address of a model by its name there."""
    kind, scheme = request.param.split()
    server: Server = request.getfixturevalue(f"{kind}_server")
    query = ""
    if scheme == "https":
        certificates: Certificates = request.getfixturevalue("certificates")
        query = f"?ca={certificates.authority}"
    return lambda name: server.url(scheme, name) + query


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    """What a command prints as JSON."""
    assert main([*map(str, arguments)]) == 0
    return json.loads(capsys.readouterr().out)


def test_poses_of_several_people(address: Address, files: dict[str, Path], picture: np.ndarray) -> None:
    with edgehr.PoseEstimator(files["pose"], detector=files["detector"]) as local:
        expected = local(picture)
    assert len(expected) == 3
    with edgehr.PoseEstimator(address("pose"), detector=address("detector")) as remote:
        found = remote(picture)
    for name in ("keypoints", "scores", "boxes"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    with edgehr.predictor(address("pose")) as opened:
        assert isinstance(opened, edgehr.PoseEstimator)
        assert opened.card == local.card


@BOTH
def test_demo(address: Address, files: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def demo(model: object, detector: object, name: str) -> Any:
        options = ["--source", group_picture(), "--save", tmp_path / name, "--json"]
        return told(capsys, "demo", "--model", model, "--detector", detector, *options)

    expected = demo(files["pose"], files["detector"], "local.png")
    found = demo(address("pose"), address("detector"), "remote.png")
    assert found["results"] == expected["results"]
    assert "remote" in found["runtime"]


@pytest.fixture(scope="module")
def people(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """Options of `eval` for a dozen people."""
    folder = shared / "data" / "coco-val2017-people"
    few = tmp_path_factory.mktemp("people") / "few.json"
    few.write_text(json.dumps(Annotations.read(folder / "person_keypoints.json").first(12).data))
    return ["--annotations", few, "--images", folder / "images", "--json"]


@BOTH
def test_eval(address: Address, files: dict[str, Path], people: list[object], capsys: Any) -> None:
    expected, found = (told(capsys, "eval", model, *people) for model in (files["pose"], address("pose")))
    assert expected.pop("runtime") != found.pop("runtime")
    assert found == expected


def test_verify(address: Address, files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "verify", files["pose"], address("pose"), "--max-difference", 0, "--json")
    assert found["relative"] == 0
    assert found["agreement"]["oks"] == 1


@BOTH
def test_inspect_and_bench(address: Address, files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    found, local = (told(capsys, "inspect", model, "--json") for model in (address("pose"), files["pose"]))
    for name in ("inputs", "outputs", "artifact"):
        assert found[name] == local[name]
    assert main(["inspect", address("pose")]) == 0
    shown = capsys.readouterr().out
    assert address("pose").split("?")[0] in shown
    assert "litehrnet-18-wider-naive" in shown
    report = told(capsys, "bench", address("pose"), "--rounds", 3, "--streams", 2, "--starts", 0, "--json")
    assert report["candidates"][0]["latency"]["p50_ms"] > 0


@BOTH
def test_a_stream_through_a_server(address: Address, picture: np.ndarray) -> None:
    with edgehr.PoseEstimator(address("pose")) as estimator:
        assert [len(poses) for poses in estimator.stream(photographs()[0])] == [1]
