"""Mixed precision: the blocks that stay in float for INT8 to lose no more accuracy than is allowed.

The sensitivity of each block is measured: it is quantized alone, and the error that it makes in the output is taken on
crops that nothing is fitted on; what one block costs in accuracy is too small to tell from chance. Those of most error
for each multiply-add stay in float, as few as will do. How many that is the whole network tells, quantized anew each
time as it would be written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.cache import Arrays, cached
from edgehr.calib.mixed_precision.accuracy_loss import AccuracyLoss, LossMeter
from edgehr.calib.mixed_precision.blocks import Block, find_blocks
from edgehr.calib.mixed_precision.single_block import SingleBlockQuantizer
from edgehr.calib.quantize import Calibration, Notify, quantize
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.placement import Placement
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from edgehr.calib.recipes import Recipe
from edgehr.errors import EdgehrError
from edgehr.evaluation.terms import Terms
from edgehr.progress import ProgressBar, no_bar

METHOD = 3  # of what is measured here: another number and nothing that was cached before is used
MAX_TRIALS = 8  # of whole networks, minutes each
FINE_ENOUGH = 0.01  # share of the multiply-adds that is not worth another trial
TOOLS = ("torch", "onnx")


@dataclass(frozen=True)
class MaxDrop:
    """The accuracy that INT8 may lose.

    Attributes:
        points: Accuracy, of 100, on the calibration set; see `edgehr.calib.mixed_precision.accuracy_loss`.
        bar: Shows progress while blocks are measured.
        annotations: What is true of the images of the calibration set; see `LossMeter`.
    """

    points: float
    bar: ProgressBar = no_bar
    annotations: Path | None = None


@dataclass(frozen=True)
class BlockSensitivity:
    """A block and the loss with it alone in INT8."""

    block: Block
    loss: AccuracyLoss


@dataclass(frozen=True)
class MixedPrecision:
    """The result of a search.

    Attributes:
        recipe: The recipe with the blocks that stay in float.
        max_drop: The drop that was asked for, of 100.
        terms: The field's words for accuracy and similarity.
        evaluated_on: The crops that the drop is measured on, in words.
        truth: What accuracy is measured against, in words.
        float_accuracy: Accuracy of the float network, 0 to 1.
        all_int8_loss: Loss with all blocks in INT8.
        loss: Loss of the network that is written.
        float_blocks: The blocks that stay in float, the most harmful for each multiply-add first.
        int8_blocks: Those in INT8, in the same order; none are measured where the drop fits at once.
        macs: Multiply-adds of the whole network.
        int8_macs: Those of them in INT8.
        all_int8_bytes: Bytes of the weights with all blocks in INT8.
        weight_bytes: Bytes of the weights as written.
    """

    recipe: Recipe
    max_drop: float
    terms: Terms
    evaluated_on: str
    truth: str
    float_accuracy: float
    all_int8_loss: AccuracyLoss
    loss: AccuracyLoss
    float_blocks: tuple[BlockSensitivity, ...]
    int8_blocks: tuple[BlockSensitivity, ...]
    macs: int
    int8_macs: int
    all_int8_bytes: int
    weight_bytes: int


def search_mixed_precision(
    model: Any, calibration: Calibration, drop: MaxDrop, notify: Notify | None = None
) -> MixedPrecision:
    """Find the blocks that stay in float.

    What is measured is cached, so that an interrupted search goes on where it was.

    Args:
        model: An `onnx.ModelProto` in float32 with sizes that are known, whose weights are named as PyTorch's.
        calibration: The calibration set and the recipe to start from.
        drop: The most that may be lost.
        notify: Told in words what is being done.

    Raises:
        EdgehrError: Not even a single block can be in INT8 within that drop, or the network cannot be quantized.
    """
    return _Search(model, calibration, drop, notify).run()


class _Search:
    def __init__(self, model: Any, calibration: Calibration, drop: MaxDrop, notify: Notify | None) -> None:
        self._model, self._calibration, self._drop, self._notify = model, calibration, drop, notify
        self._graph = Graph(model)
        network = SimulatedNetwork(self._graph)
        self._meter = LossMeter(calibration, drop.annotations, network.finish)
        self._meter.set_reference(network.run(self._meter.inputs))
        self._macs = sum(self._graph.multiply_adds(operator) for operator in self._graph.convolutions)

    def run(self) -> MixedPrecision:
        loss = all_int8_loss = self._try([])
        ranked, count = [], 0
        if not self._fits(loss):
            ranked = self._rank()
            count, loss = self._smallest_count(ranked, all_int8_loss)
        recipe, meter = self._recipe(ranked[:count]), self._meter
        placement = self._placement(recipe)
        return MixedPrecision(
            recipe=recipe,
            max_drop=self._drop.points,
            terms=meter.terms,
            evaluated_on=meter.evaluated_on,
            truth=meter.truth,
            float_accuracy=meter.float_accuracy,
            all_int8_loss=all_int8_loss,
            loss=loss,
            float_blocks=tuple(ranked[:count]),
            int8_blocks=tuple(ranked[count:]),
            macs=self._macs,
            int8_macs=placement.int8_multiply_adds(self._graph),
            all_int8_bytes=_weight_bytes(self._graph, self._all_int8),
            weight_bytes=_weight_bytes(self._graph, placement),
        )

    def _fits(self, loss: AccuracyLoss) -> bool:
        return 100 * loss.drop <= self._drop.points

    def _rank(self) -> list[BlockSensitivity]:
        """Measure all blocks, and return the most harmful for each multiply-add first."""
        quantize_block, measured = SingleBlockQuantizer(self._graph, self._calibration), []
        blocks = find_blocks(self._graph, self._all_int8)
        with self._drop.bar("measuring blocks", len(blocks)) as progress:
            for block in blocks:
                loss = self._cached({"block": block.convolutions}, partial(quantize_block, block))
                measured.append(BlockSensitivity(block, loss))
                progress.advance()
        return sorted(measured, key=lambda each: -each.loss.error / each.block.macs)

    def _smallest_count(self, ranked: list[BlockSensitivity], all_int8_loss: AccuracyLoss) -> tuple[int, AccuracyLoss]:
        """Search how many of the ranked blocks must stay in float, and return the loss with these."""
        failing, losses, fitting = 0, {0: all_int8_loss}, len(ranked)
        while fitting - failing > 1:
            between = sum(each.block.macs for each in ranked[failing + 1 : fitting])
            if fitting in losses and (len(losses) > MAX_TRIALS or between < FINE_ENOUGH * self._macs):
                break
            count = next_count(ranked, losses, failing, fitting, self._drop.points)
            losses[count] = self._try(ranked[:count])
            if self._fits(losses[count]):
                fitting = count
            else:
                failing = count
        if fitting == len(ranked):
            raise EdgehrError(
                f"{self._calibration.card.name}: no part of it can be in INT8 within {self._drop.points:g} points of "
                f"{self._meter.terms.points} of float32 on {self._meter.evaluated_on}: allow a larger --max-drop, or "
                "convert with --precision fp16"
            )
        return fitting, losses[fitting]

    def _try(self, in_float: list[BlockSensitivity]) -> AccuracyLoss:
        """Measure the loss of the whole network with these blocks in float."""
        recipe = self._recipe(in_float)
        words = f"{len(in_float)} blocks in float: " if in_float else ""

        def tell(what: str) -> None:
            if self._notify:
                self._notify(words + what)

        calibration = replace(self._calibration, recipe=recipe)
        return self._cached({"float": recipe.float_convolutions}, lambda: quantize(self._model, calibration, tell))

    def _recipe(self, in_float: list[BlockSensitivity]) -> Recipe:
        recipe = self._calibration.recipe
        if not in_float:
            return recipe
        names = [name for each in in_float for name in each.block.convolutions]
        # What stays in float by the recipe's own choice stays there, however little of its share the blocks leave.
        own = sorted(self._all_int8.float_weights)
        return replace(recipe, name=f"{recipe.name}-max-drop-{self._drop.points:g}", float_convolutions=(*own, *names))

    @cached_property
    def _all_int8(self) -> Placement:
        """Return the placement with no blocks in float."""
        return self._placement(self._calibration.recipe)

    def _placement(self, recipe: Recipe) -> Placement:
        """Return the placement of the network that is written, which is in the cache by now."""
        return quantize(self._model, replace(self._calibration, recipe=recipe)).placement

    def _cached(self, what: dict[str, Any], network: Callable[[], SimulatedNetwork]) -> AccuracyLoss:
        key = {**self._calibration.key, "sensitivity": METHOD, "meter": self._meter.key, "of": what}

        def compute() -> Arrays:
            loss = self._meter.measure(network().run(self._meter.inputs))
            return {"loss": np.array([loss.drop, loss.similarity, loss.error])}

        return AccuracyLoss(*cached(key, compute, TOOLS)["loss"].tolist())


def _weight_bytes(graph: Graph, placement: Placement) -> int:
    """Return the size of all filters as a quantized network stores them."""
    in_float = placement.float_weights
    return sum(graph.weight(each).size * (4 if each.name in in_float else 1) for each in graph.convolutions)


def next_count(
    ranked: Sequence[BlockSensitivity],
    losses: Mapping[int, AccuracyLoss],
    failing: int,
    fitting: int,
    max_drop: float,
) -> int:
    """Choose how many blocks to try next, more than `failing` and fewer than `fitting`.

    The drop is taken to be proportional to the squared error that is left. Where that leads on too slowly, steps
    double; once a number is known to do, the interval is halved.

    Args:
        ranked: The blocks in the order in which they go to float.
        losses: What was measured, by number of blocks in float.
        failing: The largest number with which too much is lost.
        fitting: The smallest that does, or that of all blocks.
        max_drop: The most accuracy that may be lost, of 100.
    """
    if fitting in losses:
        return (failing + fitting) // 2
    left: NDArray[np.float64] = np.cumsum([each.loss.error for each in ranked][::-1])[::-1]
    wanted = left[failing] * max_drop / (100 * losses[failing].drop)
    enough = failing + int((left[failing:] > wanted).sum())
    step: int = 2 ** (len(losses) - 1)
    return min(max(enough, failing + step), fitting - 1)
