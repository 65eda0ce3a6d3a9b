"""Imports run one way, without circles, and importing edgehr costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import tomllib

from tests.conftest import ROOT

# Each part of the package -> the parts it may import, at any depth of its code.
BASE = {"errors", "card", "registry", "notices", "plain_data"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "progress": set(),
    "registry": {"errors"},
    "plain_data": {"errors"},
    "notices": set(),
    "card": {"errors", "notices", "plain_data", "registry"},
    "unfinished": set(),
    "files": {"errors", "unfinished"},
    "dependencies": {"errors"},
    "opencv": {"dependencies", "errors"},
    "assets": set(),
    # What a device installs.
    "runtimes": BASE | {"dependencies", "files", "unfinished"},
    "zoo": BASE | {"assets", "files", "tasks"},
    "tasks": BASE | {"dependencies", "opencv", "runtimes"},
    "evaluation": BASE | {"files", "opencv", "runtimes", "spread", "tasks"},
    "spread": BASE | {"benchmark", "dependencies", "files", "runtimes"},
    "benchmark": BASE | {"assets", "files", "progress", "runtimes", "tasks"},
    "tune": BASE | {"benchmark", "calib", "converters", "evaluation", "files", "progress", "runtimes", "spread"},
    "serving": BASE | {"benchmark", "dependencies", "files", "runtimes"},
    "annotate": BASE | {"dependencies", "files", "live", "opencv", "progress", "runtimes", "spread", "tasks"},
    "live": BASE | {"assets", "files", "opencv", "runtimes", "tasks", "unfinished", "zoo"},
    "rollout": BASE | {"benchmark", "files", "runtimes", "unfinished", "zoo"},
    # A workstation. Conversions are checked through the tasks and runtimes that will serve them, and calibrated on the
    # crops that the detector and the single-person search of live pose will give them.
    "models": BASE | {"files", "runtimes", "tasks"},
    "calib": BASE | {"files", "opencv", "progress", "tasks", "evaluation", "live", "models", "runtimes", "spread"},
    "converters": BASE
    | {
        "dependencies",
        "files",
        "opencv",
        "progress",
        "assets",
        "benchmark",
        "zoo",
        "models",
        "calib",
        "runtimes",
        "tasks",
        "evaluation",
    },
}
HEAVY = {"torch", "onnx", "onnxruntime", "openvino", "safetensors", "rich", "faster_coco_eval", "cv2"}


def modules() -> dict[str, Path]:
    """Module name -> file, for the whole package."""
    found = {}
    for folder, prefix in (
        (ROOT / "edgehr", "edgehr"),
        *((ROOT / n, f"edgehr.{n}") for n in ("runtimes", "converters", "calib")),
    ):
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([prefix, *parts]).removesuffix(".__init__")] = path
    return found


def imported(path: Path) -> set[str]:
    """Names of edgehr modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "edgehr" else {node.module}
            )
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.split(".")[0] == "edgehr"}


def imported_modules(path: Path, known: set[str]) -> set[str]:
    """Modules of edgehr that a file imports anywhere, also inside functions and for type checkers only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in inner}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & known


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Groups of modules each of which imports every other, directly or by way of the rest."""

    def reachable(start: str) -> set[str]:
        seen, waiting = set[str](), [start]
        while waiting:
            waiting += (new := graph[waiting.pop()] - seen)
            seen |= new
        return seen

    behind = {name: reachable(name) for name in graph}
    groups = {frozenset(other for other in behind[name] if name in behind[other]) for name in graph}
    return [set(group) for group in groups if group]


def test_no_module_imports_one_that_imports_it() -> None:
    known = modules()
    assert circles({name: imported_modules(path, set(known)) for name, path in known.items()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [{"b", "c"}]


def test_imports_run_one_way() -> None:
    wrong = []
    for name, path in modules().items():
        part = name.split(".")[1] if "." in name else ""
        if part in ("", "cli"):  # the package's front door and the command line stand on top of everything
            continue
        for target in imported(path):
            other = target.split(".")[1] if "." in target else "(package)"
            if other != part and other not in ALLOWED[part]:
                wrong.append(f"{name} imports {target}")
    assert not wrong


def test_files_stay_small() -> None:
    long = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert {name: lines for name, lines in long.items() if lines > 300} == {}


def loaded_after(code: str) -> set[str]:
    script = f"{code}; import sys; print(*sorted(set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_edgehr_loads_no_runtime_and_no_framework() -> None:
    assert not loaded_after("import edgehr; edgehr.__version__") & (HEAVY | {"numpy"})
    assert not loaded_after("import edgehr; edgehr.load, edgehr.ModelCard, edgehr.Runtime") & HEAVY
    assert not loaded_after("import edgehr; edgehr.Task, edgehr.Poses") & (HEAVY - {"cv2"})


def test_the_command_line_loads_only_what_a_command_needs() -> None:
    assert not loaded_after("import edgehr.cli.main as m; m.main(['models'])") & (HEAVY | {"numpy"})


def test_every_package_is_installed() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    packages = {name for name, path in modules().items() if path.name == "__init__.py"}
    assert packages <= listed
