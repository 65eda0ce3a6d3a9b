"""A float network with one block of it in INT8: what that block alone does to the heatmaps."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.blocks import Block
from edgehr.calib.quantize import Calibrated, measure, place_by, prepare, read_crops
from edgehr.calib.quantizer.graph import Graph
from edgehr.calib.quantizer.network import Network
from edgehr.calib.quantizer.reconstruct import reconstruct

# The few layers of a block are fitted on so many crops: what is wanted is which block does most harm.
FIT_CROPS = 32


class Alone:
    """Quantizes one block at a time, by the steps of the recipe, with all others in float.

    The channels are equalized and the ranges measured once, for all blocks together, as they are in the network that is
    written. The layers of the block are fitted; those after it do not make up for its errors.
    """

    def __init__(self, graph: Graph, by: Calibrated) -> None:
        """Nothing is computed yet.

        Args:
            graph: The float network.
            by: The calibration set and the recipe.
        """
        self._graph, self._by = graph, by

    def __call__(self, block: Block) -> Network:
        """The network in which only this block is quantized."""
        whole, recipe = self._measured, self._by.recipe
        graph = whole.graph
        rest = {operator.name for operator in graph.convolutions} - set(block.convolutions)
        doubled = whole.placement.doubled - rest
        placement = place_by(graph, replace(recipe, ends=False, points=False, also=()), rest, doubled)
        network = Network(graph, placement)
        for name, group in placement.groups.items():
            network.steps[group] = whole.steps[whole.placement.groups[name]]
            network.zeros[group] = whole.zeros.get(whole.placement.groups[name], 0)
        for name, group in placement.twice.items():
            network.steps[group] = whole.steps[whole.placement.twice[name]]
        reconstruct(graph, network, self._crops[:FIT_CROPS], recipe.ridge, only=block.convolutions)
        return network

    @cached_property
    def _crops(self) -> NDArray[np.float32]:
        return read_crops(self._by.crops, self._by.card, self._by.recipe.crops)

    @cached_property
    def _measured(self) -> Network:
        """All that the recipe quantizes, equalized, with its steps."""
        recipe = self._by.recipe
        network = Network(*prepare(self._graph, recipe, self._crops[: recipe.equalize_crops]))
        measure(network, self._crops, recipe)
        return network
