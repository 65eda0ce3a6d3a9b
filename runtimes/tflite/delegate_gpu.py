"""What the GPU delegate takes (Android and iOS: OpenCL, OpenGL ES, Metal).

From `tflite/tools/versioning/gpu_compatibility.cc` and `tflite/delegates/gpu/common/model_builder.cc` of LiteRT. The
README beside them lists 23 operators only: MEAN, SLICE, TRANSPOSE, RESIZE_NEAREST_NEIGHBOR and others are not on it,
and quantized models are not mentioned, but the code takes them, so the code is followed here.
"""

from __future__ import annotations

from edgehr.runtimes.tflite.graph import Operator, Tensor
from edgehr.runtimes.tflite.rules import (
    OperatorList,
    activation,
    at,
    axes,
    block_size,
    computed_inputs,
    data_types,
    input_rank,
    input_type,
    inputs,
    max_rank,
    option,
    outputs,
    plain,
    present,
    static,
    table,
    version,
)

# Quantized models run in floating point; that is on by default (TFLITE_GPU_EXPERIMENTAL_FLAGS_ENABLE_QUANT).
_DATA = data_types("float32", "float16", "int8", "uint8")
_ACTIVATION = activation("RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGMOID")
_ONE_COMPUTED = computed_inputs(1, 1)


def _quantized_per_tensor(operator: Operator) -> str:
    for tensor in present(operator):
        if not tensor.static and tensor.dtype in ("int8", "uint8") and tensor.scales != 1:
            return "its data are integers without one scale for the whole tensor"
    return ""


def _broadcast(operator: Operator) -> str:
    first, second = at(operator, 0), at(operator, 1)
    if first is None or second is None or len(first.shape) == len(second.shape):
        return ""
    longer, shorter = sorted((first, second), key=lambda tensor: len(tensor.shape), reverse=True)
    if len(shorter.shape) <= 1 or _spreads(longer, shorter):
        return ""
    return f"it spreads {plain(shorter)} over {plain(longer)}"


def _spreads(longer: Tensor, shorter: Tensor) -> bool:
    """Tell whether a tensor of 2 or 3 dimensions meets one of 4 in a way that the delegate knows."""
    if len(longer.shape) != 4:
        return False
    if len(shorter.shape) == 3:
        return longer.shape[0] == 1
    single = longer.shape[0] == 1 and shorter.shape == (1, 1)
    return single or shorter.shape == (longer.shape[0], longer.shape[3])


def _constant_batch(operator: Operator) -> str:
    """Refuse constant operands that are read as (height, width, channels): neither scalars nor vectors of channels."""
    for tensor in operator.inputs:
        if tensor is not None and tensor.static and len(tensor.shape) == 4 and tensor.shape[0] != 1:
            return f"its constant operand is a batch ({plain(tensor)})"
    return ""


def _constant_axes(operator: Operator) -> str:
    if axes(operator) is None:
        return "its axes must be constant"
    return input_type(1, "int32")(operator)


def _depth_multiplier(operator: Operator) -> str:
    data, made = at(operator, 0), operator.outputs[0]
    if data is None or len(data.shape) != 4 or len(made.shape) != 4:
        return "its input or output is not of 4 dimensions"
    multiplied = data.shape[3] != made.shape[3] and data.shape[3] != 1
    return "it makes several channels of each of several" if multiplied else ""


def _paddings(operator: Operator) -> str:
    amounts = at(operator, 1)
    if amounts is None or amounts.shape not in ((3, 2), (4, 2)):
        return "it pads a tensor that is not of 3 or 4 dimensions"
    return ""


def _aligned(operator: Operator) -> str:
    both = operator.options.get("align_corners") and operator.options.get("half_pixel_centers")
    return "it has both align_corners and half_pixel_centers" if both else ""


def _forward(operator: Operator) -> str:
    steps = at(operator, 3)
    backwards = steps is not None and steps.values is not None and min(steps.values, default=1) < 1
    return "it steps backwards" if backwards else ""


def _cast(operator: Operator) -> str:
    source, made = operator.inputs[0], operator.outputs[0]
    if source is None:
        return "it has no input"
    floats = ("float16", "float32")
    pairs = (
        (source.dtype == "bool" and made.dtype in floats)
        or (source.dtype in floats and made.dtype == "bool")
        or (source.dtype in ("float32", "int32") and made.dtype in ("float32", "int32"))
    )
    return "" if pairs else f"it casts {source.dtype} to {made.dtype}"


_MASKS = tuple(option(name, 0) for name in ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask"))
_NO_FLOATS_NEEDED = table(
    ("CAST", (computed_inputs(1, 1), _cast)),
    ("GATHER", (version(1), input_rank(1, 1), input_type(1, "int32"))),
)
_REDUCTIONS = "MEAN SUM REDUCE_MAX REDUCE_MIN REDUCE_PROD"
_ONE = "ABS COS ELU EXP FLOOR GELU LOG LOGISTIC NEG RSQRT SIGN SIN SQRT SQUARE TANH"
_TWO = "DIV FLOOR_DIV FLOOR_MOD MAXIMUM MINIMUM POW SQUARED_DIFFERENCE SUB"
_OPERATORS = table(
    (_ONE, (_DATA, version(2), inputs(1, 1))),
    (_TWO, (_DATA, version(2), inputs(2, 2), computed_inputs(1, 2), _ACTIVATION, _constant_batch)),
    ("ADD ADD_N", (_DATA, version(2), inputs(2, 2), _broadcast, _constant_batch)),
    ("MUL", (_DATA, version(3), inputs(2, 2), _broadcast, _ACTIVATION, _constant_batch)),
    (_REDUCTIONS, (_constant_axes, _ONE_COMPUTED, _DATA)),
    ("AVERAGE_POOL_2D MAX_POOL_2D", (version(2), _ONE_COMPUTED, _DATA, outputs(1, 1), _ACTIVATION)),
    ("BATCH_MATMUL", (_DATA, inputs(2, 2))),
    ("CONCATENATION", (_DATA, version(2))),
    ("CONV_2D", (_DATA, version(6), computed_inputs(1, 2), _ACTIVATION)),
    ("CUMSUM", (data_types("float32", "float16"), _constant_axes)),
    ("DENSIFY", ()),
    ("DEPTHWISE_CONV_2D", (_DATA, version(6), computed_inputs(1, 2), _ACTIVATION, _depth_multiplier)),
    ("DEPTH_TO_SPACE", (_ONE_COMPUTED, _DATA, block_size)),
    ("DEQUANTIZE", (_DATA, version(3), input_type(0, "float16", "int8", "uint8"))),
    ("FULLY_CONNECTED", (_DATA, version(9), computed_inputs(1, 2), option("weights_format", 0))),
    ("HARD_SWISH", (_ONE_COMPUTED, _DATA)),
    ("LEAKY_RELU RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1", (_DATA, version(2))),
    ("MIRROR_PAD", (version(2), _ONE_COMPUTED, _DATA, _paddings, option("mode", "REFLECT"))),
    ("PACK SPLIT SPLIT_V TILE UNPACK", (_DATA,)),
    ("PAD PADV2", (version(2), _ONE_COMPUTED, _DATA, _paddings)),
    ("PRELU", (_DATA, version(1), static(1, "slope"))),
    ("QUANTIZE", (version(2), _ONE_COMPUTED, _DATA)),
    ("RESHAPE", (version(1), _ONE_COMPUTED, _DATA)),
    ("RESIZE_BILINEAR", (version(3), _ONE_COMPUTED, _DATA, _aligned)),
    ("RESIZE_NEAREST_NEIGHBOR", (version(3), _ONE_COMPUTED, _DATA)),
    ("SLICE", (version(2), inputs(3, 3), static(1, "begin"), static(2, "size"), _DATA, input_rank(0, 3, 4))),
    ("SOFTMAX", (_DATA, version(2), option("beta", 1.0))),
    ("SPACE_TO_DEPTH", (version(2), _ONE_COMPUTED, _DATA, block_size)),
    ("STRIDED_SLICE", (version(4), inputs(4, 4), _ONE_COMPUTED, _DATA, input_rank(0, 3, 4), *_MASKS, _forward)),
    ("TRANSPOSE", (version(4), static(1, "permutation"), _ONE_COMPUTED, _DATA, input_rank(0, 2, 3, 4))),
    ("TRANSPOSE_CONV", (_DATA, version(3), computed_inputs(1, 2))),
)

GPU = OperatorList(
    source="https://github.com/google-ai-edge/LiteRT/blob/main/tflite/tools/versioning/gpu_compatibility.cc",
    always=(max_rank(4), _quantized_per_tensor),
    operators=_OPERATORS | _NO_FLOATS_NEEDED,
    max_partitions=1,  # `max_delegated_partitions` of TfLiteGpuDelegateOptionsV2
    left_out="it is in a smaller part of the graph: the delegate takes the largest (max_delegated_partitions is 1)",
    notes=("comparisons and logical operators, which are taken in front of a CAST or SELECT only, count as refused",),
)
