"""Races, accuracies and the journal of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgehr.assets import packaged_model
from edgehr.benchmark.bench import Settings
from edgehr.benchmark.candidates import Candidate
from edgehr.benchmark.results import BenchReport
from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Evaluator
from edgehr.progress import no_bar
from edgehr.runtimes.tuned import RunConfiguration
from edgehr.spread import open_crew
from edgehr.tune.accuracy import Accuracy, measure_accuracy
from edgehr.tune.journal import Journal
from edgehr.tune.race import ROUNDS, Raced, candidate, race
from edgehr.tune.time_left import TimeLeft
from edgehr.tune.variants import Model, Variant, configurations, variants_of
from edgehr.zoo import DEFAULT_MODEL, get_card
from tests.benchmark.test_page import report

MODEL = Model(get_card(DEFAULT_MODEL), Path("w"))
PATH = Path("m.onnx")


class Machine:
    """A machine on which one inference of so many threads takes so many milliseconds."""

    def __init__(self, noise: float, **ms: float) -> None:
        self.noise, self.ms, self.laps = noise, ms, []  # type: ignore[var-annotated]

    def bench(self, candidates: Sequence[Candidate], settings: Settings) -> BenchReport:
        self.laps.append(([each.threads for each in candidates], settings.rounds))
        return report(self.noise, **{f"t{each.threads}": self.ms[f"t{each.threads}"] for each in candidates})


def ways(*threads: int) -> list[RunConfiguration]:
    return [RunConfiguration(threads=each) for each in threads]


def test_the_slower_leave_the_race() -> None:
    machine = Machine(0.01, t1=20, t2=12, t4=8, t9=16)
    raced = race(PATH, ways(1, 2, 4), candidate(PATH, *ways(9), 1), 1, machine.bench)
    assert machine.laps == [([1, 2, 4, 9], ROUNDS)]
    assert raced.run.threads == 4
    assert raced.ms == pytest.approx(8, rel=0.05)
    assert raced.ratio == pytest.approx(0.5, rel=0.05)
    assert 0 < raced.error < 0.05
    assert Raced.from_dict(raced.to_dict()) == raced


def test_what_is_not_told_apart_runs_on_and_takes_few_cores() -> None:
    machine = Machine(0.2, t1=30, t2=10.1, t4=10)
    raced = race(PATH, ways(1, 2, 4), None, 1, machine.bench)
    assert machine.laps == [([1, 2, 4], ROUNDS), ([2, 4], 2 * ROUNDS)]
    assert raced.run.threads == 2
    assert (raced.ratio, raced.error) == (1, 0)


def test_a_frame_takes_all_its_images() -> None:
    raced = race(PATH, ways(2), None, 4, Machine(0.01, t2=10).bench)
    assert raced.ms == pytest.approx(40, rel=0.05)


def test_ways_to_run() -> None:
    variant = Variant(MODEL, "openvino", "fp32")
    assert configurations(variant, 6, 1) == ways(1, 2, 4, 6)  # and streams as the runtime has them
    several = [(run.threads, run.streams) for run in configurations(variant, 4, 3)]
    assert several == [(1, 1), (2, 1), (4, 1), (4, 2), (4, 3)]
    assert [run.precision for run in configurations(replace(variant, arithmetic="bf16"), 1, 1)] == ["bf16"]
    assert configurations(Variant(MODEL, "tensorrt", "fp16"), 6, 1) == [RunConfiguration()]


def test_variants_come_from_cheap_to_dear() -> None:
    found = variants_of(MODEL, ("openvino", "tflite"), ("fp16", "int8"), {"openvino": ("bf16",)})
    assert [each.name for each in found] == [
        "openvino fp32",
        "tflite fp32",
        "openvino fp32, bf16 arithmetic",
        "openvino fp16",
        "tflite fp16",
        "openvino int8",
        "tflite int8",
    ]
    assert [each.full_precision for each in found[:3]] == [True, True, False]
    assert [each.conversion for each in found[-2:]] == ["quantize", "quantize"]


def test_the_error_of_a_drop_is_that_of_pairs() -> None:
    """Against the formula, and many sets of images whose difficulty both models share."""
    draw = np.random.default_rng(0)
    groups = draw.normal(0.6, 0.1, 10)

    def accuracy(values: np.ndarray) -> Accuracy:
        return Accuracy(float(values.mean()), tuple(float(np.delete(values, i).mean()) for i in range(10)))

    reference = accuracy(groups)
    assert accuracy(groups - 0.02).drop_from(reference) == pytest.approx(2)
    assert accuracy(groups - 0.02).drop_error(reference) == pytest.approx(0)
    changed = groups - draw.normal(0.02, 0.01, 10)
    expected = 100 * (groups - changed).std(ddof=1) / np.sqrt(10)
    assert accuracy(changed).drop_error(reference) == pytest.approx(expected)
    assert Accuracy.from_dict(reference.to_dict()) == reference
    nothing_left = Accuracy(0.5, (float("nan"), *changed[:2]))
    assert nothing_left.drop_error(Accuracy(0.5, (float("nan"), *groups[:2]))) is not None
    assert Accuracy(0.5, (0.5,)).drop_error(Accuracy(0.5, (0.5,))) is None


@pytest.mark.slow
def test_workers_measure_the_same_accuracy(few_people: tuple[Path, Path]) -> None:
    path = packaged_model(DEFAULT_MODEL)
    evaluator = Evaluator.for_card(MODEL.card)
    dataset = evaluator.read(*few_people)
    found = []
    for jobs in (1, 2):
        with open_crew(jobs) as crew:
            found.append(measure_accuracy(path, None, evaluator, dataset, no_bar, crew))
    assert found[0] == found[1]
    assert found[0].value > 0.3


def test_the_journal_knows_what_was_made_of_what(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.json")
    assert journal.find("race", {"file": "a"}) is None
    journal.write("race", {"file": "a", "cores": 2}, {"ms": 1.5})
    again = Journal(tmp_path / "journal.json")
    assert again.find("race", {"cores": 2, "file": "a"}) == {"ms": 1.5}
    assert again.find("race", {"cores": 3, "file": "a"}) is None
    assert again.find("final", {"cores": 2, "file": "a"}) is None
    for content in ("[]", '{"schema": 9}', "{"):
        (tmp_path / "journal.json").write_text(content)
        with pytest.raises(EdgehrError, match=r"journal\.json"):
            Journal(tmp_path / "journal.json")


def test_time_left_is_told_by_what_steps_took(monkeypatch: pytest.MonkeyPatch) -> None:
    left = TimeLeft()
    left.coming.update(convert=3, race=1)
    assert str(left) == "at most 2 min left"
    clock = iter([0.0, 4.0])
    monkeypatch.setattr("edgehr.tune.time_left.time.monotonic", lambda: next(clock))
    with left.step("convert"):
        pass
    left.skip("convert", "race")
    assert str(left) == "at most 8 s left"
