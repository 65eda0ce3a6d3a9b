"""What Google's compiler maps to the Edge TPU (Coral).

From the table "Supported operations" of the Coral documentation, for compiler 16 and runtime 14, the last released. The
compiler is closed: the table is all there is.
"""

from __future__ import annotations

from edgehr.runtimes.tflite.graph import Operator
from edgehr.runtimes.tflite.rules import (
    OperatorList,
    activation,
    at,
    axes,
    data_types,
    option,
    outputs,
    plain,
    present,
    static,
    table,
)

MOST_SOFTMAX = 16_000
_WEIGHTS = (static(1, "filter"), static(2, "bias"))


def _fixed_sizes(operator: Operator) -> str:
    dynamic = [tensor for tensor in present(operator) if -1 in tensor.shape]
    return f"its sizes are dynamic ({plain(dynamic[0])})" if dynamic else ""


def _three_dimensions(operator: Operator) -> str:
    """Of more than three dimensions, only the three innermost may be above 1."""
    for tensor in present(operator):
        if not tensor.static and any(size != 1 for size in tensor.shape[:-3]):
            return f"it has data of {plain(tensor)}: 1 in front of the last three dimensions only"
    return ""


def _one_dilation(operator: Operator) -> str:
    height, width = (operator.options.get(f"dilation_{side}", 1) for side in "hw")
    return f"its dilation is {height} by {width}: the same in both directions only" if height != width else ""


def _zero_concatenation(operator: Operator) -> str:
    """One of two inputs may be a constant of zeros; whether they are zeros is not looked at here."""
    constant = any(tensor is not None and tensor.static for tensor in operator.inputs)
    return "it joins a constant with more than one tensor" if constant and len(operator.inputs) > 2 else ""


def _vector_result(operator: Operator) -> str:
    made = operator.outputs[0]
    return "" if made.elements == abs(made.shape[-1] if made.shape else 1) else f"it makes {plain(made)}: a vector only"


def _reduced(operator: Operator) -> str:
    chosen, data = axes(operator), at(operator, 0)
    if chosen is None or data is None:
        return "its axes must be constant"
    if 0 in chosen and len(data.shape) > 3:
        return "it reduces the batch"
    channels = data.shape[-1] if data.shape else 1
    if operator.name == "MEAN" and len(data.shape) - 1 in chosen and channels % 4:
        return f"it averages {channels} channels: a multiple of 4 only"
    return ""


def _no_batch_padding(operator: Operator) -> str:
    amounts = at(operator, 1)
    if amounts is None or amounts.values is None:
        return "its paddings must be constant"
    return "it pads the batch" if amounts.shape[0] > 3 and any(amounts.values[:2]) else ""


def _no_batch_axis(operator: Operator) -> str:
    """SPLIT has its axis as its first input, PACK as an option that counts in the output."""
    chosen, shape = operator.options.get("axis", 0), operator.outputs[0].shape
    if operator.name == "SPLIT":
        axis = at(operator, 0)
        chosen = axis.values[0] if axis is not None and axis.values else 0
    return "it works along the batch" if len(shape) > 3 and chosen in (0, -len(shape)) else ""


def _short_vector(operator: Operator) -> str:
    made = operator.outputs[0]
    if made.elements > MOST_SOFTMAX:
        return f"it has {made.elements} elements: at most {MOST_SOFTMAX}"
    return _vector_result(operator)


def _leading_ones(operator: Operator) -> str:
    """Sizes of 1 are dropped from the front only, so that nothing has to move."""
    data, made = at(operator, 0), operator.outputs[0]
    if data is None:
        return ""
    front = data.shape[: len(data.shape) - len(made.shape)]
    moves = any(size != 1 for size in front) or data.shape[len(front) :] != made.shape
    return f"it drops sizes of {plain(data)} that are not at the front" if moves else ""


def _unit_steps(operator: Operator) -> str:
    steps = at(operator, 3)
    return "" if steps is not None and steps.values and set(steps.values) == {1} else "its steps are not all 1"


def _vector_slope(operator: Operator) -> str:
    slope = at(operator, 1)
    inner = slope is not None and all(size == 1 for size in slope.shape[:-1])
    return "" if inner else "its slope differs by position: one for each channel only"


_OPERATORS = table(
    ("ADD LOGISTIC MAXIMUM MINIMUM MUL RELU RELU6 RELU_N1_TO_1 RSQRT SUB SQUARED_DIFFERENCE TANH", ()),
    ("AVERAGE_POOL_2D MAX_POOL_2D", (activation(),)),
    ("CONCATENATION", (activation(), _zero_concatenation)),
    ("CONV_2D DEPTHWISE_CONV_2D", (*_WEIGHTS, _one_dilation)),
    ("EXPAND_DIMS L2_NORMALIZATION QUANTIZE RESHAPE SLICE SPACE_TO_DEPTH TRANSPOSE", ()),
    ("FULLY_CONNECTED", (*_WEIGHTS, option("weights_format", 0), _vector_result)),
    ("MEAN REDUCE_MAX REDUCE_MIN SUM", (_reduced,)),
    ("PACK SPLIT", (_no_batch_axis,)),
    ("PAD", (_no_batch_padding,)),
    ("PRELU", (_vector_slope,)),
    ("RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR", ()),
    ("SOFTMAX", (outputs(1, 1), _short_vector)),
    ("SQUEEZE", (_leading_ones,)),
    ("STRIDED_SLICE", (_unit_steps, option("ellipsis_mask", 0), option("new_axis_mask", 0))),
    ("TRANSPOSE_CONV", (static(0, "output size"), static(1, "filter"), static(3, "bias"))),
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", ()),
)

EDGETPU = OperatorList(
    source="https://coral.ai/docs/edgetpu/models-intro/#supported-operations",
    always=(data_types("int8", "uint8"), _fixed_sizes, _three_dimensions),
    operators=_OPERATORS,
    # Without its option --enable_multiple_subgraphs, the compiler stops at the first operator that it does not map.
    most_partitions=1,
    first=True,
    left_out="it runs after an operator that is not mapped: the compiler maps one part, the first",
    notes=(
        "the compiler may leave large RESHAPE, RESIZE_* and TRANSPOSE on the CPU, by rules that are not published",
        "a compiler knows the operator versions of its time: 14.1 refused a later RESIZE_NEAREST_NEIGHBOR",
        "QUANTIZE and DEQUANTIZE of float input and output run on the CPU: convert with integer input and output",
    ),
)
