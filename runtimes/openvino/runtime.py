"""OpenVINO."""

from __future__ import annotations

import logging
import platform
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import ArtifactError, EdgehrError, first_line
from edgehr.files import sha256_file
from edgehr.notices import warn_once
from edgehr.runtimes.artifact import METADATA_KEY, Artifact
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.onnx.whole import is_whole_onnx
from edgehr.runtimes.openvino.ir_file import HASH_MARKER, HASH_NAME, weights_path
from edgehr.runtimes.openvino.library import FAILURES, ov
from edgehr.runtimes.openvino.profiling import profile_request
from edgehr.runtimes.openvino.signal_stack import kept_signal_stack
from edgehr.runtimes.self_hash import is_whole
from edgehr.runtimes.streams import usable_cores
from edgehr.runtimes.tensors import OperatorTime, Tensors, TensorSpec

_LOG = logging.getLogger("edgehr.runtimes")

_PRECISIONS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
# Of artifacts to arithmetic, where the device has it.
_BY_DEFAULT = {"fp32": "fp32", "fp16": "fp16", "int8": "fp32"}
_ARM = ("aarch64", "arm64")
_DYNAMIC_QUANTIZATION = "DYNAMIC_QUANTIZATION_GROUP_SIZE"


class OpenVINORuntime(Runtime):
    """Runs OpenVINO IR (`.xml` with its `.bin`), and ONNX graphs that edgehr wrote.

    Args:
        path: The `.xml` or the `.onnx` file.
        device: ``auto`` is the CPU; otherwise OpenVINO's own names: ``CPU``, ``GPU``, ``NPU``, ``AUTO:GPU,CPU``, ...
        threads: Threads of one inference on the CPU; None leaves it to OpenVINO.
        precision: Arithmetic to ask for: ``fp32``, ``bf16`` or ``fp16``; of an INT8 model, that of what is not INT8. By
            default what the artifact says, and fp32 beside INT8 and for fp16 on CPUs without it, since OpenVINO would
            otherwise compute in bf16 where there is that, with an eighth of float16's resolution; `Runtime.precision`
            tells what the device really uses.

    Raises:
        ArtifactError: The files are missing, damaged, do not belong together or are not IR.
        EdgehrError: The device is not there, or does not take a setting.
    """

    backend = "openvino"

    def __init__(
        self, path: Path, device: str = "auto", threads: int | None = None, precision: str | None = None
    ) -> None:
        core = ov.Core()
        model = read_ir(core, path)
        try:
            artifact = ir_artifact(model)
            _check_weights(path, model)
            inputs, outputs = ([_spec(path, port) for port in ports] for ports in (model.inputs, model.outputs))
        except (UnicodeDecodeError, IndexError) as error:  # a name that is no text, an output that nothing makes
            raise ArtifactError(f"{path}: is damaged or foreign ({first_line(error)})") from None
        device = "CPU" if device == "auto" else device.upper()
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = threads
        with kept_signal_stack():  # questions to a device load it
            config |= as_written(core, device)
            if precision is None and artifact is not None:
                precision = default_precision(core, device, artifact.precision)
        if device == "CPU" and artifact is not None and artifact.precision == "int8" and platform.machine() in _ARM:
            check_int8_on_arm(path, precision)
        if precision is not None:
            config["INFERENCE_PRECISION_HINT"] = _PRECISIONS.get(precision, precision)
        _LOG.debug("%s: OpenVINO %s, compiled for %s with %s", path, ov.__version__, device, config)
        try:
            with kept_signal_stack():
                self._compiled = core.compile_model(model, device, config)
            concurrency = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        except FAILURES as error:
            known = ", ".join(core.available_devices)
            raise EdgehrError(
                f"{path}: OpenVINO cannot run it on {device} with {config} (devices here: {known}): {_reason(error)}"
            ) from None
        self._requests: deque[Any] = deque()
        self._core, self._model, self._config = core, model, config  # for streams
        super().__init__(
            inputs,
            outputs,
            path=path,
            artifact=artifact,
            device=device,
            precision=_used_precision(self._compiled),
            concurrency=concurrency,
            streams=threads or usable_cores() if device == "CPU" else 1,
        )

    def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        return self._run(self._compiled, self._requests, inputs)

    def _open_streams(self, count: int) -> Callable[[Tensors], dict[str, NDArray[Any]]]:
        config = {**self._config, "NUM_STREAMS": count, "INFERENCE_NUM_THREADS": count}
        del config["PERFORMANCE_HINT"]
        requests: deque[Any] = deque()
        with kept_signal_stack():
            compiled = self._core.compile_model(self._model, "CPU", config)
        return lambda inputs: self._run(compiled, requests, inputs)

    def _profile(self, inputs: Tensors, runs: int) -> list[OperatorTime]:
        try:
            with kept_signal_stack():
                compiled = self._core.compile_model(self._model, self.device, {**self._config, "PERF_COUNT": True})
            return profile_request(compiled.create_infer_request(), inputs, runs)
        except FAILURES as error:
            raise EdgehrError(f"OpenVINO did not time its operators: {_reason(error)}") from error

    def _run(self, compiled: Any, requests: deque[Any], inputs: Tensors) -> dict[str, NDArray[Any]]:
        try:
            request = requests.pop()  # one request serves one caller at a time
        except IndexError:
            request = compiled.create_infer_request()
        try:
            result = request.infer(dict(inputs), share_inputs=True, share_outputs=True)
            return {spec.name: np.array(result[i]) for i, spec in enumerate(self.outputs)}
        except FAILURES as error:
            raise EdgehrError(f"OpenVINO failed: {_reason(error)}") from error
        finally:
            requests.append(request)

    def _close(self) -> None:
        self._requests.clear()
        del self._compiled, self._model


def read_ir(core: Any, path: Path) -> Any:
    """Read IR files, or an ONNX graph, as an `openvino.Model`.

    Raises:
        ArtifactError: They are missing, damaged or foreign.
    """
    weights = weights_path(path)
    if path.suffix.lower() == ".onnx":
        is_whole_onnx(path)
        files = [str(path)]
    else:
        is_whole(path, HASH_MARKER, HASH_NAME)
        if not weights.is_file():
            raise ArtifactError(f"{path}: its weights file {weights.name} is not beside it")
        files = [str(path), str(weights)]
    try:
        return core.read_model(*files)
    except FAILURES as error:
        raise ArtifactError(
            f"{path}: OpenVINO cannot read it: {_reason(error)} (truncated, foreign, or of a newer OpenVINO?)"
        ) from None


def ir_artifact(model: Any) -> Artifact | None:
    """Return what a model says of itself in `rt_info`; None where edgehr did not write it."""
    for key in ([METADATA_KEY, "artifact"], ["framework", METADATA_KEY]):  # the latter is an ONNX file's metadata
        if model.has_rt_info(key):
            return Artifact.from_json(model.get_rt_info(key).astype(str))
    return None


def _check_weights(path: Path, model: Any) -> None:
    """Refuse a `.bin` other than the one that was written with the `.xml`."""
    key, weights = [METADATA_KEY, "bin_sha256"], weights_path(path)
    if model.has_rt_info(key) and model.get_rt_info(key).astype(str) != sha256_file(weights):
        raise ArtifactError(f"{path}: its weights file {weights.name} is damaged or belongs to another model")


def default_precision(core: Any, device: str, stored: str) -> str | None:
    """Choose what to compute in for what an artifact says of itself."""
    if stored == "fp16" and device == "CPU" and "FP16" not in core.get_property(device, "OPTIMIZATION_CAPABILITIES"):
        return "fp32"
    return _BY_DEFAULT.get(stored)


def check_int8_on_arm(path: Path, precision: str | None) -> None:
    """Refuse what OpenVINO's ARM plugin computes wrongly, and warn of what it is slow at.

    By OpenVINO 2026.4.1 on a Cortex-A76, the sample network in INT8 beside fp16 agrees with fp32 by a mean OKS of 0.25.
    Beside fp32 it is right, by reference code that executes 16 times the instructions of fp32.
    """
    if precision == "fp16":
        raise EdgehrError(f"{path}: OpenVINO computes INT8 beside fp16 wrongly on ARM: take a model in fp16")
    warn_once(
        "runtimes",
        f"{path.name}: OpenVINO has no fast kernels for INT8 on ARM, where it takes many times as long as fp32: "
        "convert with --precision fp16, or to tflite",
    )


def as_written(core: Any, device: str) -> dict[str, str]:
    """Return the setting by which OpenVINO rounds no activation that the file has in float, where a device knows it.

    By default it rounds those of a fully connected layer with INT8 weights, as at the end of a classifier, 32 by 32.
    """
    try:
        known = _DYNAMIC_QUANTIZATION in core.get_property(device, "SUPPORTED_PROPERTIES")
    except RuntimeError:  # such a device is not there, which is said where the model is compiled
        known = False
    return {_DYNAMIC_QUANTIZATION: "0"} if known else {}  # OpenVINO 2024 refuses an integer of Python's


def _used_precision(compiled: Any) -> str:
    try:
        used: str = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    except RuntimeError:
        return ""  # not every device has this property
    return {name: ours for ours, name in _PRECISIONS.items()}.get(used, used)


def _spec(path: Path, port: Any) -> TensorSpec:
    name = next(iter(sorted(port.names)), port.node.friendly_name)
    try:
        dtype = np.dtype(port.element_type.to_dtype())
        shape = tuple(None if size.is_dynamic else size.get_length() for size in port.partial_shape)
    except (RuntimeError, TypeError) as error:
        raise ArtifactError(f"{path}: {name} is {port}, which edgehr neither feeds nor returns") from error
    return TensorSpec(name, shape, dtype)


def _reason(error: Exception) -> str:
    """Return the line of OpenVINO's multi-line messages that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (telling or lines or ["no reason given"])[-1]
