"""From a float graph and a calibration set to its quantized form."""

from __future__ import annotations

import logging
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
from edgehr.calib.crops import CalibrationSet
from edgehr.calib.memory import freed_memory_kept
from edgehr.calib.quantizer.budget import double_noisiest, keep_noisiest
from edgehr.calib.quantizer.center import Middles, centered, measure_reach, moved
from edgehr.calib.quantizer.channels import ChannelClasses
from edgehr.calib.quantizer.equalize import rescaled, solve
from edgehr.calib.quantizer.expected import ExpectedNoise
from edgehr.calib.quantizer.graph import Graph, remove_constants
from edgehr.calib.quantizer.grids import measure_grids
from edgehr.calib.quantizer.kernels import place_for_kernels
from edgehr.calib.quantizer.network import Layer, Network
from edgehr.calib.quantizer.noise import measure_signals
from edgehr.calib.quantizer.off_center import off_center
from edgehr.calib.quantizer.operators import check_operators
from edgehr.calib.quantizer.passing import carry_around
from edgehr.calib.quantizer.placement import Placement, place
from edgehr.calib.quantizer.ranges import BOTH_ENDS, check_method, measure_steps
from edgehr.calib.quantizer.reconstruct import reconstruct
from edgehr.calib.recipes import Recipe
from edgehr.card import ModelCard

METHOD = 12  # of this file and what it calls: another number and nothing that was kept before is used

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Calibrated:
    """What a network is quantized with.

    Attributes:
        card: The model, channels first.
        weights_sha256: Of its checkpoint.
        crops: Real crops of people.
        recipe: How.
    """

    card: ModelCard
    weights_sha256: str
    crops: CalibrationSet
    recipe: Recipe

    @property
    def key(self) -> dict[str, Any]:
        """All that the result depends on."""
        return {
            "quantize": METHOD,
            "weights": self.weights_sha256,
            "size": [self.card.input.height, self.card.input.width],
            "recipe": {**self.recipe.to_dict(), "name": ""},  # the same by another name is the same
            "manifest": self.crops.sha256,
        }


def quantize(model: Any, by: Calibrated, notify: Notify | None = None) -> Network:
    """Equalize a graph, measure its ranges, and fit and round its weights; or take all that from the cache.

    The same inputs give the same result, up to the rounding of sums that depends on the number of threads.

    Args:
        model: An `onnx.ModelProto` in float32 with sizes that are known; its batch does not matter.
        by: The calibration set and the recipe.
        notify: Told in words what is being done.

    Returns:
        The quantized network.

    Raises:
        EdgehrError: The graph has something that cannot be quantized, or a crop cannot be read.
    """
    graph = Graph(model)
    check_operators(graph)
    if by.recipe.ranges != BOTH_ENDS:
        check_method(by.recipe.ranges)
    say = notify or logging.getLogger("edgehr.calib").debug
    arrays = cached(by.key, lambda: _pack(_read_and_quantize(graph, by, say)), ("torch", "onnx"))
    return _unpack(by.recipe, arrays)


def place_by(graph: Graph, recipe: Recipe, kept: Collection[str] = (), doubled: Collection[str] = ()) -> Placement:
    """Where a recipe's quantizers stand, with further convolutions kept in float, and some that read in two steps."""
    also, full = recipe.also, {*recipe.full, *kept}
    if recipe.kernels:
        return place_for_kernels(
            graph, ends=recipe.ends, points=recipe.points, also=also, full=full, dynamic=recipe.dynamic
        )
    return place(
        graph,
        ends=recipe.ends,
        points=recipe.points,
        unsigned=recipe.unsigned,
        also=also,
        full=full,
        doubled=doubled,
    )


def carry_and_place(
    graph: Graph,
    recipe: Recipe,
    kept: Collection[str] = (),
    doubled: Collection[str] = (),
    middles: Middles | None = None,
) -> tuple[Graph, Placement]:
    """The form of a graph that is quantized, and its quantizers.

    See `edgehr.calib.quantizer.passing` and `.center`.
    """
    before = place_by(graph, recipe, kept, doubled)
    graph = carry_around(graph, before.integer | before.doubled, shut=not recipe.kernels)
    if middles:
        graph = moved(graph, before.integer, middles)
    return graph, place_by(graph, recipe, kept, doubled)


def _read_and_quantize(graph: Graph, by: Calibrated, say: Notify) -> Network:
    say("read calibration crops")
    return quantize_on(graph, read_crops(by.crops, by.card, by.recipe.crops), by.recipe, say)


@freed_memory_kept()
def quantize_on(graph: Graph, crops: NDArray[np.float32], recipe: Recipe, say: Notify) -> Network:
    """Quantize a graph on crops (N, 3, H, W), without a cache; see `quantize`."""
    say("equalize channels")
    graph, placement = prepare(graph, recipe, crops[: recipe.equalize_crops])
    network = Network(graph, placement)
    say("measure activations")
    measure(network, crops, recipe)

    def advance(done: int, total: int) -> None:
        say(f"fit layers, {done} of {total}")

    reconstruct(graph, network, crops[: recipe.fit_crops], recipe.ridge, advance)
    return network


def prepare(graph: Graph, recipe: Recipe, crops: NDArray[np.float32]) -> tuple[Graph, Placement]:
    """Choose what stays in float for the channels as they can be equalized, and equalize them for what remains.

    Args:
        graph: The float network.
        recipe: How.
        crops: (N, 3, H, W).

    Returns:
        The network that computes the same from equalized channels, and its quantizers.
    """
    reaches = measure_reach(graph, crops)
    graph, done = centered(graph, reaches)
    choice = _Choice.of(graph, recipe, crops)
    if recipe.additions:
        others = {name: reach for name, reach in reaches.items() if name not in done}
        if middles := off_center(choice.graph, choice.placement, choice.noise, choice.factors, others):
            choice = _Choice.of(graph, recipe, crops, middles)
    return rescaled(choice.graph, ChannelClasses(choice.graph), choice.factors), choice.placement


@dataclass(frozen=True)
class _Choice:
    """What is quantized in which form, and by which factors."""

    graph: Graph
    placement: Placement
    noise: ExpectedNoise
    factors: NDArray[np.float64]

    @classmethod
    def of(cls, graph: Graph, recipe: Recipe, crops: NDArray[np.float32], middles: Middles | None = None) -> _Choice:
        carried, placement = carry_and_place(graph, recipe, middles=middles)
        signals = measure_signals(carried, crops, placement.dynamic)
        noise = ExpectedNoise(carried, placement, ChannelClasses(carried), signals)
        factors = solve(noise)
        kept = keep_noisiest(carried, placement, noise, factors, recipe.float_share)
        doubled = double_noisiest(carried, placement, noise, factors, recipe.doubled_share, kept)
        if kept or doubled:
            # What is still rounded once is the same as before, and all signals are.
            carried, placement = carry_and_place(graph, recipe, kept, doubled, middles)
            noise = ExpectedNoise(carried, placement, ChannelClasses(carried), signals)
            factors = solve(noise)
        return cls(carried, placement, noise, factors)


def measure(network: Network, crops: NDArray[np.float32], recipe: Recipe) -> None:
    """Give a network its steps."""
    crops = crops[: recipe.range_crops]
    if recipe.ranges == BOTH_ENDS:
        network.steps, network.zeros = measure_grids(network, crops)
    else:
        network.steps = measure_steps(network, crops, recipe.ranges)


def read_crops(chosen: CalibrationSet, card: ModelCard, most: int) -> NDArray[np.float32]:
    """(N, 3, H, W): the crops of a set at `places_read`."""
    order = places_read(chosen, most)
    wanted = set(order)
    read = enumerate(islice(chosen.batches(card), max(order) + 1))
    found = {place: crop for place, crop in read if place in wanted}
    return np.concatenate([found[place] for place in order])


def places_read(chosen: CalibrationSet, most: int) -> list[int]:
    """Places of some crops of a set, which any first few stand for.

    The set's own order starts with those that are least like any other; an average is not to be taken over them.
    """
    places: list[int] = np.random.default_rng(0).permutation(len(chosen.crops))[:most].tolist()
    return places


def _pack(network: Network) -> Arrays:
    numbers = sorted(network.steps)
    arrays: Arrays = {
        "graph": np.frombuffer(_without_filters(network.graph).SerializeToString(), np.uint8),
        "kept": np.array(sorted(network.placement.full_weights), dtype=str),
        "doubled": np.array(sorted(network.placement.doubled), dtype=str),
        "groups": np.array(numbers),
        "steps": np.array([network.steps[group] for group in numbers]),
        "zeros": np.array([network.zeros.get(group, 0) for group in numbers]),
    }
    for name, layer in network.layers.items():
        arrays[f"weight {name}"] = layer.weight.numpy()
        arrays[f"bias {name}"] = layer.bias.numpy()
        if layer.step is not None:
            arrays[f"step {name}"] = layer.step.numpy()
    return arrays


def _without_filters(graph: Graph) -> Any:
    """Its `onnx.ModelProto` without what is most of it."""
    filters = {operator.inputs[1] for operator in graph.convolutions}
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    remove_constants(model, filters)
    return model


def _unpack(recipe: Recipe, arrays: Arrays) -> Network:
    model = onnx.load_from_string(arrays["graph"].tobytes())
    for node in model.graph.node:
        if (weight := arrays.get(f"weight {node.name}")) is not None:
            model.graph.initializer.append(numpy_helper.from_array(weight, node.input[1]))
    graph = Graph(model)
    network = Network(graph, place_by(graph, recipe, arrays["kept"].tolist(), arrays["doubled"].tolist()))
    network.steps = dict(zip(arrays["groups"].tolist(), arrays["steps"].tolist(), strict=True))
    network.zeros = dict(zip(arrays["groups"].tolist(), arrays["zeros"].tolist(), strict=True))
    for name in network.layers:
        step = arrays.get(f"step {name}")
        network.layers[name] = Layer(
            torch.tensor(arrays[f"weight {name}"]),
            torch.tensor(arrays[f"bias {name}"]),
            None if step is None else torch.tensor(step),
        )
    return network
