"""The wheel, in an empty environment with only what a device installs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edgehr.assets import packaged_models
from tests.conftest import ROOT
from tests.test_layers import modules

pytestmark = pytest.mark.slow

# What a slim container or a server without a screen lacks.
DESKTOP = re.compile(r"lib(GL|GLX|EGL|GLdispatch|X\w*|xcb[\w-]*|SM|ICE|glib-2\.0|gthread-2\.0|Qt\w*)(-[0-9a-f]+)?\.so")
MAPPED = """
import sys
from edgehr.cli.main import main
status = main(sys.argv[1:])
print("MAPPED", *{line.split("/")[-1].strip() for line in open("/proc/self/maps") if ".so" in line})
sys.exit(status)
"""
WORKSTATION = ("edgehr.models", "edgehr.converters", "edgehr.calib", "edgehr.tune")
IMPORT_ALL = """
import importlib, sys
from edgehr.errors import MissingDependencyError
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except MissingDependencyError as error:
        print("MISSING", name, error)
print("LOADED", *sys.modules)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--installer", "uv", "--wheel", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "BuildBackendWarning" not in done.stdout + done.stderr  # pip shows them to everyone who installs
    assert "is absent from the `packages`" not in done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


def uv(*arguments: str) -> None:
    """Run uv, which does what pip and venv do in a fraction of the time."""
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True, capture_output=True)


def make_environment(folder: Path) -> Path:
    """An empty environment; returns its Python."""
    uv("venv", "--quiet", "--python", sys.executable, str(folder))
    return folder / "bin" / "python"


def make_device(wheel: Path, folder: Path, runtime: str) -> Path:
    """An environment with the wheel and a runtime."""
    python = make_environment(folder)
    uv("pip", "install", "--quiet", "--python", str(python), f"{wheel}[{runtime}]")
    return python


@pytest.fixture(scope="module")
def device_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with ONNX Runtime."""
    return make_device(wheel, tmp_path_factory.mktemp("device"), "onnxruntime")


def run(python: Path, *arguments: str, cwd: Path) -> Any:
    return subprocess.run([str(python), *arguments], capture_output=True, text=True, cwd=cwd, check=False)


def installed(python: Path, folder: Path) -> set[str]:
    """The distributions of an environment, in lower case."""
    code = "from importlib.metadata import distributions; print(*(each.name.lower() for each in distributions()))"
    return set(run(python, "-c", code, cwd=folder).stdout.split())


def test_holds_the_package_and_nothing_beside_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"edgehr"}
    for needed in (
        "edgehr/runtimes/base.py",
        "edgehr/converters/convert.py",
        "edgehr/calib/__init__.py",
        "edgehr/py.typed",
        "edgehr/converters/report/templates/report.html",
        "edgehr/converters/report/templates/report.css",
        "edgehr/live/web_demo/page/index.html",
        "edgehr/live/web_demo/page/ui/sources.js",
        "edgehr/live/web_demo/page/vision/session.js",
        "edgehr/zoo/data/models.tsv",
        "edgehr/zoo/data/keypoints/coco.json",
        "edgehr/zoo/sample/litehrnet_18_wider_naive_sample.safetensors",
        "edgehr/assets/astronaut.jpg",
        "edgehr/assets/people/people.jpg",
        *(f"edgehr/assets/models/{name}{suffix}" for name in packaged_models() for suffix in (".onnx", ".tflite")),
    ):
        assert needed in names
    for notice in ("LICENSE", "NOTICE"):
        assert any(name.endswith(f"licenses/{notice}") for name in names)
    assert wheel.stat().st_size < 20e6


def test_a_device_installs_numpy_opencv_and_one_runtime(device_python: Path, tmp_path: Path) -> None:
    packages = installed(device_python, tmp_path)
    assert {"edgehr", "numpy", "opencv-python", "onnxruntime"} <= packages
    assert not packages & {"torch", "onnx", "openvino", "safetensors", "rich", "scipy", "pillow"}


def test_an_editable_install_is_found_beside_its_clone(tmp_path: Path) -> None:
    """Python takes the clone, a folder called edgehr in the current one, for a package without a file."""
    clone = tmp_path / "edgehr"
    shutil.copytree(
        ROOT, clone, ignore=shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "artifacts", "tests")
    )
    python = make_environment(tmp_path / "venv")
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "-e", str(clone)], check=True, capture_output=True)
    code = (
        "import edgehr, edgehr.errors, edgehr.calib; edgehr.EdgehrError; print(edgehr.__file__, edgehr.calib.__file__)"
    )
    for folder in (tmp_path, clone, clone / "docs"):
        done = run(python, "-c", code, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [str(clone / name / "__init__.py") for name in ("edgehr", "calib")]
    subprocess.run([*pip, "uninstall", "--quiet", "--yes", "edgehr"], check=True)
    assert not list((tmp_path / "venv").rglob("*edgehr*"))


def assert_device_imports(python: Path, folder: Path, there: str, absent: str) -> None:
    """Every module for devices imports but those of what is not installed, and none brings PyTorch."""
    names = [name for name in modules() if not name.startswith(WORKSTATION)]
    assert len(names) > 25
    done = run(python, "-c", IMPORT_ALL, *names, cwd=folder)
    assert done.returncode == 0, done.stderr
    missing = [line for line in done.stdout.splitlines() if line.startswith("MISSING")]
    extras = {
        "edgehr.runtimes.onnx.layers": "convert",
        "edgehr.runtimes.onnx": "onnxruntime",
        "edgehr.runtimes.openvino": "openvino",
        "edgehr.runtimes.tflite": "tflite",
        "edgehr.live.web": "web",
        "edgehr.serving.kserve_server": "kserve",
    }
    assert any(line.startswith(f"MISSING edgehr.runtimes.{absent}") for line in missing)
    assert not any(line.startswith(f"MISSING edgehr.runtimes.{there}.runtime") for line in missing)
    for line in missing:
        assert any(line.startswith(f"MISSING {name}") and f"edgehr[{extra}]" in line for name, extra in extras.items())
    loaded = next(line for line in done.stdout.splitlines() if line.startswith("LOADED")).split()
    assert {"onnx": "onnxruntime"}.get(there, there) in loaded
    assert not {"torch", "onnx"} & set(loaded)


def test_every_module_for_devices_imports_without_torch(device_python: Path, tmp_path: Path) -> None:
    assert_device_imports(device_python, tmp_path, "onnx", "openvino")


def test_a_strict_type_checker_knows_what_users_import(device_python: Path, tmp_path: Path) -> None:
    program = shutil.copy(ROOT / "tests" / "typed_program.py", tmp_path)
    options = ("--strict", "--python-executable", str(device_python), "--cache-dir", str(tmp_path / "cache"))
    done = run(Path(sys.executable), "-m", "mypy", *options, str(program), cwd=tmp_path)
    assert done.stdout.startswith("Success"), done.stdout


def test_the_same_with_openvino(wheel: Path, tmp_path: Path, sample_ir: Path) -> None:
    python = make_device(wheel, tmp_path / "device", "openvino")
    assert_device_imports(python, tmp_path, "openvino", "onnx")
    demo = run(python, "-m", "edgehr.cli.main", "demo", "--model", str(sample_ir), cwd=tmp_path)
    assert demo.returncode == 0, demo.stderr


def test_a_device_runs_the_demo_and_says_what_it_cannot(
    device_python: Path, sample_onnx: Path, sample_ir: Path, tmp_path: Path
) -> None:
    command = str(device_python.with_name("edgehr"))
    demo = subprocess.run(
        [command, "demo", "--model", str(sample_onnx)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert demo.returncode == 0, demo.stderr
    assert (tmp_path / "out" / "astronaut.jpg").is_file()
    for arguments, extra in (
        (["convert", "litehrnet-18-coco-256x192", "--to", "onnx"], "edgehr[convert]"),
        (["verify", "litehrnet-18-coco-256x192", str(sample_onnx)], "edgehr[convert]"),
        (["demo", "--model", str(sample_ir)], "edgehr[openvino]"),
    ):
        done = subprocess.run([command, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 1
        assert extra in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    inspected = subprocess.run([command, "inspect", str(sample_onnx)], capture_output=True, text=True, check=False)
    assert inspected.returncode == 0, inspected.stderr
    assert "litehrnet-18-wider-naive" in inspected.stdout


THREE_LINES = """
import cv2, edgehr, edgehr.assets, sys
poses = edgehr.PoseEstimator()(cv2.imread(str(edgehr.assets.group_picture())))
print(len(poses), "torch" in sys.modules)
"""


def test_three_lines_find_several_people(device_python: Path, tmp_path: Path) -> None:
    done = run(device_python, "-c", THREE_LINES, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3", "False"]
    demo = run(device_python, "-m", "edgehr.cli.main", "demo", "--source", "clip", "--frames", "3", cwd=tmp_path)
    assert demo.returncode == 0, demo.stderr
    assert "people in 3 of 3 frames of clip" in demo.stdout
    assert (tmp_path / "out" / "clip.mp4").is_file()


@pytest.fixture(scope="module")
def headless_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with OpenCV without windows."""
    return make_device(wheel, tmp_path_factory.mktemp("headless"), "onnxruntime-headless,eval,web")


def test_headless_extras_bring_no_other_opencv(headless_python: Path, tmp_path: Path) -> None:
    names = installed(headless_python, tmp_path)
    assert "edgehr" in names
    assert [name for name in names if name.startswith("opencv")] == ["opencv-python-headless"]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux to list the libraries of a process")
def test_headless_loads_no_library_of_a_desktop(headless_python: Path, sample_onnx: Path, tmp_path: Path) -> None:
    demo = run(headless_python, "-c", MAPPED, "demo", "--model", str(sample_onnx), cwd=tmp_path)
    assert demo.returncode == 0, demo.stderr
    assert (tmp_path / "out" / "astronaut.jpg").is_file()
    mapped = demo.stdout.split("MAPPED ")[1].split()
    assert any(name.startswith("cv2") for name in mapped)
    assert [name for name in mapped if DESKTOP.match(name)] == []


def test_headless_has_no_window_and_says_so(headless_python: Path, sample_onnx: Path, tmp_path: Path) -> None:
    arguments = ("demo", "--model", str(sample_onnx), "--window")
    done = run(headless_python, "-m", "edgehr.cli.main", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "pip uninstall -y opencv-python-headless && pip install opencv-python" in done.stderr
    assert list(tmp_path.iterdir()) == []
