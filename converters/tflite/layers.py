"""Operators with weights as TFLite has them: convolutions, fully connected layers, products of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgehr.calib.quantizer.graph.onnx_graph import Operator, is_depthwise
from edgehr.converters.tflite.builder import QuantizationParameters
from edgehr.converters.tflite.tensors import Tensors, channels_last, unwritable
from edgehr.errors import EdgehrError

_SAME, _VALID = schema.Padding.SAME, schema.Padding.VALID
NHWC = channels_last(4)
CHANNELS = 3  # axis of them, channels last


def write_convolution(tensors: Tensors, operator: Operator) -> None:
    """Write a Conv of two spatial dimensions as CONV_2D or DEPTHWISE_CONV_2D."""
    attributes, weight = operator.attributes, tensors.graph.weight(operator)
    if weight.ndim != 4:
        raise EdgehrError(f"{operator.name}: a convolution of {weight.ndim - 2} dimensions cannot be written as TFLite")
    depthwise = is_depthwise(weight) and attributes.get("group", 1) > 1
    (source,) = tensors.data(operator, NHWC)
    options: Any = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    options.strideH, options.strideW = attributes.get("strides", [1, 1])
    options.dilationHFactor, options.dilationWFactor = dilations = attributes.get("dilations", [1, 1])
    if depthwise:
        options.depthMultiplier = len(weight) // attributes["group"]
    span = [dilation * (size - 1) + 1 for dilation, size in zip(dilations, weight.shape[2:], strict=True)]
    options.padding, source = pad(tensors, operator, source, span)
    kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    inputs = [source, *_weight_and_bias(tensors, operator, depthwise=depthwise)]
    tensors.add(kind, inputs, operator, NHWC, options)


def pad(tensors: Tensors, operator: Operator, source: int, span: list[int], kind: str = "PAD") -> tuple[int, int]:
    """Choose how TFLite is to pad.

    With strides its own padding is not the same on both sides, unlike PyTorch's.

    Args:
        tensors: The file.
        operator: A convolution or a pool.
        source: What it takes.
        span: Rows and columns that one result is computed from.
        kind: ``PAD``, or ``PADV2`` for the least number in place of zeros.

    Returns:
        SAME or VALID, and what the operator takes then.
    """
    top, left, bottom, right = amounts = _pads(operator)
    if not any(amounts):
        return _VALID, source
    whole = (top, left) == (bottom, right) and [2 * top + 1, 2 * left + 1] == span
    if whole and operator.attributes.get("strides", [1, 1]) == [1, 1]:
        return _SAME, source
    batch, height, width, channels = tensors.shape(operator.inputs[0], NHWC)
    shape, builder = (batch, height + top + bottom, width + left + right, channels), tensors.builder
    if tensors.is_integer(operator):
        padded = builder.tensor(shape, np.int8, tensors.quantization(operator.inputs[0]))
    else:
        padded = builder.tensor(shape, np.float32)
    inputs = [source, builder.integers([[0, 0], [top, bottom], [left, right], [0, 0]])]
    options: Any = schema.PadOptionsT()
    if kind == "PADV2":
        inputs, options = [*inputs, builder.number(float(np.finfo(np.float32).min))], schema.PadV2OptionsT()
    builder.add(kind, inputs, [padded], options)
    return _VALID, padded


def write_transposed_convolution(tensors: Tensors, operator: Operator) -> None:
    """Write a ConvTranspose that pads nothing as TRANSPOSE_CONV."""
    attributes, weight = operator.attributes, tensors.graph.weight(operator)
    plain = attributes.get("group", 1) == 1 and not any(attributes.get("output_padding", []))
    if weight.ndim != 4 or any(_pads(operator)) or not plain or attributes.get("dilations", [1, 1]) != [1, 1]:
        raise unwritable(operator, "that pads, is dilated or in groups")
    options = schema.TransposeConvOptionsT()
    options.strideH, options.strideW = attributes.get("strides", [1, 1])
    options.padding = _VALID
    made = tensors.shape(operator.outputs[0], NHWC)
    bias = np.zeros(weight.shape[1], np.float32)
    if len(operator.inputs) > 2 and operator.inputs[2]:
        bias = tensors.graph.constants[operator.inputs[2]]
    (source,) = tensors.data(operator, NHWC)
    filters = tensors.float_weight(weight.transpose(1, 2, 3, 0))
    inputs = [tensors.builder.integers(made), filters, source, tensors.builder.constant(bias)]
    tensors.add("TRANSPOSE_CONV", inputs, operator, NHWC, options)


def write_gemm(tensors: Tensors, operator: Operator) -> None:
    """Write a Gemm with constant weights as FULLY_CONNECTED."""
    attributes, constants = operator.attributes, tensors.graph.constants
    if attributes.get("transA", 0) or any(name and name not in constants for name in operator.inputs[1:]):
        raise EdgehrError(f"{operator.name}: a Gemm without constant weights cannot be written as TFLite")
    weight = constants[operator.inputs[1]] * np.float32(attributes.get("alpha", 1.0))
    weight = weight if attributes.get("transB", 0) else weight.T
    bias = np.zeros(len(weight), np.float32)
    if len(operator.inputs) > 2 and operator.inputs[2]:
        bias += constants[operator.inputs[2]].reshape(-1) * np.float32(attributes.get("beta", 1.0))
    _write_fully_connected(tensors, operator, weight, bias)


def write_matmul(tensors: Tensors, operator: Operator) -> None:
    """Write a MatMul as FULLY_CONNECTED where a matrix of weights is multiplied from the right, else BATCH_MATMUL."""
    constants = tensors.graph.constants
    first, second = operator.inputs
    if second in constants and constants[second].ndim == 2 and first not in constants:
        weight = constants[second].T
        _write_fully_connected(tensors, operator, weight, np.zeros(len(weight), np.float32))
        return
    inputs = [
        tensors.builder.constant(constants[name]) if name in constants else tensors.get(name, _in_order(tensors, name))
        for name in (first, second)
    ]
    made = _in_order(tensors, operator.outputs[0])
    tensors.add("BATCH_MATMUL", inputs, operator, made, schema.BatchMatMulOptionsT())


def _write_fully_connected(
    tensors: Tensors, operator: Operator, weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> None:
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = tensors.rank(operator.inputs[0]) > 2
    source = tensors.get(operator.inputs[0], _in_order(tensors, operator.inputs[0]))
    inputs = [source, tensors.weight(weight), tensors.builder.constant(bias)]
    tensors.add("FULLY_CONNECTED", inputs, operator, _in_order(tensors, operator.outputs[0]), options)


def _weight_and_bias(tensors: Tensors, operator: Operator, *, depthwise: bool) -> list[int]:
    builder, network = tensors.builder, tensors.network
    order, axis = ((1, 2, 3, 0), CHANNELS) if depthwise else ((0, 2, 3, 1), 0)
    if network is None:
        weight = tensors.weight(tensors.graph.weight(operator).transpose(order), axis)
        return [weight, builder.constant(tensors.graph.bias(operator))]
    layer = network.layers[operator.name]
    bias = layer.bias.numpy()
    if layer.scale is None:
        return [builder.constant(layer.weight.numpy().transpose(order)), builder.constant(bias)]
    scales, integer = layer.scale.numpy(), tensors.is_integer(operator)
    # With dynamic ranges, data are float and have no scale that a whole bias could be in.
    widen = not integer and operator.name not in network.placement.dynamic
    weight = tensors.integer_weight(layer.integers.transpose(order), scales, axis, widen=widen)
    if not integer:
        return [weight, builder.constant(bias)]
    scales = np.float32(tensors.quantization(operator.inputs[0]).scales[0]) * scales
    whole = np.clip(np.round(bias.astype(np.float64) / scales), -(2**31), 2**31 - 1).astype(np.int32)
    return [weight, builder.constant(whole, QuantizationParameters(tuple(scales.tolist())))]


def _pads(operator: Operator) -> list[int]:
    """Return rows and columns of padding: above, left, below, right."""
    mode = operator.attributes.get("auto_pad", b"NOTSET")
    if mode not in (b"NOTSET", b"VALID"):
        raise EdgehrError(f"{operator.name}: padding by {mode.decode()} cannot be written as TFLite")
    return list(operator.attributes.get("pads", [0, 0, 0, 0]))


def _in_order(tensors: Tensors, name: str) -> tuple[int, ...]:
    return tuple(range(tensors.rank(name)))
