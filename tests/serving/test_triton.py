"""What happens between a client and Triton when not all goes well."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgehr.errors import ArtifactError, EdgehrError
from edgehr.runtimes import Runtime, load
from edgehr.runtimes.remote import shared
from edgehr.runtimes.remote.runtime import RemoteRuntime
from edgehr.serving.measure import Arrangement
from edgehr.serving.plan import plan
from edgehr.serving.repository import add
from tests.runtimes.test_lowest import INFER, lowest
from tests.runtimes.test_runtimes import write
from tests.serving.certificates import Certificates
from tests.serving.servers import Server, triton

pytestmark = pytest.mark.slow
# All that there are, as docs/serving.md has them.
PROTOCOLS = "health,metadata,inference,shared-memory,model-config,model-repository,statistics,trace,logging"
TOKEN = "a-token-that-nobody-guesses"  # noqa: S105


@pytest.fixture
def image() -> np.ndarray:
    return np.full((1, 3, 8, 8), 3, np.float32)


def infers(runtime: Runtime, image: np.ndarray) -> bool:
    return bool((runtime.infer({"image": image})["y"] == 7).all())


@pytest.fixture(params=["grpc", "http"])
def bare(request: pytest.FixtureRequest, triton_server: Server) -> str:
    return triton_server.url(request.param, "bare")


def numbered(value: float) -> dict[str, Any]:
    return {"x": np.array([value], np.float32)}


def test_a_model_without_a_card(bare: str) -> None:
    with load(bare) as runtime:
        assert runtime.artifact is None
        with pytest.raises(ArtifactError, match=r"not converted by edgehr, or its server does not carry.*\?card=FILE"):
            assert runtime.card


def test_a_card_beside_the_server(bare: str, triton_server: Server, tmp_path: Path) -> None:
    with load(triton_server.url("grpc", "pose")) as runtime:
        (tmp_path / "pose.json").write_text(runtime.require_artifact().to_json())
        with load(triton_server.url("grpc", f"pose?card={tmp_path / 'pose.json'}")) as again:
            assert again.artifact == runtime.artifact
    with pytest.raises(ArtifactError, match=r"pose\.json: describes another model"):
        load(f"{bare}?card={tmp_path / 'pose.json'}")
    with pytest.raises(ArtifactError, match="cannot read the model's description"):
        load(f"{bare}?card={tmp_path / 'absent.json'}")
    (tmp_path / "damaged.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"damaged\.json: the model's edgehr description is damaged"):
        load(f"{bare}?card={tmp_path / 'damaged.json'}")


def test_errors_of_the_server_come_in_one_line(bare: str) -> None:
    with load(bare) as runtime:
        for call in (lambda: runtime.infer(numbered(1)), lambda: runtime.infer_async(numbered(1)).result(10)):
            with pytest.raises(EdgehrError, match=r"bare: the server answers: .*it does not like 1") as caught:
                call()
            assert "\n" not in str(caught.value)
        assert runtime.infer(numbered(0))["y"].tolist() == [0]
    for wrong, message in (("absent", "(?i)unknown model|not found"), ("pose/7", "(?i)version|not found")):
        with pytest.raises(EdgehrError, match=message):
            load(bare.replace("bare", wrong))


def test_an_answer_that_never_comes(bare: str) -> None:
    with load(f"{bare}?timeout=0.5") as runtime:
        for call in (lambda: runtime.infer(numbered(2)), lambda: runtime.infer_async(numbered(2)).result(10)):
            with pytest.raises(EdgehrError, match=r"no answer in 0\.5 s: \?timeout=SECONDS"):
                call()


def test_an_empty_answer_is_no_result(bare: str) -> None:
    with load(f"{bare}?shared_memory=off") as runtime:
        assert isinstance(runtime, RemoteRuntime)
        assert runtime.infer(numbered(3))["y"].shape == (0,)  # the server told that it may have any size


def regions() -> set[Path]:
    """List those of this process; other tests have their own."""
    return set(Path("/dev/shm").glob(f"edgehr-{os.getpid()}-*"))  # noqa: S108


def test_shared_memory(triton_server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    before = regions()
    inputs = {"image": np.random.default_rng(0).standard_normal((1, 3, 256, 192)).astype(np.float32)}
    found = {}
    for way in ("on", "off", "auto"):
        with load(triton_server.url("grpc", f"pose?shared_memory={way}")) as runtime:
            assert isinstance(runtime, RemoteRuntime)
            assert runtime.shares_memory == (way != "off")
            found[way] = runtime.infer(inputs)["heatmaps"]
            with ThreadPoolExecutor(8) as pool:
                for again in pool.map(runtime.infer, [inputs] * 16):
                    np.testing.assert_array_equal(again["heatmaps"], found[way])
    np.testing.assert_array_equal(found["on"], found["off"])
    assert regions() <= before
    # A server in a container sees other memory than this process.
    monkeypatch.setattr(shared.SharedMemory, "_key", lambda _, name: f"/elsewhere-{name}")
    with caplog.at_level(logging.INFO, "edgehr.runtimes"), load(triton_server.url("grpc", "pose")) as runtime:
        np.testing.assert_array_equal(runtime.infer(inputs)["heatmaps"], found["on"])
    assert "shared memory does not work" in caplog.text
    with pytest.raises(EdgehrError, match="shared memory region"):
        load(triton_server.url("http", "pose?shared_memory=on"))


@pytest.fixture(scope="module")
def guarded(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Triton with TLS and a token for gRPC, and for batches of any size."""
    folder = tmp_path_factory.mktemp("guarded")
    add(folder / "models", plan(write(folder, ".onnx", "batch"), "triton", "any", python=True), 1, Arrangement(batch=4))
    options = [
        "--grpc-use-ssl=true",
        f"--grpc-server-cert={certificates.certificate}",
        f"--grpc-server-key={certificates.key}",
        f"--grpc-restricted-protocol={PROTOCOLS}:authorization=Bearer {TOKEN}",
        f"--http-restricted-api=inference,metadata,model-config:authorization=Bearer {TOKEN}",
        "--model-control-mode=poll",
        "--repository-poll-secs=1",
    ]
    server = triton(folder / "models", folder, options)
    with server.running():
        yield server


def test_tls_and_token(
    guarded: Server, certificates: Certificates, image: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    address = guarded.url("grpcs", f"any?ca={certificates.authority}")
    with load(f"{address}&token_file={token}") as runtime:
        assert infers(runtime, image)
        assert TOKEN not in repr(runtime)
    with pytest.raises(EdgehrError, match="wants a token: EDGEHR_REMOTE_TOKEN") as caught:
        load(address)
    monkeypatch.setenv("EDGEHR_REMOTE_TOKEN", "another")
    with pytest.raises(EdgehrError, match="refuses the token: EDGEHR_REMOTE_TOKEN"):
        load(address)
    monkeypatch.setenv("EDGEHR_REMOTE_TOKEN", TOKEN)
    for right in (address, guarded.url("http", "any")):
        with load(right) as runtime:
            assert infers(runtime, image)
    with pytest.raises(EdgehrError, match="not sent over a network in the clear: use grpcs://"):
        load("grpc://192.0.2.1:8001/any")
    monkeypatch.setenv("EDGEHR_REMOTE_TOKEN", "wrong")
    for wrong in (address, guarded.url("http", "any"), guarded.url("grpcs", "any"), guarded.url("grpc", "any")):
        with pytest.raises(EdgehrError) as caught:
            load(f"{wrong}{'&' if '?' in wrong else '?'}timeout=3")
        assert "\n" not in str(caught.value)
        assert TOKEN not in str(caught.value)


def test_batches_are_put_together_and_taken_apart(guarded: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEHR_REMOTE_TOKEN", TOKEN)
    with load(guarded.url("http", "any")) as runtime, ThreadPoolExecutor(16) as pool:
        assert runtime.batch_range == (1, 8)

        def work(number: int) -> bool:
            items = np.full((number % 3 + 1, 3, 8, 8), number, np.float32)
            return bool((runtime.infer({"image": items})["y"] == 2 * number + 1).all())

        assert all(pool.map(work, range(100)))
        with pytest.raises(EdgehrError, match="batch"):
            runtime.infer({"image": np.zeros((9, 3, 8, 8), np.float32)})
        assert len(runtime.infer_batch(np.zeros((21, 3, 8, 8), np.float32))["y"]) == 21


def test_finds_a_server_again(guarded: Server, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with memory that the one before knew, and with many inferences under way when it is killed."""
    monkeypatch.setenv("EDGEHR_REMOTE_TOKEN", TOKEN)
    address = guarded.url("http", "any?timeout=5")
    with load(address) as runtime, load(f"{address}&shared_memory=off") as plain:
        assert isinstance(runtime, RemoteRuntime)
        assert runtime.shares_memory
        ends, failures = threading.Event(), []

        def work() -> None:
            while not ends.is_set():
                try:
                    assert infers(runtime, image)
                except EdgehrError as error:
                    failures.append(str(error))
                    ends.wait(0.05)

        with ThreadPoolExecutor(4) as pool:
            done = [pool.submit(work) for _ in range(4)]
            guarded.stop(signal.SIGKILL)
            with pytest.raises(EdgehrError, match="no server answers: is it running"):
                infers(plain, image)
            guarded.start()
            assert infers(plain, image)
            assert infers(runtime, image)
            futures = [runtime.infer_async({"image": image}) for _ in range(10)]
            assert all((future.result(20)["y"] == 7).all() for future in futures)
            ends.set()
            for each in done:
                each.result(20)
        assert all("\n" not in failure for failure in failures)


def test_a_version_that_changes_under_a_client(
    guarded: Server, image: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEHR_REMOTE_TOKEN", TOKEN)
    models = Path(next(part for part in guarded.command if "model-repository" in part).partition("=")[2])
    with load(guarded.url("http", "any")) as newest:
        assert infers(newest, image)
        add(models, plan(write(tmp_path, ".onnx", "batch"), "triton", "any", python=True), 2, Arrangement(batch=4))
        found = ""
        for _ in range(300):
            try:
                infers(newest, image)
            except EdgehrError as error:  # also that of a moment in which there is no version
                found = str(error)
            if "gone over" in found:
                break
            time.sleep(0.1)
        assert "gone over to version 2 of the model, from 1: open it again" in found
    with load(guarded.url("http", "any")) as again, load(guarded.url("http", "any/2")) as second:
        assert infers(again, image)
        assert infers(second, image)
        with load(guarded.url("http", "any/1")) as first:
            assert infers(first, image)
        assert isinstance(second, RemoteRuntime)
        assert second.version == "2"


def test_what_nobody_closes_is_closed_at_the_end(triton_server: Server) -> None:
    script = "import sys, edgehr; models = [edgehr.load(address) for address in sys.argv[1:]]"
    before = regions()
    addresses = [triton_server.url(scheme, "pose") for scheme in ("grpc", "http")]
    done = subprocess.run([sys.executable, "-c", script, *addresses], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert regions() <= before


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_the_lowest_client(scheme: str, triton_server: Server, tmp_path: Path) -> None:
    crop = np.random.default_rng(0).standard_normal((1, 3, 256, 192)).astype(np.float32)
    np.save(tmp_path / "in.npy", crop)
    address = triton_server.url(scheme, "pose")
    done = lowest("-c", INFER, address, tmp_path / "in.npy", tmp_path / "out.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with load(address) as runtime:
        np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), runtime.infer_batch(crop)["heatmaps"])
