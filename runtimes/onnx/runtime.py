"""ONNX Runtime."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import ArtifactError, EdgehrError
from edgehr.files import is_utf8
from edgehr.runtimes.artifact import METADATA_KEY, Artifact
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.onnx.library import ort
from edgehr.runtimes.onnx.profiling import profile_session
from edgehr.runtimes.onnx.whole import is_whole_onnx
from edgehr.runtimes.streams import usable_cores
from edgehr.runtimes.tensors import OperatorTime, Tensors, TensorSpec

_LOG = logging.getLogger("edgehr.runtimes")

_DTYPES = {"float": "f4", "float16": "f2", "double": "f8", "bool": "?"} | {
    f"{sign}int{bits}": f"{sign or 'i'}{bits // 8}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
# What ONNX Runtime says -> what it means, or what to do.
_CURES = (
    (r"[Pp]rotobuf parsing failed", "it is truncated or no ONNX"),
    (r"model IR version", "it was written by a newer onnx: update onnxruntime, or save it with a lower ir_version"),
    (r"till opset \d+", "update onnxruntime, or export with a lower opset"),
    (r"External (data|initializer)", "the files of its weights belong beside it, whole, by the names that it gives"),
    (
        r"No opset import for domain|not a registered|No Op registered",
        "export it without operators of others than ONNX",
    ),
)
_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}


_CPU = ["CPUExecutionProvider"]


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
        _LOG.debug("%s: ONNX Runtime %s, execution providers %s", path, ort.__version__, ", ".join(providers))
        is_whole_onnx(path)
        try:
            # ONNX Runtime takes no name that is not UTF-8.
            self._model: str | bytes = str(path) if is_utf8(str(path)) else path.read_bytes()
            self._settings = partial(_options, threads), providers  # for profiling
            self._session = ort.InferenceSession(self._model, _options(threads), providers=providers)
        except Exception as error:  # ONNX Runtime has an exception type per status code and no common base
            reason = _reason(error)
            cures = [cure for pattern, cure in _CURES if re.search(pattern, reason)] or ["is it truncated or foreign?"]
            said = f"ONNX Runtime {ort.__version__} cannot load it: {reason}"
            raise ArtifactError(f"{path}: {said} ({cures[0]})") from None
        try:
            embedded = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
            inputs = [_spec(path, entry) for entry in self._session.get_inputs()]
            outputs = [_spec(path, entry) for entry in self._session.get_outputs()]
        except UnicodeDecodeError:
            raise ArtifactError(f"{path}: a name in it is not UTF-8, damaged or foreign") from None
        artifact = Artifact.from_json(embedded) if embedded else None
        super().__init__(
            inputs,
            outputs,
            path=path,
            artifact=artifact,
            device=self._session.get_providers()[0].removesuffix("ExecutionProvider"),
            precision=artifact.precision if artifact else "",
            streams=threads or usable_cores() if providers == _CPU else 1,
        )

    def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        return self._run(self._session, inputs)

    def _open_streams(self, count: int) -> Callable[[Tensors], dict[str, NDArray[Any]]]:
        session = ort.InferenceSession(self._model, _options(threads=1), providers=_CPU)  # takes any number of callers
        return lambda inputs: self._run(session, inputs)

    def _profile(self, inputs: Tensors, runs: int) -> list[OperatorTime]:
        return profile_session(self._model, self._settings, inputs, runs)

    def _run(self, session: Any, inputs: Tensors) -> dict[str, NDArray[Any]]:
        names = [spec.name for spec in self.outputs]
        try:
            return dict(zip(names, session.run(names, dict(inputs)), strict=True))
        except Exception as error:
            raise EdgehrError(f"ONNX Runtime failed: {_reason(error)}") from error


def _options(threads: int | None) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what it would print comes as an exception, too
    if threads is not None:
        options.intra_op_num_threads = threads
    # Threads that wait awake save a tenth where nothing else runs. Where another program takes a core they double the
    # time, since each waits for one that does not get on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _providers(device: str) -> list[str]:
    if device in ("auto", "cpu"):
        return _CPU
    wanted = _PROVIDERS.get(device.lower())
    available = [name for name, provider in _PROVIDERS.items() if provider in ort.get_available_providers()]
    if wanted is None or wanted not in ort.get_available_providers():
        raise EdgehrError(f"ONNX Runtime here has no device {device!r}: expected one of auto, {', '.join(available)}")
    return [wanted, "CPUExecutionProvider"]


def _spec(path: Path, entry: Any) -> TensorSpec:
    kind = entry.type.removeprefix("tensor(").removesuffix(")")
    if kind not in _DTYPES:
        raise ArtifactError(f"{path}: {entry.name} is {entry.type}, which edgehr neither feeds nor returns")
    shape = tuple(size if isinstance(size, int) else None for size in entry.shape)
    return TensorSpec(entry.name, shape, np.dtype(_DTYPES[kind]))


def _reason(error: Exception) -> str:
    """Return all that ONNX Runtime says, on one line, without status, file name and place in its source."""
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(str(error).split()))
    text = re.sub(r"^Load model from .*? failed: ?", "", text)
    # A place is a file and line with a function, whose whole C++ signature may follow.
    text = re.sub(r"\S+\.(cc|h|cpp):\d+ [\w:<>&*, ]*\(.*?\) (?=[A-Z]|\w+\.cc:)", "", text)
    text = re.sub(r"\S+\.(cc|h|cpp):\d+ \w+ ", "", text)
    return text or type(error).__name__
