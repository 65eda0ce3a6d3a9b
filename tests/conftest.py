"""What several tests use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.made_once import KeptExports, Store
from tests.one_processor import keep_to_one

ROOT = Path(__file__).parent.parent
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")  # "gw0", "gw1", ...; empty in a run without workers
SHARED = Path(os.environ.get("EDGEHR_SHARED", ROOT.parent / "shared"))


# Files that take longest, the longest first: workers take whole files, in this order, and so end nearly together.
LONGEST = (
    "converters/test_int8.py",
    "converters/tensorrt/test_tensorrt.py",
    "converters/tflite/test_tflite.py",
    "converters/test_family.py",
    "converters/test_detector_accuracy.py",
    "converters/tflite/test_int8_tflite.py",
    "cli/test_cli.py",
    "cli/test_tune.py",
    "converters/test_convert.py",
    "test_wheel.py",
    "evaluation/test_accuracy.py",
    "spread/test_cluster.py",
    "converters/test_hrnet_detectors.py",
    "converters/test_golden_artifacts.py",
    "converters/test_detector.py",
    "runtimes/test_tflite_runtime.py",
    "live/web/test_page.py",
    "serving/test_servers.py",
    "serving/test_triton.py",
    "live/web_demo/test_page.py",
)


def pytest_configure() -> None:
    if WORKER:
        keep_to_one(int(WORKER.removeprefix("gw")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {ROOT / "tests" / name: number for number, name in enumerate(LONGEST)}
    assert all(path.is_file() for path in place), "LONGEST names files that are not there"
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session", autouse=True)
def heeded_signals() -> None:
    """Started in the background of a shell, this process and all that it starts would ignore what tests send."""
    if sys.platform == "win32":
        return
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference outputs, real weights and COCO people."""
    if not SHARED.is_dir():
        pytest.skip(f"the reference data is not at {SHARED} (set EDGEHR_SHARED to where it is)")
    return SHARED


@pytest.fixture(scope="session")
def edgehr_command() -> Any:
    """Run the command line in a process of its own, as users do."""

    def run(*arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> Any:
        command = [sys.executable, "-m", "edgehr.cli.main", *map(str, arguments)]
        environment = {**os.environ, **(env or {})}
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)

    return run


@pytest.fixture(scope="session")
def kept_command(store: Store) -> Any:
    """The same, where what is tested is not the export: it takes what other tests have exported."""

    def run(*arguments: object, cwd: Path | None = None) -> Any:
        command = [sys.executable, "-m", "tests.kept_command", store.folder, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            list(map(str, command)), capture_output=True, text=True, cwd=cwd, env=environment, check=False
        )

    return run


@pytest.fixture(scope="session")
def sample_card() -> Any:
    from edgehr.zoo import DEFAULT_MODEL, get_card

    return get_card(DEFAULT_MODEL)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What is made once for all workers of a session; each has a folder of its own beside it."""
    base = tmp_path_factory.getbasetemp()
    return Store((base.parent if WORKER else base) / "made-once")


@pytest.fixture(scope="session")
def kept_exports(store: Store) -> Iterator[KeptExports]:
    """From here on, every network is exported once: a conversion takes most of its time there."""
    kept = KeptExports(store)
    with pytest.MonkeyPatch.context() as patch:
        kept.take_over(patch)
        yield kept


@pytest.fixture(scope="session")
def converted(store: Store, kept_exports: KeptExports) -> Callable[..., Path]:
    """Convert once, for all tests that only read the artifact. Tests that use it are slow."""
    from edgehr.converters.convert import convert

    def once(name: str, card: Any, weights: Path, target: str, **options: Any) -> Path:
        return store.file(name, lambda path: convert(card, weights, target, out=path, **options))

    return once


@pytest.fixture(scope="session")
def sample_onnx(converted: Callable[..., Path], sample_card: Any) -> Path:
    """The sample model as ONNX with dynamic batch. Tests that use it are slow."""
    from edgehr.zoo import find_weights

    return converted("sample.onnx", sample_card, find_weights(sample_card), "onnx", batch=None)


@pytest.fixture(scope="session")
def sample_ir(converted: Callable[..., Path], sample_card: Any) -> Path:
    """The sample model as OpenVINO IR of batch one. Tests that use it are slow."""
    from edgehr.zoo import find_weights

    return converted("sample.xml", sample_card, find_weights(sample_card), "openvino")


@pytest.fixture(scope="session")
def sample_tflite(converted: Callable[..., Path], sample_card: Any) -> Path:
    """The sample model as TFLite, float32, channels last. Tests that use it are slow."""
    from edgehr.zoo import find_weights

    return converted("sample.tflite", sample_card, find_weights(sample_card), "tflite")


@pytest.fixture(scope="session")
def sample_graph(sample_card: Any, kept_exports: KeptExports) -> Any:
    """The sample model in the deploy form of TFLite as a `Graph` of batch one. Tests that use it are slow."""
    from edgehr.calib.quantizer.graph.onnx_graph import Graph
    from edgehr.models.build import load
    from edgehr.models.deploy.rewrite import deploy
    from edgehr.zoo import find_weights

    network, _ = deploy(load(sample_card, find_weights(sample_card)))
    return Graph(kept_exports.simplified(network, sample_card, 1)[0])


@pytest.fixture(scope="session")
def few_people(store: Store, shared: Path) -> tuple[Path, Path]:
    """Annotations of the first 60 people to evaluate in 14 pictures of COCO val2017, and the folder of pictures."""
    from edgehr.evaluation.annotations import Annotations

    people = shared / "data" / "coco-val2017-people"
    few = Annotations.read(people / "person_keypoints.json").first(60)
    return store.file("few.json", lambda path: path.write_text(json.dumps(few.data))), people / "images"


@pytest.fixture(scope="session")
def trained(shared: Path) -> dict[str, Path]:
    """Weights that were really trained, by the name of their card."""
    return {
        "litehrnet-18-wider-naive-coco-256x192": shared
        / "weights"
        / "litehrnet_wider_naive_18_coco_256x192.safetensors",
        "litehrnet-18-coco-256x192": shared / "weights" / "litehrnet_18_partly_trained.safetensors",
    }


@pytest.fixture(scope="session")
def narrow_hrnet(store: Store) -> Path:
    """Weights of the HRNet that `tests/models/narrow_hrnet.py` has a card of."""
    from tests.models.made_weights import save_made_weights
    from tests.models.narrow_hrnet import CARD

    return store.file("narrow-hrnet.safetensors", lambda path: save_made_weights(CARD, path))


@pytest.fixture(scope="session")
def short_wider(store: Store, sample_card: Any) -> Path:
    """Weights of `tests.models.short_lite_hrnet.WIDER`, for where nobody has to be found."""
    from edgehr.zoo import find_weights
    from tests.models.short_lite_hrnet import WIDER, save_weights

    return store.file("short-wider.safetensors", lambda path: save_weights(WIDER, find_weights(sample_card), path))


@pytest.fixture(scope="session")
def short_lite(store: Store, trained: dict[str, Path]) -> Path:
    """Weights of `tests.models.short_lite_hrnet.LITE`, for where nobody has to be found."""
    from tests.models.short_lite_hrnet import LITE, save_weights

    whole = trained["litehrnet-18-coco-256x192"]
    return store.file("short-lite.safetensors", lambda path: save_weights(LITE, whole, path))


@pytest.fixture(scope="session")
def sample_static_int8(store: Store, sample_tflite: Path, sample_card: Any, shared: Path) -> Callable[[bool], bytes]:
    """The sample model in full-integer INT8 by AI Edge Quantizer, without a card; True: its input and output too."""
    from edgehr.calib.dataset.calibration_set import CalibrationSet
    from edgehr.converters.tflite.static_int8 import quantize_static

    source = shared / "data" / "coco-train2017-people" / "person_keypoints.json"

    def make(integer_io: bool) -> bytes:
        samples = CalibrationSet.of(source, max_crops=8).batches(sample_card.with_layout("nhwc"))
        return quantize_static(sample_tflite.read_bytes(), samples, "image", integer_io=integer_io)

    return lambda integer_io: store.content(b"static int8, %d" % integer_io, lambda: make(integer_io))


@pytest.fixture(scope="session")
def yunet_ir(converted: Callable[..., Path], shared: Path) -> Path:
    """The face detector as OpenVINO IR. Tests that use it are slow."""
    from edgehr.zoo import get_card

    weights = shared / "detectors" / "face_detection_yunet_2026may.onnx"
    return converted("yunet.xml", get_card("yunet-widerface-640x640"), weights, "openvino")


@pytest.fixture(scope="session")
def detector_ir(converted: Callable[..., Path], shared: Path) -> Path:
    """The person detector as OpenVINO IR. Tests that use it are slow."""
    from edgehr.zoo import get_card

    weights = shared / "detectors" / "yolox_nano_416.onnx"
    return converted("detector.xml", get_card("yolox-nano-coco-416x416"), weights, "openvino")
