"""Test what the search tries, leaves out and chooses; conversions, races and evaluations are made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgehr.benchmark.candidates import Candidate
from edgehr.errors import EdgehrError
from edgehr.runtimes.tuned import RunConfiguration, TunedModel
from edgehr.tune import search
from edgehr.tune.accuracy import Accuracy
from edgehr.tune.page import page
from edgehr.tune.race import Raced
from edgehr.tune.results import Limits, TuneReport
from edgehr.tune.search import _Search
from edgehr.tune.table import answer, left_out, problem, rows
from edgehr.tune.time_left import TimeLeft
from edgehr.tune.variants import Model, Variant
from edgehr.tune.workstation import Request
from edgehr.zoo import DEFAULT_MODEL, get_card

LARGE = Model(get_card(DEFAULT_MODEL), Path("w"))
SMALL = Model(LARGE.card.with_size(128, 96), Path("w"))
# Milliseconds and accuracy by size, target and precision.
TIMES = {
    ("256x192", "openvino", "fp32"): 20.0,
    ("256x192", "tflite", "fp32"): 25.0,
    ("256x192", "openvino", "fp16"): 21.5,
    ("256x192", "tflite", "fp16"): 18.0,
    ("256x192", "openvino", "int8"): 10.0,
    ("256x192", "tflite", "int8"): 15.0,
    ("256x192", "tflite", "dynamic-int8"): 80.0,
    ("128x96", "openvino", "fp32"): 6.0,
    ("128x96", "tflite", "fp32"): 5.0,
    ("128x96", "openvino", "fp16"): 6.0,
    ("128x96", "tflite", "fp16"): 5.0,
    ("128x96", "openvino", "int8"): 4.0,
    ("128x96", "tflite", "int8"): 3.0,
    ("128x96", "tflite", "dynamic-int8"): 9.0,
}
ACCURACY = {("256x192", "fp32"): 0.60, ("256x192", "fp16"): 0.60, ("256x192", "int8"): 0.594, ("128x96", "fp32"): 0.50}
ACCURACY |= {("128x96", "fp16"): 0.499, ("128x96", "int8"): 0.49}


def key(variant: Variant) -> tuple[str, str, str]:
    return variant.model.size, variant.target, variant.precision


@dataclass
class MadeUp:
    """Steps that take no time; `broken` cannot be converted."""

    folder: Path
    broken: tuple[tuple[str, str, str], ...] = ()
    alike: tuple[tuple[int, int], ...] = ()
    done: list[str] = field(default_factory=list)
    time: TimeLeft = field(default_factory=TimeLeft)
    machine: str = "a board"

    def convert(self, variant: Variant) -> Path:
        self.done.append("convert " + " ".join(key(variant)))
        if key(variant) in self.broken:
            raise EdgehrError(f"{' '.join(key(variant))} cannot be")
        path = self.folder / ("-".join(key(variant)) + {"openvino": ".xml", "tflite": ".tflite"}[variant.target])
        path.write_bytes(b"model")
        path.with_suffix(".bin").write_bytes(b"weights")
        return path

    def race(self, variant: Variant, path: Path) -> Raced:
        return Raced(RunConfiguration(threads=2), TIMES[key(variant)], TIMES[key(variant)] / 20, 0.02)

    def check_machine(self) -> None:
        raise EdgehrError("user@board: the line is dead")

    def evaluate(self, variant: Variant, path: Path) -> Accuracy:
        self.done.append("evaluate " + " ".join(key(variant)))
        value = ACCURACY[variant.model.size, variant.precision]
        return Accuracy(value, tuple(value + 0.001 * (number % 3) for number in range(10)))

    def final(self, entered: Sequence[Candidate]) -> dict[str, Any]:
        ms = [TIMES[tuple(each.path.stem.split("-", 2))] for each in entered]  # type: ignore[index]
        ratios = [[each / min(ms)] * 3 for each in ms]
        alike = [[b for a, b in (*self.alike, *((y, x) for x, y in self.alike)) if a == i] for i in range(len(ms))]
        return {"ms": ms, "ratios": ratios, "alike": alike, "remarks": []}


@pytest.fixture
def request_of(tmp_path: Path) -> Request:
    targets, precisions = ("openvino", "tflite"), ("fp32", "fp16", "int8", "dynamic-int8")
    calibration: Any = object()
    return Request(
        (LARGE, SMALL), targets, precisions, Limits(1.0), tmp_path / "a.json", tmp_path, None, None, 0, calibration
    )


def run(
    request: Request, monkeypatch: pytest.MonkeyPatch, where: str = "", **made_up: Any
) -> tuple[TuneReport, MadeUp]:
    from edgehr.evaluation.base import Evaluator

    monkeypatch.setattr(_Search, "_setting", lambda self: {"machine": self._steps.machine})
    steps = MadeUp(request.folder, **made_up)
    workstation = SimpleNamespace(request=request, evaluator=Evaluator.for_card(LARGE.card))
    return _Search(workstation, steps, where).run(), steps  # type: ignore[arg-type]


def test_the_fastest_that_is_accurate_enough_is_chosen(request_of: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    report, steps = run(request_of, monkeypatch)
    assert report.chosen is not None
    assert key(report.chosen.variant) == ("256x192", "openvino", "int8")
    assert report.drop(report.chosen) == (pytest.approx(0.6), pytest.approx(0.0))
    assert report.file is not None
    tuned = TunedModel.read(report.file)
    assert tuned.file == report.chosen.path.name
    assert tuned.run == RunConfiguration(threads=2)
    assert tuned.measured["ms"] == 10
    assert all(count == 0 for kind, count in steps.time.coming.items() if kind != "final")


def test_what_cannot_win_costs_nothing_more(request_of: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    report, steps = run(request_of, monkeypatch)
    out = {key(each.variant): each.out for each in report.tried}
    # The small input loses ten points in float32: it is not quantized, and stays on the frontier as it is.
    assert out["128x96", "tflite", "int8"] == "its float32 loses 10.0 points already"
    assert not any(step.startswith("convert 128x96") and not step.endswith("fp32") for step in steps.done)
    assert out["256x192", "tflite", "fp32"] == "returns what openvino fp32 does, later"
    assert "evaluate 256x192 tflite fp32" not in steps.done
    assert out["256x192", "openvino", "fp16"] == "slower than openvino fp32"
    assert out["256x192", "tflite", "dynamic-int8"] == "slower than openvino fp32"
    assert out["256x192", "openvino", "fp32"] == "slower than 256x192 tflite fp16, which is as accurate"
    assert [key(each.variant) for each in report.finalists] == [
        ("128x96", "tflite", "fp32"),
        ("256x192", "openvino", "int8"),
        ("256x192", "tflite", "fp16"),
    ]


def test_a_budget_alone_takes_the_most_accurate_within_it(request_of: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    report, steps = run(replace(request_of, limits=Limits(None, 8.0)), monkeypatch)
    assert report.chosen is not None
    assert key(report.chosen.variant) == ("128x96", "tflite", "fp32")
    assert "convert 128x96 tflite int8" in steps.done  # nothing may be lost for sure, so all is tried


def test_of_those_not_told_apart_the_most_accurate_is_taken(
    request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, _ = run(request_of, monkeypatch, alike=((1, 2),))
    assert report.chosen is not None
    assert key(report.chosen.variant) == ("256x192", "tflite", "fp16")


def test_where_nothing_fits_it_says_what_comes_nearest(request_of: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = run(replace(request_of, limits=Limits(0.5, 9.0)), monkeypatch)
    assert report.chosen is None
    assert report.file is None
    assert problem(report).startswith("nothing keeps to at most 0.5 points of AP less and at most 9 ms: ")
    assert "128x96 on tflite fp32, 2 threads: 5.00 ms, 50.00 AP, 10.00 ± 0.00 less than" in problem(report)
    assert answer(report) == [problem(report)]


def test_what_cannot_be_converted_is_left_out(request_of: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ("256x192", "openvino", "int8")
    report, steps = run(request_of, monkeypatch, broken=(broken,))
    assert report.chosen is not None
    assert key(report.chosen.variant) == ("256x192", "tflite", "int8")
    assert [each.out for each in report.tried if key(each.variant) == broken] == ["256x192 openvino int8 cannot be"]
    assert all(count == 0 for kind, count in steps.time.coming.items() if kind != "final")
    every = tuple(TIMES)
    with pytest.raises(
        EdgehrError, match="none of the models could be converted and run: 256x192 openvino fp32 cannot"
    ):
        run(request_of, monkeypatch, broken=every)


def test_a_machine_that_is_lost_ends_the_search(request_of: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not look like a format that cannot run there."""
    with pytest.raises(EdgehrError, match="the line is dead"):
        run(request_of, monkeypatch, where="user@board", broken=(("256x192", "openvino", "int8"),))


def test_no_int8_without_real_images(request_of: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = run(replace(request_of, calibration=None), monkeypatch)
    assert "int8" not in {each.variant.precision for each in report.tried}


def test_not_too_many_are_in_the_final(request_of: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MAX_FINALISTS", 2)
    report, _ = run(request_of, monkeypatch)
    assert [key(each.variant) for each in report.finalists] == [
        ("256x192", "openvino", "int8"),
        ("256x192", "tflite", "fp16"),
    ]
    assert "too many others have a better chance" in {each.out for each in report.tried}


def test_the_table_and_the_page(request_of: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = run(replace(request_of, limits=Limits(1.0, 30.0)), monkeypatch)
    headers, cells = rows(report)
    assert headers == ["NO", "MODEL", "RUNS ON", "", "ms", "TIME", "AP", "DROP", "FILE MB"]
    assert cells[1][2:7] == ["openvino int8, 2 threads", "chosen", "10.00", "2.00 (2.00-2.00)", "59.40"]
    assert len(left_out(report)[1]) == len(report.tried) - len(cells)
    text = page(report)
    assert text.count("<circle") == 3
    assert text.count('class="limit"') == 2
    assert "nan" not in text.lower().split("<svg")[1].split("</svg>")[0]
