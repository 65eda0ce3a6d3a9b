"""`edgehr doctor`: what is installed, what can run here, and what to do about the rest."""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgehr import __version__
from edgehr.cli.common.output import SubParsers, print_json

RUNTIMES = (("onnxruntime", "onnxruntime"), ("openvino", "openvino"))
WORKSTATION = ("torch", "onnx", "onnxscript", "onnxsim", "safetensors", "ai-edge-quantizer")
JETSON_RELEASE = Path("/etc/nv_tegra_release")


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("doctor", help="show what is installed and what is missing")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Look around and print."""
    found = examine()
    if args.json:
        print_json(found)
        return
    for entry in found:
        mark = {"ok": "ok     ", "missing": "missing", "broken": "BROKEN "}[entry["state"]]
        print(f"{mark}  {entry['name']:<22} {entry['detail']}")


def examine() -> list[dict[str, str]]:
    """List what was looked at: `name`, `state` (ok, missing, broken), `detail`."""
    entries = [
        _entry("edgehr", "ok", __version__),
        _entry("python", "ok", f"{platform.python_version()} at {sys.executable}, {platform.machine()}"),
        _opencv(),
        *(_package(name, f"pip install 'edgehr[{extra}]'") for name, extra in RUNTIMES),
        _tflite(),
        *_tensorrt(),
        _workstation(),
    ]
    if JETSON_RELEASE.is_file():
        entries.insert(2, _entry("jetson", "ok", JETSON_RELEASE.read_text(encoding="utf-8").splitlines()[0]))
    return entries


def _entry(name: str, state: str, detail: str) -> dict[str, str]:
    return {"name": name, "state": state, "detail": detail}


def _package(name: str, advice: str) -> dict[str, str]:
    try:
        module: Any = importlib.import_module(name)
    except ImportError as error:
        installed = _installed(name)
        if installed:
            return _entry(name, "broken", f"{installed} is installed but does not load: {error}")
        return _entry(name, "missing", advice)
    return _entry(name, "ok", str(getattr(module, "__version__", _installed(name))))


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _opencv() -> dict[str, str]:
    entry = _package("cv2", "pip install 'edgehr[opencv]', or your board's own (with GStreamer)")
    if entry["state"] == "ok":
        import cv2

        streaming = any("GStreamer" in line and "YES" in line for line in cv2.getBuildInformation().splitlines())
        entry["detail"] += f" at {Path(cv2.__file__).parent}, {'with' if streaming else 'without'} GStreamer"
    return {**entry, "name": "opencv"}


def _tflite() -> dict[str, str]:
    from edgehr.errors import EdgehrError
    from edgehr.runtimes.tflite.library import PACKAGES, import_library

    try:
        return _entry("tflite", "ok", str(import_library()))
    except EdgehrError as error:
        installed = any(_installed(package) for package, _ in PACKAGES.values())
        return _entry("tflite", "broken" if installed else "missing", str(error))


def _tensorrt() -> list[dict[str, str]]:
    from edgehr.errors import EdgehrError
    from edgehr.runtimes.tensorrt.cuda import cudart, find_gpu
    from edgehr.runtimes.tensorrt.library import LIBRARIES, import_library

    entries = []
    try:
        cudart()
        entries.append(_entry("cuda-python", "ok", _installed("cuda-bindings") or _installed("cuda-python")))
    except EdgehrError as error:
        entries.append(_entry("cuda-python", "missing", str(error)))
    search = find_gpu()
    entries.append(
        _entry("NVIDIA GPU", "ok", str(search.gpu)) if search.gpu else _entry("NVIDIA GPU", "missing", search.problem)
    )
    for name in LIBRARIES:
        try:
            library = import_library(name)
        except EdgehrError as error:
            entries.append(_entry(name, "broken" if _installed(name) else "missing", str(error)))
            continue
        can = "builds and runs here" if search.gpu else "cannot build or run here: no GPU"
        if library.is_rtx and not search.gpu:
            can = "builds here for other GPUs, cannot run here"
        entries.append(_entry(name, "ok", f"{library.version}, {can}"))
    return entries


def _workstation() -> dict[str, str]:
    versions = {name: _installed(name) for name in WORKSTATION}
    missing = [name for name, found in versions.items() if not found]
    if missing:
        detail = f"{', '.join(missing)} not installed (not needed on a device): pip install 'edgehr[convert-tflite]'"
        return _entry("conversion", "missing", detail)
    return _entry("conversion", "ok", ", ".join(f"{name} {found}" for name, found in versions.items()))
