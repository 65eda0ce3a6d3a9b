"""OpenVINO IR without what is stored twice.

In float, the `.xml` hardly counts beside the weights. In INT8, with weights a quarter of the size and twice the
operators, as written by OpenVINO it is larger than they are.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openvino import Type
from openvino import opset13 as ops

SMALL = 64  # bytes: constants up to here are compared, larger ones are weights
WORTH_HALVING = 600  # bytes: an operator that widens is half as long
HALF_A_STEP = 2**-11  # of float16, relative to a number
_DIMENSION = re.compile(r"\s*<dim>[^<]*</dim>")
_BETWEEN = re.compile(r">\s+<")
_EMPTY = re.compile(r"></port>| />")
_INPUT = re.compile(r"<input>.*?</input>", re.DOTALL)
_PRECISION = re.compile(r' precision="\w+"')
# Of convolutions and resizing: what a missing attribute means, too.
_DEFAULT = re.compile(
    r' (?:auto_pad="explicit"|(?:strides|dilations)="1, 1"|pads_(?:begin|end)="0, 0(?:, 0, 0)?"|antialias="false"'
    r'|cube_coeff="-0\.75")'
)
_WINDOWED = re.compile(r'type="(?:(?:Group)?Convolution|Interpolate)".*?<data[^>]*>', re.DOTALL)
# Names that OpenVINO invents for what has none, in place of which the number of the layer will do.
_INVENTED = re.compile(r'(<layer id="(\d+)") name="(?:[A-Z]\w*_\d+|[^"]+/WithoutBiases)"')
_LIST = re.compile(r'"-?\d+(?:, -?\d+)+"')


def slim_model(model: Any) -> None:
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


def slim_xml(path: Path) -> None:
    """Take out of an `.xml` white space, defaults, invented names, and shapes and types that reading infers."""
    text = _DIMENSION.sub("", path.read_text(encoding="utf-8")).replace(' auto_broadcast="numpy"', "")
    text = _INPUT.sub(lambda match: _PRECISION.sub("", match[0]), text)
    text = _WINDOWED.sub(lambda match: _DEFAULT.sub("", match[0]), text)
    text = _LIST.sub(lambda match: match[0].replace(", ", ","), _INVENTED.sub(r'\1 name="\2"', text))
    text = _EMPTY.sub("/>", _BETWEEN.sub("><", text)).replace("<data/>", "")
    path.write_text(text, encoding="utf-8")


def _share_constants(model: Any) -> None:
    known: dict[Any, Any] = {}
    for op in model.get_ordered_ops():
        if op.get_type_name() != "Constant" or op.get_byte_size() > SMALL:
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
        weights = ops.convert(ops.constant(integers.data.reshape(shape)), op.get_output_element_type(0))
        factors = ops.constant(scale.data.reshape(shape[0], *[1] * (len(shape) - 1)))
        op.output(0).replace(ops.multiply(weights, factors).output(0))


def _halve_float_filters(model: Any) -> None:
    """Store the filters of convolutions that stay in float as float16, read as float32.

    That costs 0.05 % of the largest weight of a row at most, where INT8 costs 0.4 %. Filters that float16 holds less
    well stay as they are: equalized channels make weights of more than 10,000.
    """
    for op in model.get_ordered_ops():
        if op.get_type_name() != "Constant" or op.get_element_type() != Type.f32 or op.get_byte_size() < WORTH_HALVING:
            continue
        readers = {target.get_node().get_type_name() for target in op.output(0).get_target_inputs()}
        if readers <= {"Convolution", "GroupConvolution"} and _fits_float16(op.data):
            half = ops.constant(op.data.astype(np.float16))
            op.output(0).replace(ops.convert(half, Type.f32).output(0))


def _fits_float16(filters: NDArray[np.float32]) -> bool:
    """Whether no weight of a filter (out, ...) is rounded by more than float16 rounds the filter's largest."""
    rows = filters.reshape(len(filters), -1)
    with np.errstate(over="ignore"):
        errors = np.abs(rows.astype(np.float16).astype(np.float32) - rows)
    return bool((errors <= np.abs(rows).max(1, keepdims=True) * HALF_A_STEP).all())
