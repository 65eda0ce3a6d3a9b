"""The layers of TFLite models: which compute in INT8, by the types of their tensors, and what they return."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError
from edgehr.runtimes.coverage import Coverage, Node
from edgehr.runtimes.formats import Probe, fill_batch
from edgehr.runtimes.tflite.graph import Operator, read_graph
from edgehr.runtimes.tflite.library import import_library
from edgehr.runtimes.tflite.model import Entry

_BYTES = ("int8", "uint8")
_VALUES = ("float32", "float16", "int16", *_BYTES)
_ENDS = ("QUANTIZE", "DEQUANTIZE", "DENSIFY", "CAST", "SHAPE")


def read_coverage(path: Path) -> Coverage:
    """Read the coverage of a model; raises ArtifactError for a damaged one."""
    return Coverage(tuple(_node(operator) for operator in read_graph(path).operators if _is_counted(operator)))


def open_probe(path: Path, names: Iterable[str]) -> Probe:
    """Open a model in the interpreter without XNNPACK, which would not keep what is between its operators.

    Raises:
        EdgehrError: TFLite does not open it.
    """
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
        batch = fill_batch(crop, taken.shape[0])
        interpreter.set_tensor(taken.index, taken.quantization.quantize(batch) if taken.quantization else batch)
        interpreter.invoke()
        found = {name: (tensors[name].quantization, interpreter.get_tensor(tensors[name].index)) for name in wanted}
        return {name: scale.dequantize(array) if scale else array for name, (scale, array) in found.items()}

    return probe


def _is_counted(operator: Operator) -> bool:
    made = operator.outputs[0] if operator.outputs else None
    return operator.name not in _ENDS and made is not None and made.dtype in _VALUES


def _node(operator: Operator) -> Node:
    # Sizes, axes and biases are int32.
    taken = [tensor for tensor in operator.inputs if tensor is not None and tensor.dtype in _VALUES]
    in_bytes = {tensor.dtype for tensor in (*taken, *operator.outputs)} <= set(_BYTES)
    # Kernels for float data and weights of 8 bits round the data themselves. Weights that are widened are float here.
    data = {tensor.dtype for tensor in taken if not tensor.static}
    weights = {tensor.dtype for tensor in taken if tensor.constant}
    dynamic = bool(operator.macs) and data == {"float32"} and bool(weights & set(_BYTES))
    name = f"{operator.name}, dynamic ranges" if dynamic else operator.name
    return Node(operator.outputs[0].name, name, operator.macs, in_bytes or dynamic)
