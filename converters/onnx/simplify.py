"""onnxsim, in a child process, because it is native code that has been seen to crash."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx

from edgehr.converters.onnx.export import check_onnx, strip_traces
from edgehr.errors import EdgehrError

TIMEOUT_S = 300


def simplify(model: Any) -> tuple[Any, str]:
    """Simplify a graph.

    Returns:
        The simplified model and an empty string; or, if onnxsim fails, the model unchanged and why.
    """
    with tempfile.TemporaryDirectory(prefix="edgehr-") as folder:
        source, target = Path(folder, "in.onnx"), Path(folder, "out.onnx")
        onnx.save(model, source)
        command = [sys.executable, "-m", "onnxsim", str(source), str(target)]
        try:
            child = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            return model, f"onnxsim took more than {TIMEOUT_S} s"
        if child.returncode or not target.is_file():
            lines = child.stderr.strip().splitlines()
            return model, f"onnxsim ended with status {child.returncode} ({lines[-1] if lines else 'no message'})"
        try:
            simplified = onnx.load(target)
            strip_traces(simplified)
            check_onnx(simplified)
        except (EdgehrError, ValueError) as error:
            return model, f"onnxsim wrote an unusable graph ({error})"
    return simplified, ""
