"""Which blocks of a network must stay in float for its INT8 form to lose no more than is allowed.

Each block is quantized alone, and the error that it makes in the heatmaps is measured on crops that nothing is fitted
on: what one block costs in AP is too small to tell from chance. Those of most error for each multiply-add are kept in
float, as few as will do. How many that is the whole network tells, quantized anew each time as it would be written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.alone import Alone
from edgehr.calib.blocks import Block, find_blocks
from edgehr.calib.cache import Arrays, cached
from edgehr.calib.judge import Judge, Loss
from edgehr.calib.quantize import Calibration, Notify, quantize
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.placement import Placement
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from edgehr.calib.recipes import Recipe
from edgehr.errors import EdgehrError
from edgehr.progress import ProgressBar, no_bar

METHOD = 2  # of what is measured here: another number and nothing that was kept before is used
MOST_TRIALS = 8  # of whole networks, minutes each
FINE_ENOUGH = 0.01  # share of the multiply-adds that is not worth another trial

TOOLS = ("torch", "onnx")


@dataclass(frozen=True)
class MaxDrop:
    """How much INT8 may lose.

    Attributes:
        most: AP, of 100, on the calibration set; see `edgehr.calib.judge`.
        bar: Shows progress while blocks are measured.
    """

    most: float
    bar: ProgressBar = no_bar


@dataclass(frozen=True)
class Measured:
    """A block and what it loses when it alone is in INT8."""

    block: Block
    loss: Loss


@dataclass(frozen=True)
class Choice:
    """What stays in float.

    Attributes:
        recipe: The recipe with it.
        most: The drop that was asked for, AP of 100.
        people: What the drop is measured on, in words.
        truth: What AP is measured against, in words.
        float_ap: AP of the float network, 0 to 1.
        whole: Loss with all blocks in INT8.
        chosen: Loss of the network that is written.
        kept: The blocks that stay in float, the most harmful for each multiply-add first.
        others: Those in INT8, in the same order; none are measured where the drop fits at once.
        macs: Multiply-adds of the whole network.
        int8_macs: Of them in INT8.
        weight_bytes: Of the weights with all blocks in INT8, and as written.
    """

    recipe: Recipe
    most: float
    people: str
    truth: str
    float_ap: float
    whole: Loss
    chosen: Loss
    kept: tuple[Measured, ...]
    others: tuple[Measured, ...]
    macs: int
    int8_macs: int
    weight_bytes: tuple[int, int]


def choose_float(model: Any, by: Calibration, drop: MaxDrop, notify: Notify | None = None) -> Choice:
    """Find the blocks to keep in float.

    What is measured is kept in the cache, so that an interrupted search goes on where it was.

    Args:
        model: An `onnx.ModelProto` in float32 with sizes that are known, whose weights are named as PyTorch's.
        by: The calibration set and the recipe to start from.
        drop: The most that may be lost.
        notify: Told in words what is being done.

    Raises:
        EdgehrError: Not even a single block can be in INT8 within that drop, or the network cannot be quantized.
    """
    return _Search(model, by, drop, notify).run()


class _Search:
    def __init__(self, model: Any, by: Calibration, drop: MaxDrop, notify: Notify | None) -> None:
        self._model, self._by, self._most, self._bar, self._notify = model, by, drop.most, drop.bar, notify
        self._graph = Graph(model)
        self._judge = Judge(by)
        self._judge.set_reference(SimulatedNetwork(self._graph).run(self._judge.inputs))
        self._macs = sum(self._graph.multiply_adds(operator) for operator in self._graph.convolutions)

    def run(self) -> Choice:
        whole = self._try([])
        if self._fits(whole):
            return self._choice(whole, whole, [], 0)
        ranked = self._rank()
        kept, chosen = self._fewest(ranked, whole)
        return self._choice(whole, chosen, ranked, kept)

    def _fits(self, loss: Loss) -> bool:
        return 100 * loss.ap <= self._most

    def _rank(self) -> list[Measured]:
        """All blocks, the most harmful for each multiply-add first."""
        alone, measured = Alone(self._graph, self._by), []
        blocks = find_blocks(self._graph, self._first)
        with self._bar("measuring blocks", len(blocks)) as progress:
            for block in blocks:
                loss = self._cached({"block": block.convolutions}, partial(alone, block))
                measured.append(Measured(block, loss))
                progress.advance()
        return sorted(measured, key=lambda each: -each.loss.error / each.block.macs)

    def _fewest(self, ranked: list[Measured], whole: Loss) -> tuple[int, Loss]:
        """How many of the ranked blocks stay in float, and what is lost then."""
        failing, losses, fitting = 0, {0: whole}, len(ranked)
        while fitting - failing > 1:
            between = sum(each.block.macs for each in ranked[failing + 1 : fitting])
            if fitting in losses and (len(losses) > MOST_TRIALS or between < FINE_ENOUGH * self._macs):
                break
            kept = predict(ranked, losses, failing, fitting, self._most)
            losses[kept] = self._try(ranked[:kept])
            if self._fits(losses[kept]):
                fitting = kept
            else:
                failing = kept
        if fitting == len(ranked):
            raise EdgehrError(
                f"{self._by.card.name}: no part of it can be in INT8 within {self._most:g} AP of float32 on "
                f"{self._judge.people}: allow a larger --max-drop, or convert with --precision fp16"
            )
        return fitting, losses[fitting]

    def _try(self, kept: list[Measured]) -> Loss:
        """The loss of the whole network with these blocks in float."""
        recipe = self._recipe(kept)
        words = f"{len(kept)} blocks in float: " if kept else ""

        def tell(what: str) -> None:
            if self._notify:
                self._notify(words + what)

        by = replace(self._by, recipe=recipe)
        return self._cached({"float": recipe.float_convolutions}, lambda: quantize(self._model, by, tell))

    def _recipe(self, kept: list[Measured]) -> Recipe:
        if not kept:
            return self._by.recipe
        names = [name for each in kept for name in each.block.convolutions]
        name = f"{self._by.recipe.name}-max-drop-{self._most:g}"
        # What stays in float by the recipe's own choice stays there, however little of its share the blocks leave.
        first = sorted(self._first.float_weights)
        return replace(self._by.recipe, name=name, float_convolutions=(*first, *names))

    @cached_property
    def _first(self) -> Placement:
        """With no blocks in float."""
        return self._placement(self._by.recipe)

    def _placement(self, recipe: Recipe) -> Placement:
        """That of the network that is written, which is in the cache by now."""
        return quantize(self._model, replace(self._by, recipe=recipe)).placement

    def _cached(self, what: dict[str, Any], network: Callable[[], SimulatedNetwork]) -> Loss:
        key = {**self._by.key, "sensitivity": METHOD, "judge": self._judge.key, "of": what}

        def compute() -> Arrays:
            loss = self._judge.loss(network().run(self._judge.inputs))
            return {"loss": np.array([loss.ap, loss.oks, loss.error])}

        return Loss(*cached(key, compute, TOOLS)["loss"].tolist())

    def _choice(self, whole: Loss, chosen: Loss, ranked: list[Measured], kept: int) -> Choice:
        recipe, judge, graph = self._recipe(ranked[:kept]), self._judge, self._graph
        placement = self._placement(recipe)
        return Choice(
            recipe=recipe,
            most=self._most,
            people=judge.people,
            truth=judge.truth,
            float_ap=judge.float_ap,
            whole=whole,
            chosen=chosen,
            kept=tuple(ranked[:kept]),
            others=tuple(ranked[kept:]),
            macs=self._macs,
            int8_macs=placement.int8_multiply_adds(graph),
            weight_bytes=(weight_bytes(graph, self._first), weight_bytes(graph, placement)),
        )


def weight_bytes(graph: Graph, placement: Placement) -> int:
    """Size of all filters as a quantized network stores them."""
    in_float = placement.float_weights
    return sum(graph.weight(each).size * (4 if each.name in in_float else 1) for each in graph.convolutions)


def predict(ranked: Sequence[Measured], losses: Mapping[int, Loss], failing: int, fitting: int, most: float) -> int:
    """How many blocks to try next, more than `failing` and fewer than `fitting`.

    The drop is taken to be proportional to the squared error that is left. Where that leads on too slowly, steps
    double; once a number is known to do, the way between is halved.

    Args:
        ranked: The blocks in the order in which they go to float.
        losses: What was measured, by number of blocks in float.
        failing: The largest number with which too much is lost.
        fitting: The smallest that does, or that of all blocks.
        most: The most AP that may be lost, of 100.
    """
    if fitting in losses:
        return (failing + fitting) // 2
    left: NDArray[np.float64] = np.cumsum([each.loss.error for each in ranked][::-1])[::-1]
    wanted = left[failing] * most / (100 * losses[failing].ap)
    enough = failing + int((left[failing:] > wanted).sum())
    step: int = 2 ** (len(losses) - 1)
    return min(max(enough, failing + step), fitting - 1)
