"""INT8 coverage of TFLite models, by the types of their tensors."""

from __future__ import annotations

from pathlib import Path

from edgehr.converters.report.coverage import Coverage, Node
from edgehr.runtimes.tflite.graph import Operator, read_graph

_BYTES = ("int8", "uint8")
_VALUES = ("float32", "float16", "int16", *_BYTES)
_ENDS = ("QUANTIZE", "DEQUANTIZE", "DENSIFY", "CAST", "SHAPE")


def tflite_coverage(path: Path) -> Coverage:
    """Read a model; raises ArtifactError for a damaged one."""
    return Coverage(tuple(_node(operator) for operator in read_graph(path).operators if _is_counted(operator)))


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
