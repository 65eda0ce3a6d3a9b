"""What XNNPACK takes on the CPU; the rest falls back to TFLite's own, slower kernels.

From `tflite/delegates/xnnpack/README.md` of LiteRT and, where the code (`xnnpack_delegate.cc` beside it) takes more or
less than the README says, from the code:

* BATCH_MATMUL, COS, EXP, GELU, LOG, REDUCE_MAX, REDUCE_MIN, RSQRT, SIN and SUM are taken, and CONCATENATION of five;
* MEAN is taken along any axes; the README has height and width, or width, of 4 dimensions only;
* CONV_2D and FULLY_CONNECTED of float data take int8 weights; the README says that such models are not supported;
* quantized operators are on in what LiteRT publishes; the README calls them off by default.

Compared with what the library itself takes, LiteRT 2.3, operator by operator.
"""

from __future__ import annotations

from edgehr.runtimes.tflite.graph import Operator, Tensor
from edgehr.runtimes.tflite.rules import (
    Condition,
    OperatorList,
    activation,
    at,
    block_size,
    data_types,
    given,
    input_rank,
    input_type,
    inputs,
    max_rank,
    option,
    output_type,
    outputs,
    same_quantization,
    static,
    table,
)

MAX_DIMENSIONS = 6  # XNN_MAX_TENSOR_DIMS
_BITS_8 = ("int8", "uint8")
_UNLIKE = "the scales of its input and output differ too much"
_FLOAT = data_types("float32")
_FLOAT_8 = data_types("float32", *_BITS_8)
_ACTIVATION = activation("RELU", "RELU_N1_TO_1", "RELU6")
# Data and weights: float data are quantized while the model runs, for weights of 8 or 4 bits.
_DYNAMIC = ("float32", "int8")
_NIBBLES = (("float32", "int4"), ("int8", "int4"))


def _per_tensor(operator: Operator) -> str:
    for tensor in (operator.inputs[0] if operator.inputs else None, *operator.outputs):
        if tensor is not None and not tensor.static and tensor.dtype in _BITS_8 and tensor.scales != 1:
            return "its data are integers without one scale for the whole tensor"
    return ""


def _weights(*mixed: tuple[str, str]) -> Condition:
    """Require that data and weights, the first two inputs, are of the same type or of one of these pairs."""

    def check(operator: Operator) -> str:
        first, second = at(operator, 0), at(operator, 1)
        if first is None or second is None or first.dtype == second.dtype or (first.dtype, second.dtype) in mixed:
            return ""
        return f"it mixes {first.dtype} data with {second.dtype} weights"

    return check


def _same_types(operator: Operator) -> str:
    kinds = {tensor.dtype for tensor in (*operator.inputs, *operator.outputs) if tensor is not None}
    return f"it mixes {' and '.join(sorted(kinds))}" if len(kinds) > 1 else ""


def _ratio(least: float, below: float) -> Condition:
    """Require that each input's scale over the output's is within these, for operators of 8 bits."""

    def check(operator: Operator) -> str:
        made = operator.outputs[0]
        quantized = [tensor for tensor in operator.inputs if tensor is not None and _is_8_bit(tensor, made)]
        outside = any(not least <= tensor.scale / made.scale < below for tensor in quantized)
        return _UNLIKE if outside else ""

    return check


def _product_ratio(operator: Operator) -> str:
    first, second, made = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if first is None or second is None or not (_is_8_bit(first, made) and _is_8_bit(second, made)):
        return ""
    ratio = first.scale * second.scale / made.scale
    return "" if 2**-16 <= ratio < 256 else _UNLIKE


def _is_8_bit(tensor: Tensor, made: Tensor) -> bool:
    return tensor.dtype in _BITS_8 and tensor.dtype == made.dtype and made.scale > 0


def _requantized(operator: Operator) -> str:
    data, made = operator.inputs[0], operator.outputs[0]
    if data is None or data.dtype == "float32":
        return ""
    if data.dtype != made.dtype:
        return f"it requantizes {data.dtype} to {made.dtype}"
    return (
        "" if 2**-8 <= data.scale / (made.scale or 1) <= 2**7 else "the scales of its input and output differ too much"
    )


def _unpacked(operator: Operator) -> str:
    """Accept weights of float16, which are unpacked on loading, and of 8 bits with one scale."""
    data = operator.inputs[0]
    if data is None or (data.constant and data.dtype == "float16"):
        return ""
    return input_type(0, *_BITS_8)(operator) or output_type("float32")(operator)


def _stepping_pixels(operator: Operator) -> str:
    sizes = [operator.options.get(name, 1) for name in ("filter_height", "filter_width", "stride_h", "stride_w")]
    return "it pools single elements in steps" if sizes[:2] == [1, 1] and sizes[2:] != [1, 1] else ""


def _paddings(operator: Operator) -> str:
    amounts = at(operator, 1)
    negative = amounts is not None and amounts.values is not None and min(amounts.values, default=0) < 0
    return "it pads by a negative amount" if negative else ""


def _sizes(operator: Operator) -> str:
    sizes = at(operator, 2)
    open_end = sizes is not None and sizes.values is not None and min(sizes.values, default=1) < 1
    return "its size is not above 0" if open_end else ""


def _unit_steps(operator: Operator) -> str:
    steps = at(operator, 3)
    return "" if steps is not None and steps.values and set(steps.values) == {1} else "its steps are not all 1"


def _whole_blocks(operator: Operator) -> str:
    data, size = at(operator, 0), operator.options.get("block_size")
    if data is None or not isinstance(size, int) or size < 1 or len(data.shape) != 4:
        return "it is not of 4 dimensions"
    return (
        "" if data.shape[1] % size == data.shape[2] % size == 0 else "its height or width is no multiple of its block"
    )


def _same_unsigned(operator: Operator) -> str:
    made = operator.outputs[0]
    if made.dtype != "uint8":
        return ""
    wanted = (made.scale, made.zero_point)
    differs = any((tensor.scale, tensor.zero_point) != wanted for tensor in operator.inputs if tensor is not None)
    return "its inputs and output of uint8 are quantized differently" if differs else ""


_CONVOLUTION = (
    _FLOAT_8,
    given(2, "bias"),
    static(1, "filter"),
    static(2, "bias"),
    input_rank(0, 4),
    _ACTIVATION,
)
_MASKS = tuple(option(name, 0) for name in ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask"))
_FLOAT_ONLY = "ABS CEIL COS EXP FLOOR GELU HARD_SWISH LOG NEG RELU RELU6 RELU_N1_TO_1 ROUND RSQRT SIN SQRT SQUARE"
_OPERATORS = table(
    (_FLOAT_ONLY, (_FLOAT,)),
    ("ADD SUB", (inputs(2, 2), _FLOAT_8, _same_types, _ratio(2**-10, 2**8), _ACTIVATION)),
    ("MUL", (inputs(2, 2), _FLOAT_8, _same_types, _product_ratio, _ACTIVATION)),
    ("DIV", (inputs(2, 2), _FLOAT, _ACTIVATION)),
    ("MAXIMUM MINIMUM SQUARED_DIFFERENCE", (inputs(2, 2), _FLOAT)),
    ("PRELU", (inputs(2, 2), _FLOAT, static(1, "slope"))),
    ("AVERAGE_POOL_2D", (_FLOAT, _stepping_pixels, _ACTIVATION)),
    ("MAX_POOL_2D", (_FLOAT_8, _stepping_pixels, _ACTIVATION)),
    ("BATCH_MATMUL", (_FLOAT, _weights(_DYNAMIC))),
    ("CONCATENATION", (inputs(2, 5), _FLOAT_8, _same_unsigned)),
    ("CONV_2D", (*_CONVOLUTION, _weights(_DYNAMIC))),
    ("DEPTHWISE_CONV_2D", (*_CONVOLUTION, _weights())),
    ("DEPTH_TO_SPACE", (_FLOAT_8, block_size)),
    ("SPACE_TO_DEPTH", (_FLOAT_8, block_size, _whole_blocks)),
    ("DEQUANTIZE", (_unpacked,)),
    ("ELU", (data_types("float32", "int8"),)),
    ("FULLY_CONNECTED", (static(1, "filter"), static(2, "bias"), _FLOAT_8, _weights(_DYNAMIC, *_NIBBLES), _ACTIVATION)),
    ("LEAKY_RELU", (_FLOAT_8, _ratio(2**-8, 2**7))),
    ("LOGISTIC TANH", (_FLOAT_8,)),
    ("MEAN REDUCE_MAX REDUCE_MIN SUM", (static(1, "axes"), _FLOAT_8)),
    ("PAD", (inputs(2, 2), static(1, "paddings"), _FLOAT_8, _paddings)),
    ("QUANTIZE", (_FLOAT_8, output_type(*_BITS_8), _requantized)),
    ("RESHAPE", (static(1, "shape"), _FLOAT_8, same_quantization)),
    ("RESIZE_BILINEAR", (static(1, "size"), _FLOAT_8, input_rank(0, 4))),
    ("SLICE", (static(1, "begin"), static(2, "size"), _FLOAT_8, _sizes)),
    ("SOFTMAX", (_FLOAT, option("beta", 1.0))),
    ("SPLIT", (static(0, "axis"), _FLOAT_8, outputs(2, 4))),
    ("STRIDED_SLICE", (static(1, "begin"), static(2, "end"), _FLOAT_8, _unit_steps, *_MASKS)),
    ("TRANSPOSE", (static(1, "permutation"), _FLOAT_8)),
    ("TRANSPOSE_CONV", (static(0, "output size"), static(1, "filter"), static(3, "bias"), _FLOAT_8)),
)

XNNPACK = OperatorList(
    source="https://github.com/google-ai-edge/LiteRT/blob/main/tflite/delegates/xnnpack/README.md",
    always=(max_rank(MAX_DIMENSIONS), _per_tensor),
    operators=_OPERATORS,
)
