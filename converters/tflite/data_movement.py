"""Operators that move data or only give them another shape: many of them need none in TFLite."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgehr.calib.quantizer.graph.onnx_graph import Operator
from edgehr.converters.tflite.tensors import Layout, Tensors, channels_last, unwritable


def write_concat(tensors: Tensors, operator: Operator) -> None:
    """Write a Concat, in float or in INT8."""
    layout = tensors.layouts[tensors.graph.data(operator)[0]]
    options = schema.ConcatenationOptionsT()
    options.axis = layout.index(operator.attributes["axis"] % len(layout))
    if tensors.is_integer(operator):
        inputs = tensors.data(operator, layout)
    else:
        inputs = [tensors.operand(name, layout) for name in operator.inputs]
    tensors.add("CONCATENATION", inputs, operator, layout, options)


def write_slice(tensors: Tensors, operator: Operator) -> None:
    """Write a Slice with constant bounds as SLICE, or STRIDED_SLICE where it leaves something out."""
    layout, shape = tensors.layouts[operator.inputs[0]], tensors.shape(operator.inputs[0])
    starts, ends, axes, steps = (
        tensors.constant_values(operator, place, name)
        for place, name in enumerate(("starts", "ends", "axes", "steps"), 1)
    )
    if starts is None or ends is None:
        raise unwritable(operator, "without bounds")
    begin, strides = [0] * len(shape), [1] * len(shape)
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = axes[number] % len(shape) if axes else number
        begin[axis], _, strides[axis] = slice(start, end, steps[number] if steps else 1).indices(shape[axis])
    if any(stride < 1 for stride in strides):
        raise unwritable(operator, "that runs backwards")
    _cut(tensors, operator, operator.outputs[0], [begin[axis] for axis in layout], [strides[axis] for axis in layout])


def write_split(tensors: Tensors, operator: Operator) -> None:
    """Write a Split as one SLICE for each part."""
    layout = tensors.layouts[operator.inputs[0]]
    axis = operator.attributes.get("axis", 0) % len(layout)
    start = 0
    for name in operator.outputs:
        _cut(tensors, operator, name, [start if other == axis else 0 for other in layout], [1] * len(layout))
        start += tensors.shape(name)[axis]


def _cut(tensors: Tensors, operator: Operator, name: str, begin: list[int], strides: list[int]) -> None:
    layout, builder = tensors.layouts[operator.inputs[0]], tensors.builder
    size, (source,) = tensors.shape(name, layout), tensors.data(operator)
    kind, options, rest = "SLICE", schema.SliceOptionsT(), [builder.integers(begin), builder.integers(size)]
    if any(stride > 1 for stride in strides):
        ends = [first + stride * (count - 1) + 1 for first, stride, count in zip(begin, strides, size, strict=True)]
        kind, options = "STRIDED_SLICE", schema.StridedSliceOptionsT()
        rest = [builder.integers(values) for values in (begin, ends, strides)]
    tensors.add(kind, [source, *rest], operator, layout, options, name)


def write_transpose(tensors: Tensors, operator: Operator) -> None:
    """Read the same data in another order: whoever needs them in a certain one moves them."""
    (source,), layout = operator.inputs, tensors.layouts[operator.inputs[0]]
    order = list(operator.attributes.get("perm", reversed(range(len(layout)))))
    tensors.alias(operator.outputs[0], source, tuple(order.index(axis) for axis in layout))


def write_nothing(tensors: Tensors, operator: Operator) -> None:
    """Write what returns its input as no operator."""
    tensors.alias(operator.outputs[0], operator.inputs[0], tensors.layouts[operator.inputs[0]])


def write_reshape(tensors: Tensors, operator: Operator) -> None:
    """Write a change of shape as RESHAPE, without moving data where channels can stay last."""
    name, made = operator.inputs[0], operator.outputs[0]
    before, after, stored = tensors.shape(name), tensors.shape(made), tensors.layouts[name]
    choices = _reshape_layouts(before, after)
    fitting = [choice for choice in choices if choice[0] == stored]
    source, result = (fitting or choices)[0] if stored != choices[-1][0] else choices[-1]
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(tensors.shape(made, result), np.int32)
    inputs = [tensors.get(name, source), tensors.builder.integers(options.newShape)]
    tensors.add("RESHAPE", inputs, operator, result, options)


def _reshape_layouts(before: tuple[int, ...], after: tuple[int, ...]) -> list[tuple[Layout, Layout]]:
    """Return the layouts before and after a reshape in which it moves nothing; the last are in the order of ONNX."""
    choices: list[tuple[Layout, Layout]] = []
    if min(len(before), len(after)) >= 2 and before[:2] == after[:2]:  # what is behind the channels changes
        choices.append((channels_last(len(before)), channels_last(len(after))))
    elif before[:1] == after[:1]:  # the channels change
        same = 0
        while same < min(len(before), len(after)) - 2 and before[-1 - same] == after[-1 - same]:
            same += 1
        if same:
            ranks = (len(before), len(after))
            old, new = ((0, *range(rank - same, rank), *range(1, rank - same)) for rank in ranks)
            choices.append((old, new))
    return [*choices, (tuple(range(len(before))), tuple(range(len(after))))]
