"""A float network with one block of it in INT8: its sensitivity is what that block does to the output."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.mixed_precision.blocks import Block
from edgehr.calib.quantize import Calibration, observe, place, prepare, read_crops
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.reconstruction.layers import reconstruct
from edgehr.calib.quantizer.simulation import SimulatedNetwork

# The few layers of a block are fitted on so many crops: what is wanted is which block does most harm.
FIT_CROPS = 32


class SingleBlockQuantizer:
    """Quantizes one block at a time, with the quantizers of the recipe, and all other blocks in float.

    The channels are equalized and the ranges observed once, for all blocks together, as they are in the network that is
    written. The layers of the block are reconstructed; those after it do not make up for its errors.
    """

    def __init__(self, graph: Graph, calibration: Calibration) -> None:
        """Compute nothing yet.

        Args:
            graph: The float network.
            calibration: The calibration set and the recipe.
        """
        self._graph, self._calibration = graph, calibration

    def __call__(self, block: Block) -> SimulatedNetwork:
        """Return the network in which only this block is quantized."""
        whole, recipe = self._observed, self._calibration.recipe
        graph = whole.graph
        rest = {operator.name for operator in graph.convolutions} - set(block.convolutions)
        everything = replace(recipe, float_ends=False, pooled_weight_only=False, weight_only=())
        placement = place(graph, everything, rest, whole.placement.split - rest)
        network = SimulatedNetwork(graph, placement)
        for name, quantizer in placement.quantizers.items():
            network.parameters[quantizer] = whole.parameters[whole.placement.quantizers[name]]
        for name, quantizer in placement.split_quantizers.items():
            network.parameters[quantizer] = whole.parameters[whole.placement.split_quantizers[name]]
        reconstruct(graph, network, self._crops[:FIT_CROPS], recipe.ridge, only=block.convolutions)
        return network

    @cached_property
    def _crops(self) -> NDArray[np.float32]:
        return read_crops(self._calibration.crops, self._calibration.card, self._calibration.recipe.max_crops)

    @cached_property
    def _observed(self) -> SimulatedNetwork:
        """Collect all that the recipe quantizes, equalized, with its quantization parameters."""
        recipe = self._calibration.recipe
        network = SimulatedNetwork(*prepare(self._graph, recipe, self._crops[: recipe.equalize_crops]))
        observe(network, self._crops[: recipe.range_crops])
        return network
