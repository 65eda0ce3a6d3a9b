"""What several tests use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("EDGEHR_SHARED", ROOT.parent / "shared"))


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
def sample_card() -> Any:
    from edgehr.zoo import DEFAULT_MODEL, get_card

    return get_card(DEFAULT_MODEL)


@pytest.fixture(scope="session")
def sample_onnx(tmp_path_factory: pytest.TempPathFactory, sample_card: Any) -> Path:
    """The sample model as ONNX with dynamic batch. Tests that use it are slow."""
    from edgehr.converters.convert import convert
    from edgehr.zoo import find_weights

    path = tmp_path_factory.mktemp("artifacts") / "sample.onnx"
    convert(sample_card, find_weights(sample_card), "onnx", batch=None, out=path)
    return path


@pytest.fixture(scope="session")
def sample_ir(tmp_path_factory: pytest.TempPathFactory, sample_card: Any) -> Path:
    """The sample model as OpenVINO IR of batch one. Tests that use it are slow."""
    from edgehr.converters.convert import convert
    from edgehr.zoo import find_weights

    path = tmp_path_factory.mktemp("artifacts") / "sample.xml"
    convert(sample_card, find_weights(sample_card), "openvino", out=path)
    return path


@pytest.fixture(scope="session")
def sample_tflite(tmp_path_factory: pytest.TempPathFactory, sample_card: Any) -> Path:
    """The sample model as TFLite, float32, channels last. Tests that use it are slow."""
    from edgehr.converters.convert import convert
    from edgehr.zoo import find_weights

    path = tmp_path_factory.mktemp("artifacts") / "sample.tflite"
    convert(sample_card, find_weights(sample_card), "tflite", out=path)
    return path


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
def trained_tflite(tmp_path_factory: pytest.TempPathFactory, trained: dict[str, Path]) -> Callable[[str], Path]:
    """Trained networks as TFLite, float32, channels last, each converted once. Tests that use it are slow."""
    from edgehr.converters.convert import convert
    from edgehr.zoo import get_card

    folder = tmp_path_factory.mktemp("artifacts")

    def converted(name: str) -> Path:
        path = folder / f"{name}.tflite"
        if not path.exists():
            convert(get_card(name), trained[name], "tflite", out=path)
        return path

    return converted


@pytest.fixture(scope="session")
def detector_ir(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    """The person detector as OpenVINO IR. Tests that use it are slow."""
    from edgehr.converters.convert import convert
    from edgehr.zoo import DEFAULT_DETECTOR, get_card

    path = tmp_path_factory.mktemp("artifacts") / "detector.xml"
    convert(get_card(DEFAULT_DETECTOR), shared / "detectors" / "yolox_nano_416.onnx", "openvino", out=path)
    return path
