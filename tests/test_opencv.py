"""OpenCV that is absent, broken, or something else: one line with the reason and the cure, never a traceback."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgehr.zoo import DEFAULT_MODEL
from tests.conftest import ROOT
from tests.test_layers import modules

SHARED_LIBRARY = "raise ImportError('{}: cannot open shared object file: No such file or directory')"
NUMPY_1 = """
import sys
print("A module that was compiled using NumPy 1.x cannot be run in NumPy 2.4.6 as it may crash.", file=sys.stderr)
raise ImportError("numpy.core.multiarray failed to import")
"""
STATIC_TLS = "raise ImportError('/site/opencv.libs/libgomp-d22c.so.1: cannot allocate memory in static TLS block')"
MIXED = "import types; types.SimpleNamespace().DictValue"
BROKEN = {
    "libGL": (SHARED_LIBRARY.format("libGL.so.1"), ["pip install opencv-python-headless", "apt-get install libgl1"]),
    "glib": (SHARED_LIBRARY.format("libgthread-2.0.so.0"), ["apt-get install libgl1 libglib2.0-0"]),
    "xcb": (SHARED_LIBRARY.format("libxcb.so.1"), ["apt-get install libgl1 libglib2.0-0 libxcb1"]),
    "other": (SHARED_LIBRARY.format("libfancy.so.3"), ["opencv-python-headless", "install the system's libfancy.so.3"]),
    "numpy": (NUMPY_1, ["compiled for NumPy 1", "pip install 'numpy<2'"]),
    "tls": (STATIC_TLS, ["export LD_PRELOAD=/site/opencv.libs/libgomp-d22c.so.1"]),
    "glibc": ("raise ImportError('version `GLIBC_2.34 not found')", ["apt-get install python3-opencv"]),
    "windows": ("raise ImportError('DLL load failed while importing cv2')", ["Visual C++ Redistributable"]),
    "mixed": (MIXED, ["pip install --force-reinstall"]),
    "own": ("x = 1", ["cv2/__init__.py is another cv2", "rename"]),
    "absent": ("raise ModuleNotFoundError(\"No module named 'cv2'\", name='cv2')", ["--force-reinstall"]),
}


def with_cv2(folder: Path, code: str) -> dict[str, str]:
    """The environment of a process in which this is OpenCV."""
    (folder / "cv2").mkdir()
    (folder / "cv2" / "__init__.py").write_text(code)
    return {**os.environ, "PYTHONPATH": str(folder)}


def python(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_opencv_is_one_line_with_its_cure(kind: str, tmp_path: Path, edgehr_command: Any) -> None:
    code, said = BROKEN[kind]
    done = edgehr_command("demo", env=with_cv2(tmp_path, code), cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert all(part in done.stderr for part in ("edgehr demo: OpenCV is installed (opencv-python ", *said)), done.stderr


def test_every_command_and_name_that_needs_it_says_the_same(tmp_path: Path, edgehr_command: Any) -> None:
    environment = with_cv2(tmp_path, BROKEN["libGL"][0])
    code = "import edgehr\nfor name in ('draw_poses', 'PoseEstimator', 'Task', 'open_source', 'draw_label'):\n"
    code += " try: getattr(edgehr, name)\n except edgehr.MissingDependencyError as error: print(error)"
    lines = set(python(code, environment).stdout.splitlines())
    files = ["--annotations", "b", "--images", "c"]
    for arguments in (["convert", DEFAULT_MODEL, "--to", "onnx"], ["eval", "a.xml", *files]):
        done = edgehr_command(*arguments, env=environment, cwd=tmp_path)
        assert done.returncode == 1
        lines.add(done.stderr.removeprefix(f"edgehr {arguments[0]}: ").strip())
    assert len(lines) == 1
    assert "apt-get install libgl1" in lines.pop()


@pytest.mark.slow
def test_what_needs_no_opencv_works_without_it(
    sample_onnx: Path, sample_ir: Path, sample_tflite: Path, tmp_path: Path, edgehr_command: Any
) -> None:
    environment = with_cv2(tmp_path, BROKEN["libGL"][0])
    for artifact in (sample_onnx, sample_ir, sample_tflite):
        done = edgehr_command("inspect", artifact, env=environment)
        assert done.returncode == 0, done.stderr
        assert DEFAULT_MODEL in done.stdout
        code = f"import edgehr\nwith edgehr.load({str(artifact)!r}) as runtime: print(runtime.card.spec.keypoints)"
        done = python(code, environment)
        assert done.returncode == 0, done.stderr
    assert edgehr_command("models", "hand", env=environment).returncode == 0


def test_doctor_names_it_broken(tmp_path: Path, edgehr_command: Any) -> None:
    done = edgehr_command("doctor", env=with_cv2(tmp_path, BROKEN["libGL"][0]))
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if " opencv " in line]
    assert line.startswith("BROKEN ")
    assert "pip uninstall -y opencv-python && pip install opencv-python-headless" in line


def test_two_packages_in_one_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgehr import opencv
    from edgehr.cli import doctor

    packages = {"opencv-python": "5.0.0.93", "opencv-python-headless": "4.8.0.74"}
    monkeypatch.setattr(opencv, "installed_packages", lambda: packages)
    (entry,) = [entry for entry in doctor.examine() if entry["name"] == "opencv"]
    assert entry["state"] == "broken"
    assert "opencv-python 5.0.0.93 and opencv-python-headless 4.8.0.74 overwrite each other" in entry["detail"]
    cure = "pip uninstall -y opencv-python opencv-python-headless && pip install opencv-python-headless"
    assert entry["detail"].endswith(cure)


def test_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgehr import opencv

    monkeypatch.setattr(opencv, "installed_packages", dict)
    message = opencv.explain(ModuleNotFoundError("No module named 'cv2'", name="cv2"))
    assert message.startswith("OpenCV is not installed: pip install opencv-python-headless")


def test_it_is_imported_in_one_place() -> None:
    """Elsewhere a failure would be a traceback."""
    found = []
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found += [name for each in names if each.split(".")[0] in ("cv2", "onnxruntime", "openvino")]
    assert set(found) == {
        "edgehr.opencv",
        "edgehr.runtimes.onnx.library",
        "edgehr.runtimes.openvino.library",
        "edgehr.converters.onnx.float16",  # a subpackage of what is imported by then
    }
