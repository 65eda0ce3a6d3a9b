"""Which candidates are told apart, on simulated times whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from edgehr.benchmark.ranking import ALIKE, FASTER, SLOWER, UNDECIDED, compare, holm, ranks, signed_rank


def noise(draw: np.random.Generator, rounds: int, size: float, memory: float = 0.5) -> np.ndarray:
    """Disturbances of rounds, each of which lasts into the next ones."""
    values = draw.normal(0, size, rounds)
    for number in range(1, rounds):
        values[number] += memory * values[number - 1]
    return values


def simulated(seed: int, means: dict[str, float], rounds: int = 60, spikes: float = 0.1) -> dict[str, np.ndarray]:
    """Times of candidates on a machine that drifts, disturbs turns, and interrupts calls now and then."""
    draw = np.random.default_rng(seed)
    drift = noise(draw, rounds, 0.1, 0.9)
    times = {}
    for name, mean in means.items():
        turns = mean * np.exp(drift + noise(draw, rounds, 0.03))
        calls = turns[:, None] * np.exp(draw.normal(0, 0.03, (rounds, 5)))
        times[name] = calls * (1 + (draw.random(calls.shape) < spikes) * draw.exponential(1, calls.shape))
    return times


def test_identical_candidates_are_seldom_told_apart() -> None:
    verdicts = [compare(simulated(seed, {"a": 10, "b": 10}))[0].verdict for seed in range(200)]
    assert sum(verdict in (SLOWER, FASTER) for verdict in verdicts) <= 10
    assert verdicts.count(UNDECIDED) > 100  # and mostly not called alike either, at this noise


def test_five_identical_candidates_are_seldom_told_apart() -> None:
    names = dict.fromkeys("abcde", 10.0)
    wrong = sum(any(each.told_apart for each in compare(simulated(seed, names))) for seed in range(100))
    assert wrong <= 5


@pytest.mark.parametrize("spikes", [0.0, 0.3])
def test_a_tenth_slower_is_ranked_below(spikes: float) -> None:
    found = [compare(simulated(seed, {"a": 10, "b": 11}, spikes=spikes))[0] for seed in range(100)]
    assert sum(each.verdict == SLOWER for each in found) >= 95
    assert np.median([each.ratio for each in found]) == pytest.approx(1.1, rel=0.01)
    turned = [compare(simulated(seed, {"a": 11, "b": 10}, spikes=spikes))[0].verdict for seed in range(20)]
    assert turned.count(FASTER) >= 19


def test_the_interval_holds_the_truth() -> None:
    draw = np.random.default_rng(0)
    found = [compare({"a": np.ones((48, 1)), "b": 1.2 * np.exp(draw.normal(0, 0.05, (48, 1)))})[0] for _ in range(400)]
    assert 0.92 < np.mean([each.low <= 1.2 <= each.high for each in found]) < 0.99


def test_a_quiet_machine_says_alike_and_a_small_difference_does_not_count() -> None:
    draw = np.random.default_rng(1)
    a, b, c = (mean * np.exp(draw.normal(0, 0.002, (60, 3))) for mean in (10, 10.02, 10.1))
    assert compare({"a": a, "b": b})[0].verdict == ALIKE
    found = compare({"a": a, "b": c})[0]
    assert (found.verdict, found.p < 0.01) == (ALIKE, True)
    assert compare({"a": a, "b": c}, min_difference=0.005)[0].verdict == SLOWER


@pytest.mark.parametrize("rounds", [1, 2, 5, 11])
def test_few_rounds_decide_nothing(rounds: int) -> None:
    times = {"a": np.full((rounds, 2), 10.0), "b": np.full((rounds, 2), 20.0)}
    (found,) = compare(times)
    assert (found.ratio, found.verdict) == (pytest.approx(2), UNDECIDED)
    assert found.p > 0.05
    times["b"] = times["a"].copy()
    assert compare(times)[0].verdict == UNDECIDED


def test_enough_rounds_tell_many_pairs_apart() -> None:
    times = {str(number): np.full((60, 1), 1.0 + number / 10) for number in range(15)}
    found = compare(times)
    assert len(found) == 105
    assert {each.verdict for each in found} == {SLOWER}
    assert ranks(list(times), found) == {str(number): number + 1 for number in range(15)}


def test_what_was_not_told_apart_shares_a_rank() -> None:
    same = np.full((24, 1), 10.0)
    found = compare({"slow": same * 1.5, "a": same, "b": same})
    assert ranks(["slow", "a", "b"], found) == {"slow": 3, "a": 1, "b": 1}
    assert [each.verdict for each in found] == [FASTER, FASTER, ALIKE]
    assert compare({"alone": same}) == []


def test_p_values_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    draw = np.random.default_rng(0)
    for count in (6, 12, 20):
        values = draw.normal(0.3, 1, count)
        assert signed_rank(values) == pytest.approx(stats.wilcoxon(values, method="exact").pvalue)
    assert signed_rank(np.zeros(12)) == 1
    assert signed_rank(np.ones(12)) == pytest.approx(2**-11)


def test_holm_corrects_for_the_number_of_pairs() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
