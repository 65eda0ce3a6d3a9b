"""Turns, warm-up and names, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgehr.benchmark.candidates import Candidate
from edgehr.benchmark.naming import candidate_names, short_labels
from edgehr.benchmark.timing import Latency, calls_a_turn, interleaved, rounds_for, warm_up


class Clock:
    """Stands still but for the calls that it makes."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def taking(self, *seconds: float, then: float = 0.0) -> Callable[[], object]:
        rest = list(seconds)

        def call() -> None:
            self.now += rest.pop(0) if rest else then

        return call


def test_each_round_has_every_alternative_once_in_random_order() -> None:
    order: list[str] = []
    done: list[int] = []
    calls = {name: lambda name=name: order.append(name) for name in "abc"}
    times = interleaved(calls, rounds=20, warm_up=1, progress=lambda: done.append(len(order)))
    assert order[:3] == ["a", "b", "c"]
    rounds = ["".join(order[start : start + 3]) for start in range(3, 63, 3)]
    assert {"".join(sorted(each)) for each in rounds} == {"abc"}
    assert len(set(rounds)) > 3
    assert done == list(range(6, 66, 3))
    assert {name: values.shape for name, values in times.items()} == {name: (20, 1) for name in "abc"}
    again: list[str] = []
    interleaved({name: lambda name=name: again.append(name) for name in "abc"}, rounds=20, warm_up=1)
    assert again == order


def test_turns_of_several_calls_leave_the_first_out() -> None:
    clock = Clock()
    calls = {"a": clock.taking(9, 1, 2, 9, 3, 4), "b": clock.taking(9, 5, 9, 6)}
    times = interleaved(calls, 2, 0, calls={"a": 2, "b": 1}, lead=1, clock=clock)
    assert times["a"].tolist() == [[1000, 2000], [3000, 4000]]
    assert times["b"].tolist() == [[5000], [6000]]


def test_warm_up_ends_when_times_rest() -> None:
    clock = Clock()
    found = warm_up(clock.taking(0.5, 0.4, 0.3, 0.2, 0.15, then=0.1), 60, clock)
    assert (found.calls, found.steady, found.call_ms) == (13, True, pytest.approx(100))
    falling = clock.taking(*(0.5 * 0.9**step for step in range(40)))
    found = warm_up(falling, 3, clock)
    assert not found.steady
    assert found.seconds == pytest.approx(3, abs=0.3)
    assert warm_up(clock.taking(then=50.0), 3, clock).calls == 2


def test_how_much_is_measured() -> None:
    assert [calls_a_turn(ms) for ms in (0.01, 5, 30, 500)] == [50, 10, 2, 1]
    assert rounds_for(6, {"a": 10.0, "b": 10.0}, 0.01) == pytest.approx(6 / 0.07, abs=1)
    assert rounds_for(6, {"a": 1000.0}, 0.01) == 24
    assert Latency.of(np.array([[2.0, 4.0], [6.0, 6.0]]), images=2) == Latency(2.5, 3.0, 3.0, 4)


def test_labels_tell_files_apart() -> None:
    assert short_labels([Path("m-256x192-fp32.xml"), Path("m-256x192-int8.xml")]) == ["fp32.xml", "int8.xml"]
    assert short_labels([Path("a/x.onnx"), Path("b/x.onnx")]) == ["a/x.onnx", "b/x.onnx"]
    assert short_labels([Path("m.onnx"), Path("m.xml")]) == ["m.onnx", "m.xml"]
    assert short_labels([Path("caf\udce9.onnx"), Path("m.xml")]) == ["caf?.onnx", "m.xml"]  # as for Matplotlib
    assert short_labels([Path("x.xml"), Path("x.xml")]) == ["1: x.xml", "2: x.xml"]
    assert short_labels([Path("a\x1b-1.xml"), Path("b\n.xml")]) == ["a?-1.xml", "b?.xml"]
    assert short_labels([Path("m-256x192.xml")]) == ["m-256x192.xml"]


def test_names_say_what_was_set_differently() -> None:
    one, other = Path("m-1.xml"), Path("m-2.xml")
    assert candidate_names([Candidate(one), Candidate(other)]) == ["1.xml", "2.xml"]
    assert candidate_names([Candidate(one), Candidate(one)]) == ["m-1.xml #1", "m-1.xml #2"]
    several = [Candidate(one, threads=threads, precision=each) for each in (None, "bf16") for threads in (1, 2)]
    assert candidate_names(several)[1:3] == ["m-1.xml, default precision, 2 threads", "m-1.xml, bf16, 1 thread"]
