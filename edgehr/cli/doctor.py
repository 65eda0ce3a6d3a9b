"""`edgehr doctor`: what is installed, what can run here, and what to do about the rest."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from edgehr import __version__
from edgehr.cli.common.output import SubParsers, print_json
from edgehr.errors import EdgehrError

# Runtimes, by the modules of edgehr that import them.
RUNTIMES = {"onnxruntime": "edgehr.runtimes.onnx.library", "openvino": "edgehr.runtimes.openvino.library"}
WORKSTATION = ("torch", "onnx", "onnxscript", "onnxsim", "safetensors", "ai-edge-quantizer")
_QUIET_LOAD = 0.5
JETSON_RELEASE = Path("/etc/nv_tegra_release")

Entry = dict[str, str]


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("doctor", help="show what is installed, what is missing and what does not work")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Look around and print."""
    found = examine()
    if args.json:
        print_json(found)
        return
    for entry in found:
        mark = entry["state"].upper() if entry["state"] in ("broken", "old") else entry["state"]
        print(f"{mark:<7}  {entry['name']:<22} {entry['detail']}")


def examine() -> list[Entry]:
    """List what was looked at: `name`, `state` (ok, missing, old, broken), `detail`."""
    entries = [
        _entry("edgehr", "ok", __version__),
        _entry("python", "ok", f"{platform.python_version()} at {sys.executable}, {platform.machine()}"),
        _cache(),
        _checked("numpy", "numpy", _installed("numpy"), _installed("numpy")),
        _opencv(),
        *(_runtime(name) for name in RUNTIMES),
        _tflite(),
        *_tensorrt(),
        _remote(),
        _workstation(),
        _bench(),
        _tune(),
    ]
    if JETSON_RELEASE.is_file():
        entries.insert(2, _entry("jetson", "ok", JETSON_RELEASE.read_text(encoding="utf-8").splitlines()[0]))
    return entries


def _entry(name: str, state: str, detail: str) -> Entry:
    return {"name": name, "state": state, "detail": detail}


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _checked(name: str, package: str, found: str, detail: str) -> Entry:
    """Compare the version of what loads with the lowest that edgehr's own requirements name, which CI runs."""
    lowest = _lowest(package)
    if found and lowest and _numbers(found) < _numbers(lowest):
        return _entry(
            name,
            "old",
            f"{detail}: edgehr, and the files that it writes, need {lowest} or later: "
            f"pip install --upgrade '{package}>={lowest}'",
        )
    return _entry(name, "ok", detail)


def _lowest(package: str) -> str:
    """Return the lowest version that edgehr's requirements allow of a package; empty where they do not say."""
    for line in requires("edgehr") or [] if _installed("edgehr") else []:
        if match := re.match(rf"{re.escape(package)}(?:\[[\w,]+\])?(?:<[\d.]+,)?>=([\d.]+)", line, re.IGNORECASE):
            return match[1]
    return ""


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers at the beginning of a version, without zeros at the end: 1.17 and 1.17.0 are the same."""
    numbers = [int(part) for part in re.match(r"[\d.]*", text.removeprefix("v"))[0].split(".") if part]  # type: ignore[index]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _cache() -> Entry:
    """Look whether downloads and calibration results can be kept, without making the folder."""
    from edgehr.errors import EdgehrError
    from edgehr.files import CACHE_ADVICE, cache_folder

    try:
        folder = cache_folder()
        there = next(parent for parent in (folder, *folder.absolute().parents) if os.path.lexists(parent))
    except EdgehrError as error:
        return _entry("cache", "broken", str(error))
    if not there.is_dir():
        return _entry("cache", "broken", f"{folder} cannot be made, for {there} is no folder: {CACHE_ADVICE}")
    if not os.access(there, os.W_OK | os.X_OK):
        return _entry("cache", "broken", f"{folder} cannot be written to: {CACHE_ADVICE}")
    return _entry("cache", "ok", str(folder))


def _opencv() -> Entry:
    from edgehr.errors import EdgehrError

    try:
        from edgehr.opencv import cv2, installed_packages, overlap
    except EdgehrError as error:
        return _entry("opencv", "missing" if "is not installed" in str(error) else "broken", str(error))
    streaming = any("GStreamer" in line and "YES" in line for line in cv2.getBuildInformation().splitlines())
    packages = installed_packages()
    detail = f"{cv2.__version__} at {Path(cv2.__file__).parent}, {'with' if streaming else 'without'} GStreamer"
    detail += "".join(f", from {name}" for name in packages)
    if clash := overlap(packages):
        return _entry("opencv", "broken", f"{detail}: {clash}")
    return _checked("opencv", next(iter(packages), "opencv-python"), cv2.__version__, detail)


def _runtime(name: str) -> Entry:
    from edgehr.errors import EdgehrError

    try:
        importlib.import_module(RUNTIMES[name])
    except EdgehrError as error:
        return _entry(name, "missing" if "is not installed" in str(error) else "broken", str(error))
    found: str = sys.modules[name].__version__
    return _checked(name, name, found, found)


def _tflite() -> Entry:
    from edgehr.errors import EdgehrError
    from edgehr.runtimes.tflite.library import PACKAGES, import_library

    try:
        library = import_library()
    except EdgehrError as error:
        installed = any(_installed(package) for package, _ in PACKAGES.values())
        return _entry("tflite", "broken" if installed else "missing", str(error))
    return _checked("tflite", PACKAGES[library.name][0], library.version, str(library))


def _tensorrt() -> list[Entry]:
    from edgehr.errors import EdgehrError
    from edgehr.runtimes.tensorrt.cuda import cudart, find_gpu
    from edgehr.runtimes.tensorrt.library import LIBRARIES, import_library

    entries = []
    try:
        cudart()
        found = _installed("cuda-bindings") or _installed("cuda-python")
        entries.append(_checked("cuda-python", "cuda-python", found, found))
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
        entries.append(_checked(name, name, library.version, f"{library.version}, {can}"))
    return entries


def _remote() -> Entry:
    """Say whether models on servers can be used."""
    from edgehr.runtimes.remote.library import import_grpc, import_http

    try:
        import_grpc()
        import_http()
    except EdgehrError as error:
        return _entry("remote", "broken" if _installed("tritonclient") else "missing", str(error))
    found = _installed("tritonclient")
    return _checked(
        "remote", "tritonclient", found, f"tritonclient {found}: models on servers (grpc://HOST:PORT/MODEL)"
    )


def _bench() -> Entry:
    """Say what `edgehr bench` will find: figures are as good as the machine is quiet and steady."""
    from edgehr.benchmark.state import Use, read_cores, read_state, remarks

    cores, state = read_cores(), read_state()
    told = {
        "governor": ", ".join(state.governors),
        "clock": f"{state.clock_mhz:.0f} MHz" if state.clock_mhz else "",
        "temperature": f"{max(state.temperatures.values()):.0f} °C" if state.temperatures else "",
        "power mode": state.power_mode,
    }
    parts = [f"{cores.usable} of {cores.all} cores", *(f"{name} {value}" for name, value in told.items() if value)]
    hidden = [name for name in ("governor", "clock", "temperature") if not told[name]]
    parts += [f"{', '.join(hidden)} not readable here"] if hidden else []
    advice = remarks(cores, state, state, Use(0.0))
    if state.load is not None and state.load > _QUIET_LOAD:
        advice.append(f"the load is {state.load:.1f}: end other programs before measuring")
    return _entry("bench", "ok", "; ".join([", ".join(parts), *advice]))


def _tune() -> Entry:
    """Say what `edgehr tune` lacks: it converts, calibrates, and computes metrics."""
    from edgehr.dependencies import need_packages, need_torch

    try:
        need_torch()
        need_packages("faster_coco_eval", extra="eval")
    except EdgehrError as error:
        return _entry("tune", "missing", f"{error} (on a workstation; it measures devices with --on)")
    need = "annotated images (--annotations), and others to calibrate INT8 on (--calib)"
    return _entry("tune", "ok", f"ready; give it {need}")


def _workstation() -> Entry:
    versions = {name: _installed(name) for name in WORKSTATION}
    missing = [name for name, found in versions.items() if not found]
    if missing:
        detail = f"{', '.join(missing)} not installed (not needed on a device): pip install 'edgehr[convert-tflite]'"
        return _entry("conversion", "missing", detail)
    return _entry("conversion", "ok", ", ".join(f"{name} {found}" for name, found in versions.items()))
