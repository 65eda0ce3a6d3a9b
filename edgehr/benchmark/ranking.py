"""Tell which of several candidates is faster, or that this run cannot tell.

Two candidates that were timed in turns are compared round by round: the logarithm of the ratio of the medians of their
turns. What slowed a round down for both is gone from it. What disturbs one round often disturbs the next, so rounds are
put together to a dozen blocks of neighbors, whose medians hardly depend on one another (the method of batch means).
On these works the Wilcoxon signed-rank test, which needs no normal distribution; the figure and its interval are those
of Hodges and Lehmann, which belong to it. Of several pairs some look different by chance: hence Holm's correction.

- F. Wilcoxon: Individual comparisons by ranking methods. Biometrics Bulletin 1, 1945.
- J. L. Hodges, E. L. Lehmann: Estimates of location based on rank tests. Annals of Mathematical Statistics 34, 1963.
- B. Schmeiser: Batch size effects in the analysis of simulation output. Operations Research 30, 1982.
- S. Holm: A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6, 1979.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

TEST = "Wilcoxon signed-rank test on medians of blocks of paired rounds, Holm's correction, 5 %"
ALPHA = 0.05
MIN_DIFFERENCE = 0.02  # smaller ones are seldom worth a choice, and come from where a process happens to lie in memory
# The least number of blocks whose test can tell as many pairs apart; more would depend on one another.
_BLOCKS = (12, 16, 20)
DECISIVE_ROUNDS = _BLOCKS[0]  # fewer decide nothing
SLOWER, FASTER, ALIKE, UNDECIDED = "slower", "faster", "alike", "undecided"


@dataclass(frozen=True)
class Comparison:
    """Compares two candidates.

    Attributes:
        first: Name of the one.
        second: Name of the other.
        ratio: Time of the second as a multiple of the first's.
        low: Where its 95 % confidence interval begins.
        high: Where that ends. With fewer than twelve rounds the interval is the range that was seen.
        p: How often so large a difference would come by chance, after Holm's correction.
        verdict: Of the second: ``slower`` or ``faster`` than the first by a difference worth telling; ``alike`` where
            the whole interval is within that difference; ``undecided`` where the machine was too noisy, or the run too
            short.
    """

    first: str
    second: str
    ratio: float
    low: float
    high: float
    p: float
    verdict: str

    @property
    def told_apart(self) -> bool:
        """Tell whether one of them is faster."""
        return self.verdict in (SLOWER, FASTER)

    @property
    def resolution(self) -> float:
        """Return about how small a difference, as a fraction, these rounds can tell."""
        return float(np.sqrt(self.high / self.low) - 1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return vars(self).copy()


def compare(times: Mapping[str, NDArray[np.float64]], min_difference: float = MIN_DIFFERENCE) -> list[Comparison]:
    """Compare all pairs of candidates.

    Args:
        times: (rounds, calls) milliseconds by name, of the same unit of work and of the same rounds.
        min_difference: The smallest difference worth telling, as a fraction.

    Returns:
        A comparison a pair, in the order of the names.
    """
    turns = {name: np.log(np.median(each, axis=1)) for name, each in times.items()}
    pairs = list(combinations(turns, 2))
    found = [_compare(*pair, turns[pair[1]] - turns[pair[0]], len(pairs)) for pair in pairs]
    adjusted = holm([each.p for each in found])
    enough = all(len(each) >= DECISIVE_ROUNDS for each in turns.values())
    return [
        replace(each, p=p, verdict=_verdict(each, p, min_difference, enough=enough))
        for each, p in zip(found, adjusted, strict=True)
    ]


def ranks(names: Sequence[str], comparisons: Sequence[Comparison]) -> dict[str, int]:
    """Rank candidates: 1 and how many are faster. Those that were not told apart may share a rank."""
    faster = dict.fromkeys(names, 0)
    for each in comparisons:
        if each.told_apart:
            faster[each.second if each.verdict == SLOWER else each.first] += 1
    return {name: 1 + count for name, count in faster.items()}


def holm(values: Sequence[float]) -> list[float]:
    """Correct p-values for their number."""
    adjusted, running = [0.0] * len(values), 0.0
    for done, index in enumerate(np.argsort(values)):
        running = max(running, min((len(values) - done) * values[index], 1.0))
        adjusted[index] = running
    return adjusted


def signed_rank(values: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of the Wilcoxon signed-rank test that values lie around zero.

    Equal ones share their ranks, and zeros count half for either side, which errs to the safe side.
    """
    order = np.abs(values)
    ranked = (order[:, None] > order).sum(1) + ((order[:, None] == order).sum(1) + 1) / 2
    positive = float(ranked[values > 0].sum() + ranked[values == 0].sum() / 2)
    smaller = min(positive, float(ranked.sum()) - positive)
    return float(min(1.0, 2 * _distribution(len(values))[int(np.floor(smaller + 0.5))]))


@cache
def _distribution(count: int) -> NDArray[np.float64]:
    """Return how likely the sum of ranks of positive values is at most 0, 1, 2, ... where signs are chance."""
    ways = np.zeros(count * (count + 1) // 2 + 1)
    ways[0] = 1
    for rank in range(1, count + 1):
        ways[rank:] += ways[:-rank].copy()
    return np.asarray(np.cumsum(ways) / 2.0**count)


def _compare(first: str, second: str, differences: NDArray[np.float64], pairs: int) -> Comparison:
    wanted = next((each for each in _BLOCKS if pairs * 2.0 ** (1 - each) < ALPHA / 2), _BLOCKS[-1])
    blocks = np.array_split(differences, min(wanted, max(len(differences) // 2, 1)))
    medians = np.array([np.median(block) for block in blocks])
    # Means of all pairs of blocks, each with itself too: what lies in their middle is not rejected by the test.
    means = np.sort((medians[:, None] + medians)[np.triu_indices(len(medians))] / 2)
    outside = max(int(np.searchsorted(_distribution(len(medians)), ALPHA / 2, side="right")) - 1, 0)
    low, high = means[outside], means[len(means) - 1 - outside]
    ratio, low, high = (float(np.exp(each)) for each in (np.median(means), low, high))
    return Comparison(first, second, ratio, low, high, signed_rank(medians), UNDECIDED)


def _verdict(found: Comparison, p: float, min_difference: float, *, enough: bool) -> str:
    if p < ALPHA and max(found.ratio, 1 / found.ratio) >= 1 + min_difference:
        return SLOWER if found.ratio > 1 else FASTER
    within = 1 / (1 + min_difference) < found.low and found.high < 1 + min_difference
    return ALIKE if within and enough else UNDECIDED
