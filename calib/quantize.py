"""From a float graph and a calibration set to its quantized form."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from edgehr.calib.cache import Arrays, cached
from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.calib.quantizer.graph.channel_groups import ChannelGroups
from edgehr.calib.quantizer.graph.onnx_graph import Graph, copy_model, remove_constants
from edgehr.calib.quantizer.graph.operators import check_operators
from edgehr.calib.quantizer.noise.budget import choose_float, choose_split
from edgehr.calib.quantizer.noise.expected_noise import ExpectedNoise
from edgehr.calib.quantizer.noise.statistics import measure_statistics
from edgehr.calib.quantizer.observers import observe_asymmetric, observe_symmetric
from edgehr.calib.quantizer.passes.bias_absorption import (
    Midpoints,
    center_by_additions,
    center_by_biases,
    choose_additions,
    measure_channel_ranges,
)
from edgehr.calib.quantizer.passes.depthwise_bypass import bypass_depthwise
from edgehr.calib.quantizer.passes.equalization import equalizing_factors, rescale_channels
from edgehr.calib.quantizer.placement import Placement, place_for_kernels, place_for_qdq
from edgehr.calib.quantizer.reconstruction.layers import reconstruct
from edgehr.calib.quantizer.simulation import Layer, QuantizationParameters, SimulatedNetwork
from edgehr.calib.recipes import KernelRecipe, QDQRecipe, Recipe
from edgehr.card import ModelCard

METHOD = 18  # of this file and what it calls: another number and nothing that was cached before is used

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Calibration:
    """What a network is quantized with.

    Attributes:
        card: The model, channels first.
        weights_sha256: SHA-256 of its checkpoint.
        crops: The calibration set.
        recipe: What is quantized, and how.
    """

    card: ModelCard
    weights_sha256: str
    crops: CalibrationSet
    recipe: Recipe

    @property
    def key(self) -> dict[str, Any]:
        """Collect all that the result depends on."""
        return {
            "quantize": METHOD,
            "weights": self.weights_sha256,
            "size": [self.card.input.height, self.card.input.width],
            "recipe": {**self.recipe.to_dict(), "name": ""},  # the same by another name is the same
            "manifest": self.crops.sha256,
        }


def quantize(model: Any, calibration: Calibration, notify: Notify | None = None) -> SimulatedNetwork:
    """Equalize a graph, observe its ranges, and fit and round its weights; or take all that from the cache.

    The same inputs give the same result, up to the rounding of sums that depends on the number of threads.

    Args:
        model: An `onnx.ModelProto` in float32 with sizes that are known; its batch does not matter.
        calibration: The calibration set and the recipe.
        notify: Told in words what is being done.

    Returns:
        The quantized network.

    Raises:
        EdgehrError: The graph has something that cannot be quantized, or a crop cannot be read.
    """
    graph, recipe = Graph(model), calibration.recipe
    check_operators(graph)
    say = notify or logging.getLogger("edgehr.calib").debug

    def compute() -> Arrays:
        say("read calibration crops")
        crops = read_crops(calibration.crops, calibration.card, recipe.max_crops)
        return _pack(quantize_on(graph, crops, recipe, say))

    return _unpack(recipe, cached(calibration.key, compute, ("torch", "onnx")))


def quantize_on(graph: Graph, crops: NDArray[np.float32], recipe: Recipe, say: Notify) -> SimulatedNetwork:
    """Quantize a graph on crops (N, 3, H, W), without a cache; see `quantize`."""
    say("equalize channels")
    graph, placement = prepare(graph, recipe, crops[: recipe.equalize_crops])
    network = SimulatedNetwork(graph, placement)
    say("measure activations")
    observe(network, crops[: recipe.range_crops])

    started = time.monotonic()

    def advance(done: int, total: int) -> None:
        seconds = (time.monotonic() - started) * (total - done) / done
        say(f"fit layers, {done} of {total}" + (f", about {seconds:.0f} s left" if total / 10 < done < total else ""))

    reconstruct(graph, network, crops[: recipe.fit_crops], recipe.ridge, advance)
    return network


def place(graph: Graph, recipe: Recipe, in_float: Collection[str] = (), split: Collection[str] = ()) -> Placement:
    """Place the quantizers of a recipe.

    Args:
        graph: The network.
        recipe: The recipe.
        in_float: Names of convolutions that stay in float besides those of the recipe.
        split: Names of convolutions with split activations, of a recipe for Q/DQ.
    """
    float_convolutions = {*recipe.float_convolutions, *in_float}
    if isinstance(recipe, KernelRecipe):
        return place_for_kernels(
            graph,
            float_ends=recipe.float_ends,
            float_shared=recipe.float_shared,
            pooled_weight_only=recipe.pooled_weight_only,
            weight_only=recipe.weight_only,
            float_convolutions=float_convolutions,
            dynamic=recipe.dynamic,
        )
    return place_for_qdq(
        graph,
        float_ends=recipe.float_ends,
        float_shared=recipe.float_shared,
        pooled_weight_only=recipe.pooled_weight_only,
        unsigned=recipe.unsigned,
        weight_only=recipe.weight_only,
        float_convolutions=float_convolutions,
        split=split,
    )


def observe(network: SimulatedNetwork, crops: NDArray[np.float32]) -> None:
    """Give the quantizers of a network their parameters, from crops (N, 3, H, W)."""
    observer = observe_asymmetric if network.placement.returns_int8 else observe_symmetric
    network.parameters = observer(network, crops)


def prepare(graph: Graph, recipe: Recipe, crops: NDArray[np.float32]) -> tuple[Graph, Placement]:
    """Choose what stays in float for the channels as they can be equalized, and equalize them for what remains.

    Args:
        graph: The float network.
        recipe: The recipe.
        crops: (N, 3, H, W).

    Returns:
        The network that computes the same from equalized channels, and its quantizers.
    """
    ranges = measure_channel_ranges(graph, crops)
    graph, centered = center_by_biases(graph, ranges)
    plan = _Plan.of(graph, recipe, crops)
    if recipe.centering_additions:
        others = {name: each for name, each in ranges.items() if name not in centered}
        if midpoints := choose_additions(plan.graph, plan.placement, plan.noise, plan.factors, others):
            plan = _Plan.of(graph, recipe, crops, midpoints)
    return rescale_channels(plan.graph, ChannelGroups(plan.graph), plan.factors), plan.placement


@dataclass(frozen=True)
class _Plan:
    """The form of a graph that is quantized, its quantizers, and the factors of its channels."""

    graph: Graph
    placement: Placement
    noise: ExpectedNoise
    factors: NDArray[np.float64]

    @classmethod
    def of(cls, graph: Graph, recipe: Recipe, crops: NDArray[np.float32], midpoints: Midpoints | None = None) -> _Plan:
        rewritten, placement = _rewrite_and_place(graph, recipe, midpoints)
        statistics = measure_statistics(rewritten, crops, placement)
        noise = ExpectedNoise(rewritten, placement, ChannelGroups(rewritten), statistics)
        factors = equalizing_factors(noise)
        in_float = choose_float(rewritten, placement, noise, factors, recipe.float_share)
        split: Collection[str] = ()
        if isinstance(recipe, QDQRecipe):
            split = choose_split(rewritten, placement, noise, factors, recipe.split_share, in_float)
        if in_float or split:
            # What still has one quantizer is the same as before, and all statistics are.
            rewritten, placement = _rewrite_and_place(graph, recipe, midpoints, in_float, split)
            noise = ExpectedNoise(rewritten, placement, ChannelGroups(rewritten), statistics)
            factors = equalizing_factors(noise)
        return cls(rewritten, placement, noise, factors)


def _rewrite_and_place(
    graph: Graph,
    recipe: Recipe,
    midpoints: Midpoints | None,
    in_float: Collection[str] = (),
    split: Collection[str] = (),
) -> tuple[Graph, Placement]:
    """Bypass depthwise convolutions in INT8, and add what centers their inputs; place the quantizers of the result."""
    before = place(graph, recipe, in_float, split)
    graph = bypass_depthwise(graph, before.integer | before.split, close_gates=not before.returns_int8)
    if midpoints:
        graph = center_by_additions(graph, before.integer, midpoints)
    return graph, place(graph, recipe, in_float, split)


def read_crops(calibration_set: CalibrationSet, card: ModelCard, max_crops: int) -> NDArray[np.float32]:
    """Read the crops of a set in `crop_order`, (N, 3, H, W)."""
    order = crop_order(calibration_set, max_crops)
    wanted = set(order)
    read = enumerate(islice(calibration_set.batches(card), max(order) + 1))
    found = {index: crop for index, crop in read if index in wanted}
    return np.concatenate([found[index] for index in order])


def crop_order(calibration_set: CalibrationSet, max_crops: int) -> list[int]:
    """Draw indices of crops of a set, any first few of which stand for all.

    The set's own order starts with those that are least like any other; an average is not to be taken over them.
    """
    order: list[int] = np.random.default_rng(0).permutation(len(calibration_set.crops))[:max_crops].tolist()
    return order


def _pack(network: SimulatedNetwork) -> Arrays:
    """Return all of a quantized network as arrays; without filters, which are most of its graph, in that."""
    model = copy_model(network.graph)
    remove_constants(model, {operator.inputs[1] for operator in network.graph.convolutions})
    quantizers = sorted(network.parameters)
    parameters = [network.parameters[quantizer] for quantizer in quantizers]
    arrays: Arrays = {
        "graph": np.frombuffer(model.SerializeToString(), np.uint8),
        "float": np.array(sorted(network.placement.float_weights), dtype=str),
        "split": np.array(sorted(network.placement.split), dtype=str),
        "quantizers": np.array(quantizers),
        "scales": np.array([each.scale for each in parameters]),
        "zero_points": np.array([each.zero_point for each in parameters]),
    }
    for name, layer in network.layers.items():
        arrays[f"weight {name}"] = layer.weight.numpy()
        arrays[f"bias {name}"] = layer.bias.numpy()
        if layer.scale is not None:
            arrays[f"scale {name}"] = layer.scale.numpy()
    return arrays


def _unpack(recipe: Recipe, arrays: Arrays) -> SimulatedNetwork:
    model = onnx.load_from_string(arrays["graph"].tobytes())
    filters = {
        node.input[1]: arrays[f"weight {node.name}"] for node in model.graph.node if f"weight {node.name}" in arrays
    }
    model.graph.initializer.extend(numpy_helper.from_array(weight, name) for name, weight in filters.items())
    graph = Graph(model)
    network = SimulatedNetwork(graph, place(graph, recipe, arrays["float"].tolist(), arrays["split"].tolist()))
    numbers = zip(*(arrays[name].tolist() for name in ("quantizers", "scales", "zero_points")), strict=True)
    network.parameters = {key: QuantizationParameters(scale, zero_point) for key, scale, zero_point in numbers}
    for name in network.layers:
        scale = arrays.get(f"scale {name}")
        network.layers[name] = Layer(
            torch.tensor(arrays[f"weight {name}"]),
            torch.tensor(arrays[f"bias {name}"]),
            None if scale is None else torch.tensor(scale),
        )
    return network
