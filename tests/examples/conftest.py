"""What tests of the examples share: running them as users do, and importing them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT

EXAMPLES = ROOT / "examples"


def environment(**more: str) -> dict[str, str]:
    """This process's environment with what is given, and none of the service's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGEHR_")}
    return {**kept, **more}


@pytest.fixture(scope="session")
def run_example() -> Callable[..., Any]:
    """Run an example in a process of its own."""

    def run(name: str, *arguments: object, cwd: Path | None = None) -> Any:
        command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment(), check=False)

    return run


@pytest.fixture(scope="session")
def load_example() -> Callable[[str], ModuleType]:
    """Import an example by its name."""

    def load(name: str) -> ModuleType:
        module_name = f"edgehr_example_{name}"
        if module_name not in sys.modules:
            spec = importlib.util.spec_from_file_location(module_name, EXAMPLES / f"{name}.py")
            assert spec is not None
            assert spec.loader is not None
            sys.modules[module_name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up
            spec.loader.exec_module(sys.modules[module_name])
        return sys.modules[module_name]

    return load
