"""ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import ArtifactError, EdgehrError
from edgehr.files import is_utf8
from edgehr.runtimes.artifact import METADATA_KEY, Artifact
from edgehr.runtimes.base import Runtime, Tensors, TensorSpec
from edgehr.runtimes.onnx.library import ort

_DTYPES = {"tensor(float)": "f4", "tensor(float16)": "f2", "tensor(int8)": "i1", "tensor(uint8)": "u1"}
_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}


class OnnxRuntime(Runtime):
    """Runs `.onnx` files.

    Args:
        path: The model.
        device: ``auto`` and ``cpu`` are the CPU; ``cuda``, ``tensorrt``, ``coreml``, ``directml``, ... name the
            execution provider, with the CPU for what it does not take.
        threads: Threads of one inference; None leaves it to ONNX Runtime.
        precision: Must be None: ONNX Runtime computes in the precision of the graph.

    Raises:
        ArtifactError: The file is not a model that ONNX Runtime loads.
        EdgehrError: The device is unknown or not in this build.
    """

    backend = "onnxruntime"

    def __init__(
        self, path: Path, device: str = "auto", threads: int | None = None, precision: str | None = None
    ) -> None:
        if precision is not None:
            raise EdgehrError("ONNX Runtime computes in the precision of the graph: convert with --precision instead")
        providers = _providers(device)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            # ONNX Runtime takes no name that is not UTF-8.
            model: str | bytes = str(path) if is_utf8(str(path)) else path.read_bytes()
            self._session = ort.InferenceSession(model, options, providers=providers)
        except Exception as error:  # ONNX Runtime has an exception type per status code and no common base
            reason = str(error).strip().splitlines()[-1][:200]
            raise ArtifactError(f"{path}: ONNX Runtime cannot load it, truncated or foreign ({reason})") from None
        embedded = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        artifact = Artifact.from_json(embedded) if embedded else None
        super().__init__(
            [_spec(entry) for entry in self._session.get_inputs()],
            [_spec(entry) for entry in self._session.get_outputs()],
            path=path,
            artifact=artifact,
            device=self._session.get_providers()[0].removesuffix("ExecutionProvider"),
            precision=artifact.precision if artifact else "",
        )

    def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        names = [spec.name for spec in self.outputs]
        try:
            return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))
        except Exception as error:
            raise EdgehrError(f"ONNX Runtime failed: {str(error).strip().splitlines()[-1]}") from error


def _providers(device: str) -> list[str]:
    if device in ("auto", "cpu"):
        return ["CPUExecutionProvider"]
    wanted = _PROVIDERS.get(device.lower())
    available = [name for name, provider in _PROVIDERS.items() if provider in ort.get_available_providers()]
    if wanted is None or wanted not in ort.get_available_providers():
        raise EdgehrError(f"ONNX Runtime here has no device {device!r}: expected one of auto, {', '.join(available)}")
    return [wanted, "CPUExecutionProvider"]


def _spec(entry: Any) -> TensorSpec:
    if entry.type not in _DTYPES:
        raise ArtifactError(f"tensor {entry.name} has type {entry.type}, which edgehr does not feed")
    shape = tuple(size if isinstance(size, int) else None for size in entry.shape)
    return TensorSpec(entry.name, shape, np.dtype(_DTYPES[entry.type]))
