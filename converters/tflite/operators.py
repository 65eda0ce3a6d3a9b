"""Operators of ONNX as TFLite has them, in a table.

A new one is a function of the tensors and the operator, and a line in `WRITERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from onnx import helper

from edgehr.calib.quantizer.graph.onnx_graph import Operator
from edgehr.converters.tflite.data_movement import (
    write_concat,
    write_nothing,
    write_reshape,
    write_slice,
    write_split,
    write_transpose,
)
from edgehr.converters.tflite.layers import (
    NHWC,
    pad,
    write_convolution,
    write_gemm,
    write_matmul,
    write_transposed_convolution,
)
from edgehr.converters.tflite.tensors import Tensors, channels_last, clip_bounds, unwritable

_UNARY = {
    "Exp": "EXP",
    "HardSwish": "HARD_SWISH",
    "Relu": "RELU",
    "Sigmoid": "LOGISTIC",
    "Sqrt": "SQRT",
    "Tanh": "TANH",
}
_BINARY = {
    "Add": schema.AddOptionsT,
    "Div": schema.DivOptionsT,
    "Mul": schema.MulOptionsT,
    "Sub": schema.SubOptionsT,
}


def write_operator(tensors: Tensors, operator: Operator) -> None:
    """Add an operator of ONNX to a file.

    Raises:
        EdgehrError: TFLite has none that computes it, or none is known here.
    """
    write = WRITERS.get(operator.kind)
    if write is None:
        raise unwritable(operator)
    write(tensors, operator)


def _write_unary(tensors: Tensors, operator: Operator) -> None:
    options = schema.HardSwishOptionsT() if operator.kind == "HardSwish" else None
    layout = tensors.layouts[operator.inputs[0]]
    tensors.add(_UNARY[operator.kind], tensors.data(operator), operator, layout, options)


def _write_binary(tensors: Tensors, operator: Operator) -> None:
    layout = tensors.broadcast_layout(operator)
    inputs = [tensors.operand(name, layout) for name in operator.inputs]
    tensors.add(operator.kind.upper(), inputs, operator, layout, _BINARY[operator.kind]())


def _write_clip(tensors: Tensors, operator: Operator) -> None:
    bounds = clip_bounds(tensors.graph, operator)
    if bounds is None:
        raise unwritable(operator, "without constant bounds")
    layout, source = tensors.layouts[operator.inputs[0]], tensors.get(operator.inputs[0])
    known = {(0.0, 6.0): "RELU6", (0.0, np.inf): "RELU", (-1.0, 1.0): "RELU_N1_TO_1"}.get(bounds)
    if known:
        tensors.add(known, [source], operator, layout)
        return
    low, high = (tensors.builder.number(bound) for bound in bounds)
    shape, options = tensors.shape(operator.inputs[0], layout), schema.MaximumMinimumOptionsT()
    raised = tensors.intermediate("MAXIMUM", [source, low], shape, options)
    tensors.add("MINIMUM", [raised, high], operator, layout, options)


def _write_hard_sigmoid(tensors: Tensors, operator: Operator) -> None:
    """Write max(0, min(1, alpha x + beta)) as RELU6(6 alpha x + 6 beta) / 6."""
    alpha, beta = operator.attributes.get("alpha", 0.2), operator.attributes.get("beta", 0.5)
    layout, (data,) = tensors.layouts[operator.inputs[0]], tensors.data(operator)
    shape = tensors.shape(operator.inputs[0], layout)
    scale, offset, sixth = (tensors.builder.number(value) for value in (6 * alpha, 6 * beta, 1 / 6))
    if not np.isclose(6 * alpha, 1, rtol=1e-6):
        data = tensors.intermediate("MUL", [data, scale], shape, schema.MulOptionsT())
    options = schema.AddOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    data = tensors.intermediate("ADD", [data, offset], shape, options)
    tensors.add("MUL", [data, sixth], operator, layout, schema.MulOptionsT())


def _write_softmax(tensors: Tensors, operator: Operator) -> None:
    """Write a softmax, which TFLite has along the last dimension that is stored."""
    name = operator.inputs[0]
    axis = operator.attributes.get("axis", -1) % tensors.rank(name)
    layout = (*(other for other in tensors.layouts[name] if other != axis), axis)
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    tensors.add("SOFTMAX", [tensors.get(name, layout)], operator, layout, options)


def _write_mean(tensors: Tensors, operator: Operator) -> None:
    name = operator.inputs[0]
    rank, layout = tensors.rank(name), tensors.layouts[name]
    pooled = (
        list(range(2, rank)) if operator.kind == "GlobalAveragePool" else tensors.constant_values(operator, 1, "axes")
    )
    axes = [axis % rank for axis in (range(rank) if pooled is None else pooled)]
    options = schema.ReducerOptionsT()
    options.keepDims = bool(operator.attributes.get("keepdims", 1))
    made = layout
    if not options.keepDims:
        left = [axis for axis in range(rank) if axis not in axes]
        made = tuple(left.index(axis) for axis in layout if axis in left)
    places = tensors.builder.integers(sorted(layout.index(axis) for axis in axes))
    tensors.add("MEAN", [*tensors.data(operator), places], operator, made, options)


def _write_pool(tensors: Tensors, operator: Operator) -> None:
    attributes, largest = operator.attributes, operator.kind == "MaxPool"
    if attributes.get("ceil_mode", 0) or attributes.get("dilations", [1, 1]) != [1, 1]:
        raise unwritable(operator, "that rounds sizes up or is dilated")
    if not largest and any(attributes.get("pads", [])) and not attributes.get("count_include_pad", 0):
        raise unwritable(operator, "that leaves its padding out of averages")
    (source,) = tensors.data(operator, NHWC)
    kernel = list(attributes["kernel_shape"])
    if largest:  # SAME leaves what is padded out; behind a ReLU, zeros change nothing either, and XNNPACK takes those
        maker = tensors.graph.producer.get(operator.inputs[0])
        kind, span = "PAD" if maker is not None and maker.kind in ("Relu", "Sigmoid") else "PADV2", kernel
    else:
        kind, span = "PAD", []  # SAME would leave them out of averages
    options = schema.Pool2DOptionsT()
    options.padding, source = pad(tensors, operator, source, span, kind)
    options.filterHeight, options.filterWidth = kernel
    options.strideH, options.strideW = attributes.get("strides", [1, 1])
    tensors.add("MAX_POOL_2D" if largest else "AVERAGE_POOL_2D", [source], operator, NHWC, options)


def _write_resize(tensors: Tensors, operator: Operator) -> None:
    name, made = operator.inputs[0], operator.outputs[0]
    mode = operator.attributes.get("mode", b"nearest")
    how = operator.attributes.get("coordinate_transformation_mode", b"half_pixel")
    before, after = tensors.shape(name), tensors.shape(made)
    # By a whole factor, every way of rounding to the nearest is the same.
    whole = all(size % old == 0 for size, old in zip(after[2:], before[2:], strict=True))
    inputs = [*tensors.data(operator, NHWC), tensors.builder.integers(after[2:])]
    if before[:2] == after[:2] and mode == b"nearest" and whole:
        options: Any = schema.ResizeNearestNeighborOptionsT()
        tensors.add("RESIZE_NEAREST_NEIGHBOR", inputs, operator, NHWC, options)
    elif before[:2] == after[:2] and mode == b"linear" and how != b"tf_crop_and_resize":
        options = schema.ResizeBilinearOptionsT()
        options.alignCorners = how == b"align_corners"
        options.halfPixelCenters = how in (b"half_pixel", b"pytorch_half_pixel")
        tensors.add("RESIZE_BILINEAR", inputs, operator, NHWC, options)
    else:
        raise unwritable(operator, f"by {mode.decode()}, {how.decode()}")


def _write_arg_max(tensors: Tensors, operator: Operator) -> None:
    name, result = operator.inputs[0], operator.outputs[0]
    rank, layout = tensors.rank(name), channels_last(tensors.rank(name))
    axis = operator.attributes.get("axis", 0) % rank
    if operator.attributes.get("keepdims", 1) or operator.attributes.get("select_last_index", 0):
        raise unwritable(operator, "that keeps its dimension or takes the last of equals")
    options = schema.ArgMaxOptionsT()
    options.outputType = schema.TensorType.INT32
    left = [other for other in range(rank) if other != axis]
    made = tuple(left.index(other) for other in layout if other != axis)
    labels = tensors.store(result, made, np.int32)
    place = tensors.builder.integers([layout.index(axis)])
    tensors.builder.add("ARG_MAX", [tensors.get(name, layout), place], [labels], options)


def _write_cast(tensors: Tensors, operator: Operator) -> None:
    kind = helper.tensor_dtype_to_np_dtype(operator.attributes["to"])
    layout, (source,) = tensors.layouts[operator.inputs[0]], tensors.data(operator)
    tensors.builder.add(
        "CAST", [source], [tensors.store(operator.outputs[0], layout, kind.type)], schema.CastOptionsT()
    )


def _write_instance_norm(tensors: Tensors, operator: Operator) -> None:
    """Write (x - mean) / sqrt(variance + epsilon) * scale + bias, each channel by itself."""
    name, scale, bias = operator.inputs
    rank, layout = tensors.rank(name), tensors.layouts[name]
    shape, data, builder = tensors.shape(name, layout), tensors.get(name), tensors.builder
    axes = [layout.index(axis) for axis in range(2, rank)]
    reduced = [1 if axis in axes else size for axis, size in enumerate(shape)]
    keep = schema.ReducerOptionsT()
    keep.keepDims = True
    mean = tensors.intermediate("MEAN", [data, builder.integers(sorted(axes))], reduced, keep)
    centered = tensors.intermediate("SUB", [data, mean], shape, schema.SubOptionsT())
    squared = tensors.intermediate("MUL", [centered, centered], shape, schema.MulOptionsT())
    variance = tensors.intermediate("MEAN", [squared, builder.integers(sorted(axes))], reduced, keep)
    epsilon = builder.number(operator.attributes.get("epsilon", 1e-5))
    safe = tensors.intermediate("ADD", [variance, epsilon], reduced, schema.AddOptionsT())
    inverse = tensors.intermediate("RSQRT", [safe], reduced)
    column = [-1 if axis == 1 else 1 for axis in layout]
    gain, offset = (builder.constant(tensors.graph.constants[key].reshape(column)) for key in (scale, bias))
    gain = tensors.intermediate("MUL", [inverse, gain], reduced, schema.MulOptionsT())
    scaled = tensors.intermediate("MUL", [centered, gain], shape, schema.MulOptionsT())
    tensors.add("ADD", [scaled, offset], operator, layout, schema.AddOptionsT())


WRITERS: dict[str, Callable[[Tensors, Operator], None]] = {
    **dict.fromkeys(_UNARY, _write_unary),
    **dict.fromkeys(_BINARY, _write_binary),
    "ArgMax": _write_arg_max,
    "AveragePool": _write_pool,
    "Cast": _write_cast,
    "Clip": _write_clip,
    "Concat": write_concat,
    "Conv": write_convolution,
    "ConvTranspose": write_transposed_convolution,
    "Dropout": write_nothing,
    "Flatten": write_reshape,
    "Gemm": write_gemm,
    "GlobalAveragePool": _write_mean,
    "HardSigmoid": _write_hard_sigmoid,
    "Identity": write_nothing,
    "InstanceNormalization": _write_instance_norm,
    "MatMul": write_matmul,
    "MaxPool": _write_pool,
    "ReduceMean": _write_mean,
    "Reshape": write_reshape,
    "Resize": _write_resize,
    "Slice": write_slice,
    "Softmax": _write_softmax,
    "Split": write_split,
    "Squeeze": write_reshape,
    "Transpose": write_transpose,
    "Unsqueeze": write_reshape,
}
