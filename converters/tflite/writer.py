"""A network as a `.tflite`: a float one, or a quantized one with exactly the scales that it was fitted with."""

from __future__ import annotations

from collections.abc import Collection

from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from edgehr.card import ModelCard
from edgehr.converters.tflite.operators import write_operator
from edgehr.converters.tflite.rewrite import rewrite
from edgehr.converters.tflite.tensors import Tensors, channels_last


def write_float(graph: Graph, card: ModelCard, weights: str = "fp32", unchanged: Collection[str] = ()) -> bytes:
    """Write a float network.

    Args:
        graph: The network, with its batch.
        card: The model; its layout is that of the file's input and outputs.
        weights: ``fp32``; ``fp16`` for weights of half precision, computed with in float; ``dynamic-int8`` for weights
            of 8 bits with a scale for each output channel, whose kernels quantize what they read as they read it.
        unchanged: Names of outputs that keep the order of their dimensions in any layout.

    Raises:
        EdgehrError: The network has an operator that cannot be written.
    """
    return rewrite(write(Tensors(graph, None, 1, weights), card, unchanged))


def write_int8(network: SimulatedNetwork, card: ModelCard, batch: int = 1, unchanged: Collection[str] = ()) -> bytes:
    """Write a network that simulates the INT8 kernels of TFLite as the file whose kernels compute it.

    Args:
        network: Quantized, placed by `edgehr.calib.quantizer.placement.place_for_kernels`, with a batch of one.
        card: The model; its layout is that of the file's input and outputs.
        batch: Images per inference.
        unchanged: Names of outputs that keep the order of their dimensions in any layout.

    Raises:
        EdgehrError: The network has an operator that cannot be written.
    """
    return rewrite(write(Tensors(network.graph, network, batch, "fp32"), card, unchanged))


def write(tensors: Tensors, card: ModelCard, unchanged: Collection[str] = ()) -> bytes:
    """Write all operators of a graph, not yet rewritten into what runtimes are fast at."""
    graph, layouts = tensors.graph, {}
    for name in (graph.input, *graph.results):
        rank = tensors.rank(name)
        last = card.layout == "nhwc" and rank == 4 and name not in unchanged
        layouts[name] = channels_last(rank) if last else tuple(range(rank))
    source = tensors.make_input(graph.input, layouts[graph.input])
    for operator in (*graph.operators, *graph.tail):
        if operator.name not in tensors.done:
            write_operator(tensors, operator)
    results = {name: tensors.get(name, layouts[name]) for name in graph.results}
    return tensors.builder.finish({graph.input: source}, results)
