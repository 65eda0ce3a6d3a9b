"""Models on real servers do what they do as files, to the last bit."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

import edgehr
from edgehr.assets import group_picture, photographs
from edgehr.cli.main import main
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import Annotations
from edgehr.serving.measure import Arrangement
from edgehr.serving.plan import plan
from edgehr.serving.repository import add
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
def test_a_network_that_takes_its_time(address: Address) -> None:
    """A round trip of 0.4 seconds, as by satellite: connecting takes several."""
    url = urlsplit(address("pose"))
    assert url.port
    with delayed(url.port, 0.2) as port, edgehr.load(f"grpc://127.0.0.1:{port}/pose") as runtime:
        assert runtime.artifact is not None


@contextmanager
def delayed(port: int, seconds: float) -> Iterator[int]:
    """Another port of this machine that leads to the same server, by a line that delays all for so long."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await reader.read(65536):
                loop.call_later(seconds, writer.write, data)
        except OSError:
            pass
        finally:
            writer.close()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    async def start() -> asyncio.Server:
        return await asyncio.start_server(meet, "127.0.0.1", 0)

    async def end() -> None:
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@BOTH
def test_a_stream_through_a_server(address: Address, picture: np.ndarray) -> None:
    with edgehr.PoseEstimator(address("pose")) as estimator:
        assert [len(poses) for poses in estimator.stream(photographs()[0])] == [1]


def test_a_version_of_kserve_is_the_one_that_is_meant(kserve_server: Server, files: dict[str, Path]) -> None:
    """It serves one version, whatever is asked for; and after a restart another one."""
    with edgehr.load(kserve_server.url("grpc", "pose/1")) as runtime:
        with pytest.raises(EdgehrError, match="the server serves version 1 of the model alone"):
            edgehr.load(kserve_server.url("grpc", "pose/99"))
        image = {"image": np.zeros((1, 3, 256, 192), np.float32)}
        assert runtime.infer(image)
        kserve_server.stop(signal.SIGKILL)
        models = Path(kserve_server.command[3])
        add(models, plan(files["pose"], "kserve", "pose"), 2, Arrangement())
        kserve_server.start()
        with pytest.raises(EdgehrError, match="gone over to version 2 of the model, from 1: open it again"):
            runtime.infer(image)
    with edgehr.load(kserve_server.url("grpc", "pose")) as runtime:
        assert runtime.infer(image)
    kserve_server.stop(signal.SIGKILL)  # politely it takes 20 seconds
