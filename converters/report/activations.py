"""What the layers inside an artifact return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError

# One crop in the artifact's layout, (3, H, W) or (H, W, 3) float32, to the wanted tensors by name, as real values.
Probe = Callable[[NDArray[np.float32]], dict[str, NDArray[Any]]]


def open_probe(path: Path, names: Sequence[str]) -> Probe:
    """Open an artifact so that it also returns these layers.

    Args:
        path: `.onnx`, `.xml` or `.tflite`.
        names: Layers as `edgehr.converters.report.coverage.Node` names them; those that it lacks are not returned.

    Raises:
        EdgehrError: It cannot be opened, or is of a kind that shows no layers.
    """
    if path.suffix == ".onnx":
        return _onnx_probe(path, names)
    if path.suffix == ".xml":
        return _openvino_probe(path, names)
    if path.suffix == ".tflite":
        return _tflite_probe(path, names)
    raise EdgehrError(f"{path}: does not show its layers")


def _onnx_probe(path: Path, names: Sequence[str]) -> Probe:
    """The graph with more outputs. Nothing is fused, so that Q and DQ round every tensor where the file says so."""
    import onnx
    import onnxruntime as ort

    from edgehr.converters.report.coverage_onnx import node_name

    model = onnx.load(path)
    made = {node_name(node): node.output[0] for node in model.graph.node}
    known = {entry.name for entry in model.graph.output}
    wanted = {name: made[name] for name in names if name in made}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted.values() if name not in known)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an exception type per status code and no common base
        raise EdgehrError(f"{path}: ONNX Runtime does not show its layers: {error}") from None
    (entry,) = session.get_inputs()
    dtype = np.float16 if "float16" in entry.type else np.float32

    def probe(crop: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        batch = _filled(crop, entry.shape[0]).astype(dtype)
        return dict(zip(wanted, session.run(list(wanted.values()), {entry.name: batch}), strict=True)) if wanted else {}

    return probe


def _openvino_probe(path: Path, names: Sequence[str]) -> Probe:
    """The model with more results, compiled for the CPU in float32 where it is not quantized."""
    import openvino as ov

    from edgehr.runtimes.openvino.runtime import read_ir

    core = ov.Core()
    model = read_ir(core, path)
    operators = {op.get_friendly_name(): op for op in model.get_ordered_ops() if op.get_output_size()}
    wanted = [name for name in dict.fromkeys(names) if name in operators]
    before = len(model.outputs)
    results = [ov.op.Result(operators[name].output(0)) for name in wanted]
    model.add_results(results)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    port = model.inputs[0]
    size = port.partial_shape[0]
    dtype = port.element_type.to_dtype()

    def probe(crop: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        batch = _filled(crop, None if size.is_dynamic else size.get_length()).astype(dtype)
        request.infer({0: batch})
        return {name: request.get_output_tensor(before + i).data.copy() for i, name in enumerate(wanted)}

    return probe


def _tflite_probe(path: Path, names: Sequence[str]) -> Probe:
    """The interpreter without XNNPACK, which would not keep what is between its operators."""
    from edgehr.runtimes.tflite.library import import_library
    from edgehr.runtimes.tflite.model import Entry

    module = import_library().interpreter
    try:
        interpreter = module.Interpreter(
            model_path=str(path),
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise EdgehrError(f"{path}: TFLite does not show its layers: {error}") from None
    (taken,) = (Entry.of(details["name"], details) for details in interpreter.get_input_details())
    tensors = {details["name"]: Entry.of(details["name"], details) for details in interpreter.get_tensor_details()}
    wanted = [name for name in dict.fromkeys(names) if name in tensors]

    def probe(crop: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        batch = _filled(crop, taken.shape[0])
        interpreter.set_tensor(taken.index, taken.quantization.quantize(batch) if taken.quantization else batch)
        interpreter.invoke()
        return {name: _real(tensors[name], interpreter.get_tensor(tensors[name].index)) for name in wanted}

    return probe


def _real(entry: Any, array: NDArray[Any]) -> NDArray[Any]:
    real: NDArray[Any] = entry.quantization.dequantize(array) if entry.quantization else array
    return real


def _filled(crop: NDArray[np.float32], batch: Any) -> NDArray[np.float32]:
    """The crop as a batch of the model's fixed size; one where the size is free."""
    return np.repeat(crop[None], batch if isinstance(batch, int) else 1, axis=0)
