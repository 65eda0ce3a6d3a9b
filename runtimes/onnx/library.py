"""ONNX Runtime, imported without its telemetry.

Its official builds report to a server of their maker's, and complain on the terminal where there is no home folder to
keep the number of this machine in.
"""

from __future__ import annotations

import os

from edgehr.dependencies import loading_native, unusable

__all__ = ["ort"]

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, while it is imported; whoever wants it sets it to 0
try:
    with loading_native():
        import onnxruntime as ort
except Exception as error:  # its Python files may fail in any way
    raise unusable("ONNX Runtime", "onnxruntime", "onnxruntime", error) from error
