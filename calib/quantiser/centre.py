"""Channels moved so that they reach as far below zero as above it."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from edgehr.calib.quantiser.graph import CONVOLUTION, Graph, Operator
from edgehr.calib.quantiser.network import Network
from edgehr.calib.quantiser.operators import padding_of
from edgehr.calib.quantiser.placement import NOWHERE


def centred(graph: Graph, crops: NDArray[np.float32]) -> Graph:
    """The same function, in which what 1x1 convolutions alone take of another convolution is centred.

    A quantiser's steps are spread evenly around zero, or have one zero for all channels, so a channel that lies to one
    side of it leaves some of them unused. Moved by a constant, which its bias takes and the biases of those who read it
    take back, it needs a shorter range. (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias
    Correction, 2019, move what is beyond a ReLU.) Not done where a convolution pads: its zeros would move, too.

    Args:
        graph: The network.
        crops: (N, 3, H, W), from which the ends of channels are.
    """
    inner = {op.outputs[0]: op for op in graph.convolutions if _is_inner(graph, op)}
    low: dict[str, torch.Tensor] = {}
    high: dict[str, torch.Tensor] = {}

    def reach(name: str, value: torch.Tensor) -> None:
        if name in inner:
            least, most = value.amin((0, 2, 3)), value.amax((0, 2, 3))
            low[name] = torch.minimum(low.get(name, least), least)
            high[name] = torch.maximum(high.get(name, most), most)

    Network(graph, NOWHERE).run(crops, reach)
    biases = {op.name: graph.bias(op).astype(np.float64) for op in graph.convolutions}
    for name, maker in inner.items():
        middle = ((low[name] + high[name]) / 2).double().numpy()
        biases[maker.name] -= middle
        for reader in graph.readers(name):
            biases[reader.name] += graph.weight(reader)[:, :, 0, 0].astype(np.float64) @ middle
    return _with_biases(graph, biases)


def _is_inner(graph: Graph, convolution: Operator) -> bool:
    """Whether a convolution is read by 1x1 convolutions and nobody else."""
    result = convolution.outputs[0]
    readers = graph.readers(result)
    alone = bool(readers) and result != graph.output
    return alone and all(
        reader.kind == CONVOLUTION
        and graph.weight(reader).shape[1:] == (graph.channels(result), 1, 1)
        and padding_of(reader) == (0, 0)
        for reader in readers
    )


def _with_biases(graph: Graph, biases: dict[str, NDArray[np.float64]]) -> Graph:
    """The graph with other biases, by convolution; some have none yet."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    for node in model.graph.node:
        operator = str(node.name or node.output[0])
        if operator in biases:
            del node.input[2:]
            node.input.append(f"{operator}.bias")
            model.graph.initializer.append(numpy_helper.from_array(biases[operator].astype(np.float32), node.input[2]))
    return Graph(model)
