"""Smaller OpenVINO IR of INT8 models: nothing is stored twice, and filters in float take two bytes a weight.

In float, the `.xml` hardly counts beside the weights. In INT8, with weights a quarter of the size and twice the
operators, as written by OpenVINO it is larger than they are. Of float32's size, the sample model in INT8 takes 0.505 as
it comes, 0.466 with shared constants, 0.454 with filters in two bytes, and 0.415 without indentation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from edgehr.runtimes.openvino.library import ov

MAX_SHARED_BYTES = 64  # bytes: constants up to here are compared, larger ones are weights
MIN_HALVED_BYTES = 600  # bytes: an operator that widens is half as long
FLOAT16_ROUNDING = 2**-11  # of float16, relative to a number


def compress_model(model: Any) -> None:
    """Store nothing twice: constants, the shapes of weights, tensor names; and filters in float in two bytes, in place.

    Args:
        model: An `openvino.Model`. Inputs, outputs and operators keep their names.
    """
    _shape_weights(model)
    _halve_float_filters(model)
    _share_constants(model)
    for op in model.get_ops():
        if op.get_type_name() in ("Parameter", "Result"):
            continue
        for output in op.outputs():
            if all(target.get_node().get_type_name() != "Result" for target in output.get_target_inputs()):
                output.get_tensor().set_names(set())


def strip_indentation(path: Path) -> None:
    """Take the white space between elements out of an `.xml`, a fifth of it."""
    tree = ElementTree.parse(path)  # noqa: S314 - OpenVINO has just written it
    for element in tree.iter():
        element.tail = None
        if not (element.text or "").strip():
            element.text = None
    tree.write(path, encoding="utf-8", xml_declaration=True)


def _share_constants(model: Any) -> None:
    known: dict[Any, Any] = {}
    for op in model.get_ordered_ops():
        if op.get_type_name() != "Constant" or op.get_byte_size() > MAX_SHARED_BYTES:
            continue
        key = (str(op.get_element_type()), tuple(op.get_output_shape(0)), op.data.tobytes())
        first = known.setdefault(key, op)
        if first is not op:
            op.output(0).replace(first.output(0))


def _shape_weights(model: Any) -> None:
    """Reshape the bytes of depthwise filters, in place of what they are dequantized to."""
    for op in model.get_ordered_ops():
        if op.get_type_name() != "Reshape":
            continue
        scaled = op.input_value(0).get_node()
        if scaled.get_type_name() != "Multiply":
            continue
        converted, scale = (scaled.input_value(place).get_node() for place in (0, 1))
        if converted.get_type_name() != "Convert" or scale.get_type_name() != "Constant":
            continue
        integers = converted.input_value(0).get_node()
        if integers.get_type_name() != "Constant":
            continue
        shape = tuple(op.get_output_shape(0))
        weights = ov.opset13.convert(ov.opset13.constant(integers.data.reshape(shape)), op.get_output_element_type(0))
        factors = ov.opset13.constant(scale.data.reshape(shape[0], *[1] * (len(shape) - 1)))
        op.output(0).replace(ov.opset13.multiply(weights, factors).output(0))


def _halve_float_filters(model: Any) -> None:
    """Store the filters of convolutions that stay in float as float16, read as float32.

    That costs 0.05 % of the largest weight of a row at most, where INT8 costs 0.4 %. Filters that float16 holds less
    well stay as they are: equalized channels make weights of more than 10,000.
    """
    for op in model.get_ordered_ops():
        if (
            op.get_type_name() != "Constant"
            or op.get_element_type() != ov.Type.f32
            or op.get_byte_size() < MIN_HALVED_BYTES
        ):
            continue
        readers = {target.get_node().get_type_name() for target in op.output(0).get_target_inputs()}
        if readers <= {"Convolution", "GroupConvolution"} and _fits_float16(op.data):
            half = ov.opset13.constant(op.data.astype(np.float16))
            op.output(0).replace(ov.opset13.convert(half, ov.Type.f32).output(0))


def _fits_float16(filters: NDArray[np.float32]) -> bool:
    """Tell whether no weight of a filter (out, ...) is rounded by more than float16 rounds the filter's largest."""
    rows = filters.reshape(len(filters), -1)
    with np.errstate(over="ignore"):
        errors = np.abs(rows.astype(np.float16).astype(np.float32) - rows)
    return bool((errors <= np.abs(rows).max(1, keepdims=True) * FLOAT16_ROUNDING).all())
