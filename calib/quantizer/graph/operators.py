"""The operators of convolutional networks in PyTorch, as ONNX defines them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from edgehr.calib.quantizer.graph.onnx_graph import CONVOLUTION, Graph, Operator
from edgehr.errors import EdgehrError

Values = Mapping[str, Tensor]
Compute = Callable[[Graph, Operator, Values], Sequence[Tensor]]


def check_operators(graph: Graph) -> None:
    """Raise EdgehrError for a graph that cannot be run here, before any work is done."""
    unknown = sorted({operator.kind for operator in graph.operators} - {CONVOLUTION, *_OPERATORS})
    if unknown:
        raise EdgehrError(f"{graph.model.graph.name}: cannot be quantized, it has operators {', '.join(unknown)}")
    for operator in graph.convolutions:
        weight, groups = graph.weight(operator), operator.attributes.get("group", 1)
        if groups not in (1, len(weight)):
            raise EdgehrError(f"{operator.name}: a convolution in {groups} groups cannot be quantized")
        if operator.attributes.get("dilations", [1, 1]) != [1, 1]:
            raise EdgehrError(f"{operator.name}: a dilated convolution cannot be quantized")


def compute(graph: Graph, operator: Operator, values: Values) -> Sequence[Tensor]:
    """Run one operator that is no convolution.

    Args:
        graph: The graph, which holds its constants.
        operator: An operator that `check_operators` accepted.
        values: Tensors by name, its inputs among them.

    Returns:
        One tensor for each of its outputs.
    """
    return _OPERATORS[operator.kind](graph, operator, values)


def convolve(operator: Operator, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Run a convolution with these weights in place of its own: (N, C, H, W) -> (N, out, H', W')."""
    strides, groups = operator.attributes.get("strides", [1, 1]), operator.attributes.get("group", 1)
    data, padding = padded(operator, data)
    return F.conv2d(data, weight, bias, strides, padding, 1, groups)


def padded(operator: Operator, data: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Pad the data of a convolution or pooling where PyTorch's own padding, the same on both sides, cannot.

    Returns:
        The data (N, C, H, W), and the rows and columns of zeros that are still to be added on each side.
    """
    top, left, bottom, right = padding_of(operator)
    if (top, left) == (bottom, right):
        return data, (top, left)
    return F.pad(data, (left, right, top, bottom)), (0, 0)


def compute_tail(graph: Graph, output: Tensor) -> Tensor:
    """Make of a graph's output what its tail makes of it: classes (N, H, W), probabilities (N, C, h, w), or itself."""
    values = {graph.outputs[0]: output}
    for operator in graph.tail:
        data = values[operator.inputs[0]]
        if operator.kind == "ArgMax":
            keep = bool(operator.attributes.get("keepdims", 1))
            data = data.argmax(operator.attributes.get("axis", 0), keepdim=keep)
        elif operator.kind != "Cast":
            (data,) = compute(graph, operator, values)
        values[operator.outputs[0]] = data
    return values[graph.tail[-1].outputs[0]] if graph.tail else output


def padding_of(operator: Operator) -> tuple[int, int, int, int]:
    """Return the rows and columns of zeros above, left, below and right."""
    top, left, bottom, right = operator.attributes.get("pads", [0, 0, 0, 0])
    return top, left, bottom, right


def _tensor(graph: Graph, name: str, values: Values) -> Tensor:
    return values[name] if name in values else torch.from_numpy(graph.constants[name].copy())


def _integers(graph: Graph, operator: Operator, index: int) -> list[int] | None:
    """Read a constant input as whole numbers; None where it is left out."""
    if index >= len(operator.inputs) or not operator.inputs[index]:
        return None
    if operator.inputs[index] not in graph.constants:
        raise EdgehrError(
            f"{operator.name}: a {operator.kind} whose sizes depend on the input cannot be quantized: convert with a "
            "fixed batch"
        )
    return [int(number) for number in graph.constants[operator.inputs[index]].ravel()]


def _elementwise(function: Callable[..., Tensor]) -> Compute:
    return lambda graph, operator, values: [function(*(_tensor(graph, name, values) for name in operator.inputs))]


def channel_slice(graph: Graph, operator: Operator) -> slice:
    """Return the channels that a Slice takes; raise EdgehrError for one along anything else."""
    starts, ends, axes, steps = (_integers(graph, operator, index) for index in (1, 2, 3, 4))
    if not starts or not ends or axes != [1] or steps not in (None, [1]):
        raise EdgehrError(f"{operator.name}: a slice of anything but neighboring channels cannot be quantized")
    channels = graph.channels(operator.inputs[0])
    return slice(*slice(starts[0], ends[0]).indices(channels))


def _split(graph: Graph, operator: Operator, values: Values) -> Sequence[Tensor]:
    data, axis = _tensor(graph, operator.inputs[0], values), operator.attributes.get("axis", 0)
    sizes = _integers(graph, operator, 1)
    return (
        torch.chunk(data, len(operator.outputs), axis) if sizes is None else torch.split_with_sizes(data, sizes, axis)
    )


def _pool(graph: Graph, operator: Operator, values: Values) -> Sequence[Tensor]:
    attributes = operator.attributes
    data, padding = padded(operator, _tensor(graph, operator.inputs[0], values))
    counts_padding = bool(attributes.get("count_include_pad", 0))
    ceiling = bool(attributes.get("ceil_mode", 0))
    strides = attributes.get("strides", [1, 1])
    if padding != padding_of(operator)[:2] and not counts_padding:
        raise EdgehrError(f"{operator.name}: padding that differs between sides cannot be left out of averages")
    return [F.avg_pool2d(data, attributes["kernel_shape"], strides, padding, ceiling, counts_padding)]


def _mean(graph: Graph, operator: Operator, values: Values) -> Sequence[Tensor]:
    axes = operator.attributes.get("axes") or _integers(graph, operator, 1)
    keep = bool(operator.attributes.get("keepdims", 1))
    return [_tensor(graph, operator.inputs[0], values).mean(axes, keepdim=keep)]


def _reshape(graph: Graph, operator: Operator, values: Values) -> Sequence[Tensor]:
    """Give a tensor the shape that its result has, whatever the number of images."""
    data = _tensor(graph, operator.inputs[0], values)
    shape = graph.shapes.get(operator.outputs[0], [])
    before = graph.shapes.get(operator.inputs[0], [])
    if not all(shape[1:]) or not before or not shape or before[0] != shape[0]:
        raise EdgehrError(
            f"{operator.name}: a {operator.kind} that moves images into other dimensions cannot be quantized"
        )
    return [data.reshape(len(data), *shape[1:])]


def _softmax(graph: Graph, operator: Operator, values: Values) -> Sequence[Tensor]:
    return [_tensor(graph, operator.inputs[0], values).softmax(operator.attributes.get("axis", -1))]


def _transpose(graph: Graph, operator: Operator, values: Values) -> Sequence[Tensor]:
    data = _tensor(graph, operator.inputs[0], values)
    return [data.permute(list(operator.attributes.get("perm", range(data.ndim)[::-1])))]


def _resize(graph: Graph, operator: Operator, values: Values) -> Sequence[Tensor]:
    data = _tensor(graph, operator.inputs[0], values)
    shape = graph.shapes[operator.outputs[0]]
    if len(shape) != 4 or not all(shape[2:]):
        raise EdgehrError(f"{operator.name}: a resize to a size that is not known cannot be quantized")
    mode = operator.attributes.get("mode", b"nearest")
    how = operator.attributes.get("coordinate_transformation_mode", b"half_pixel")
    height, width = shape[2:]
    if mode == b"nearest" and not (height % data.shape[2] or width % data.shape[3]):
        return [F.interpolate(data, (height, width))]  # a whole factor: every way of rounding is the same
    if mode == b"linear" and how in (b"align_corners", b"half_pixel", b"pytorch_half_pixel"):
        return [F.interpolate(data, (height, width), mode="bilinear", align_corners=how == b"align_corners")]
    raise EdgehrError(f"{operator.name}: a resize by {mode.decode()}, {how.decode()} cannot be quantized")


_OPERATORS: dict[str, Compute] = {
    "Relu": _elementwise(torch.relu),
    "Sigmoid": _elementwise(torch.sigmoid),
    "Exp": _elementwise(torch.exp),
    "Add": _elementwise(torch.add),
    "MatMul": _elementwise(torch.matmul),
    "Mul": _elementwise(torch.mul),
    "Concat": lambda graph, operator, values: [
        torch.cat([_tensor(graph, name, values) for name in operator.inputs], operator.attributes["axis"])
    ],
    "Slice": lambda graph, operator, values: [
        _tensor(graph, operator.inputs[0], values)[:, channel_slice(graph, operator)]
    ],
    "Split": _split,
    "AveragePool": _pool,
    "InstanceNormalization": lambda graph, operator, values: [
        F.instance_norm(
            _tensor(graph, operator.inputs[0], values),
            weight=_tensor(graph, operator.inputs[1], values),
            bias=_tensor(graph, operator.inputs[2], values),
            eps=operator.attributes.get("epsilon", 1e-5),
        )
    ],
    "ReduceMean": _mean,
    "Resize": _resize,
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _reshape),
    "Softmax": _softmax,
    "Transpose": _transpose,
}
