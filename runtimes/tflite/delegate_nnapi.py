"""What the NNAPI delegate takes (Android's Neural Networks API).

From `NNAPIDelegateKernel::Validate` in `tflite/delegates/nnapi/nnapi_delegate.cc` of LiteRT, as it answers on
Android 11 (API level 30, NNAPI 1.3), the first with signed 8-bit data; later levels add BATCH_MATMUL, MIRROR_PAD and
REVERSE_V2.

That function checks the number of dimensions for most operators; for others, TRANSPOSE among them, it leaves the limit
of four in the reference of the API (`NeuralNetworks.h`) to the driver. Here it is checked for all.
"""

from __future__ import annotations

from edgehr.runtimes.tflite.graph import Operator
from edgehr.runtimes.tflite.rules import (
    OperatorList,
    activation,
    at,
    input_rank,
    input_type,
    inputs,
    max_rank,
    output_type,
    static,
    table,
    version,
)

MOST_POOLED = 256
_FLOAT = input_type(0, "float32")
_QUANT8 = ("uint8", "int8")
_FLOAT_8 = input_type(0, "float32", *_QUANT8)
_FLOAT_8_INT = input_type(0, "float32", *_QUANT8, "int32")
_SHAPE = static(1, "shape")


def _integers_unfused(operator: Operator) -> str:
    data = at(operator, 0)
    return activation()(operator) if data is not None and data.dtype == "int32" else ""


def _filter_fits(operator: Operator) -> str:
    """Float data go with float weights: only CONV_2D and FULLY_CONNECTED have quantized weights unpacked for them."""
    data, weights = at(operator, 0), at(operator, 1)
    if data is None or weights is None or data.dtype != "float32" or weights.dtype == "float32":
        return ""
    return f"it mixes float32 data with {weights.dtype} weights"


def _small_window(operator: Operator) -> str:
    data, sizes = at(operator, 0), [operator.options.get(f"filter_{side}") for side in ("height", "width")]
    height, width = (size if isinstance(size, int) else 0 for size in sizes)
    large = data is not None and data.dtype in _QUANT8 and height * width > MOST_POOLED
    return f"it pools {height}x{width} elements of 8 bits: at most {MOST_POOLED}" if large else ""


def _dequantized(operator: Operator) -> str:
    data = at(operator, 0)
    if data is not None and data.dtype == "float16":
        return ""
    return version(2)(operator) or input_type(0, *_QUANT8)(operator)


def _not_scalar(operator: Operator) -> str:
    return "" if operator.outputs[0].shape else "its result is a scalar"


def _not_last_axis(operator: Operator) -> str:
    axis, data = operator.options.get("axis", 0), at(operator, 0)
    last = len(data.shape) if data is not None else 0
    return "its axis is the last one" if axis in (-1, last if operator.name == "PACK" else last - 1) else ""


def _no_crops(operator: Operator) -> str:
    crops = at(operator, 2)
    return "" if crops is not None and crops.values and not any(crops.values) else "it crops"


_ARITHMETIC = (_FLOAT_8_INT, _integers_unfused)
_OPERATORS = table(
    ("ADD MUL", (version(2), *_ARITHMETIC)),
    ("SUB", (version(3), *_ARITHMETIC)),
    ("SQUARED_DIFFERENCE", (version(2), _FLOAT_8_INT)),
    ("DIV ABS EXP LOG POW COS SIN SQRT ELU LOG_SOFTMAX", (version(1), _FLOAT)),
    ("RSQRT", (version(2), _FLOAT)),
    ("NEG", (version(2), input_type(0, "float32", "int32"))),
    ("FLOOR", (version(1),)),
    ("MAXIMUM MINIMUM", (version(3), _FLOAT_8_INT)),
    ("ARG_MAX ARG_MIN", (version(2), input_type(0, "float16", "float32", *_QUANT8, "int32"), output_type("int32"))),
    ("AVERAGE_POOL_2D", (version(2), _FLOAT_8, _small_window)),
    ("MAX_POOL_2D", (version(2), _FLOAT_8)),
    ("L2_POOL_2D", (version(1), _FLOAT)),
    ("CONV_2D", (version(5), inputs(3, 3))),
    ("DEPTHWISE_CONV_2D", (version(3), _filter_fits)),
    ("FULLY_CONNECTED", (version(5), output_type("float32", *_QUANT8))),
    ("TRANSPOSE_CONV", (version(4), static(0, "output size"), static(1, "filter"))),
    ("HARD_SWISH", (_FLOAT_8,)),
    ("LOGISTIC RELU RELU6 RELU_N1_TO_1 TANH", (version(2), _FLOAT_8)),
    ("LEAKY_RELU PRELU", (version(1), _FLOAT_8)),
    ("SOFTMAX", (version(2), _FLOAT_8, output_type("float32", *_QUANT8))),
    ("RESHAPE", (version(1), _FLOAT_8, _SHAPE)),
    ("RESIZE_BILINEAR", (version(3), input_rank(0, 4), _FLOAT_8, static(1, "size"))),
    ("RESIZE_NEAREST_NEIGHBOR", (version(3), _FLOAT_8, static(1, "size"))),
    ("SQUEEZE", (version(1),)),
    ("L2_NORMALIZATION", (version(2), activation())),
    ("LOCAL_RESPONSE_NORMALIZATION", (version(1),)),
    ("CONCATENATION", (version(2), activation(), input_type(0, "float16", "float32", *_QUANT8))),
    ("DEQUANTIZE", (_dequantized,)),
    ("QUANTIZE", (version(2), _FLOAT_8, output_type(*_QUANT8))),
    ("DENSIFY", (static(0, "input"),)),
    ("PAD PADV2", (version(2), _FLOAT_8, inputs(2, 3))),
    ("SPACE_TO_BATCH_ND", (version(2),)),
    ("BATCH_TO_SPACE_ND", (version(2), _no_crops)),
    ("STRIDED_SLICE", (version(2), _FLOAT_8)),
    ("SLICE", (version(2), _FLOAT_8_INT, input_type(1, "int32"), input_type(2, "int32"))),
    ("TRANSPOSE", (version(2), static(1, "permutation"))),
    ("SPACE_TO_DEPTH DEPTH_TO_SPACE", (version(2), _FLOAT_8)),
    ("MEAN", (version(2), _FLOAT_8, _not_scalar)),
    ("REDUCE_MAX REDUCE_MIN", (version(2), _FLOAT_8)),
    ("REDUCE_PROD SUM", (version(1), _FLOAT, _not_scalar)),
    ("REDUCE_ANY", (version(2), _not_scalar)),
    ("CAST", (version(1), _FLOAT_8_INT, output_type("float32", *_QUANT8, "int32"))),
    ("TILE", (version(1), _FLOAT_8_INT, input_type(1, "int32"))),
    ("LOGICAL_AND LOGICAL_NOT LOGICAL_OR", (version(1), input_type(0, "bool"))),
    (
        "EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL",
        (version(2), input_type(0, "float32", *_QUANT8, "bool", "int32")),
    ),
    ("TOPK_V2", (version(2), _FLOAT_8_INT, static(1, "count"))),
    ("SELECT", (version(2), input_type(1, "float32", *_QUANT8, "int32"))),
    ("GATHER", (version(2), input_type(0, "float16", "float32", *_QUANT8, "int32"), input_type(1, "int32"))),
    ("EXPAND_DIMS", (version(1), input_type(0, "float16", "float32", *_QUANT8, "int32"), static(1, "axis"))),
    ("SPLIT", (version(3), input_type(1, "float32", *_QUANT8, "int32"), static(0, "axis"))),
    ("SPLIT_V", (version(2), _FLOAT_8_INT, static(1, "sizes"), static(2, "axis"))),
    ("PACK", (version(2), input_type(0, "float32", "int8"), _not_last_axis)),
    ("UNPACK", (version(2), _FLOAT_8, input_rank(0, 2, 3, 4), _not_last_axis)),
    ("FILL", (version(1), static(0, "shape"), input_type(1, "float32", "int32", "int64"))),
    ("EMBEDDING_LOOKUP", (version(1), input_type(1, "float32"))),
)

NNAPI = OperatorList(
    source="https://github.com/google-ai-edge/LiteRT/blob/main/tflite/delegates/nnapi/nnapi_delegate.cc",
    always=(max_rank(4),),
    operators=_OPERATORS,
    most_partitions=3,  # `max_number_delegated_partitions` of StatefulNnApiDelegate::Options
    left_out="it is in a smaller part of the graph: the delegate takes the three largest "
    "(max_number_delegated_partitions is 3)",
    notes=(
        "NNAPI is deprecated since Android 15",
        "as on Android 11 (API level 30); what a phone's driver runs on its accelerator differs by phone",
    ),
)
