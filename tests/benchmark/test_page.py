"""The page of a measurement, of figures that the test makes."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from edgehr.benchmark.fresh import Start
from edgehr.benchmark.page import page, write_page
from edgehr.benchmark.ranking import compare, ranks
from edgehr.benchmark.results import BenchReport, Measured
from edgehr.benchmark.state import Cores, State, Use
from edgehr.benchmark.table import answer, by_kind, rows
from edgehr.benchmark.throughput import Throughput
from edgehr.benchmark.timing import Latency, WarmUp
from edgehr.errors import EdgehrError
from edgehr.runtimes.tensors import OperatorTime
from tests.live.web import chromium


def report(noise: float = 0.01, **means: float) -> BenchReport:
    draw = np.random.default_rng(0)
    times = {name: mean * np.exp(draw.normal(0, noise, (48, 4))) for name, mean in means.items()}
    comparisons = compare(times)
    ranked = ranks(list(times), comparisons)
    operators = (
        OperatorTime("c1", "Conv", 3.0, "jit"),
        OperatorTime("r", "Relu", 1.5),
        OperatorTime("c2", "Conv", 0.5),
    )
    candidates = [
        Measured(
            name=name,
            path=f"{name}.onnx",
            model="",
            size_bytes=2_500_000,
            runtime="onnxruntime 1.32.0 CPU",
            precision="fp32",
            threads=None,
            inputs=["x float32 (1, 3, 8, 8)"],
            fed="random",
            images=1,
            warm_up=WarmUp(10, 0.1, 10.0, True),
            times_ms=values,
            latency=Latency.of(values),
            rank=ranked[name],
            start=Start(500.4, 20.0, 100.0, 80.0),
            throughput=(Throughput(2, 150.0, 140.0),),
            operators=operators,
        )
        for name, values in times.items()
    ]
    state = {"before": State(load=0.5), "after": State(load=0.7, temperatures={"cpu": 61.0}), "use": Use(9.0, 0.1, 0.0)}
    told = {**{name: each.to_dict() for name, each in state.items()}, "cores": asdict(Cores("a processor", 2, 2, None))}
    return BenchReport(
        setting={"machine": "a processor", "software": "edgehr", "inputs": "random numbers"},
        state=told,
        remarks=["other programs kept 0.4 cores busy meanwhile"],
        candidates=tuple(candidates),
        comparisons=tuple(comparisons),
        min_difference=0.02,
    )


def test_it_goes_through_json() -> None:
    made = report(a=10, b=12)
    told = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    again = BenchReport.from_dict(told)
    assert again.to_dict() == told
    np.testing.assert_allclose(again.candidates[1].times_ms, made.candidates[1].times_ms, atol=1e-4)
    first, (pair,) = told["candidates"][0], told["comparisons"]
    for wrong in (
        {},
        {**told, "schema": 99},
        {**told, "candidates": [{}]},
        {**told, "more": 1},
        {**told, "state": {}},
        {**told, "setting": {**told["setting"], "machine": 5}},
        {**told, "candidates": [first, first]},
        {**told, "candidates": [{**first, "size_bytes": "many"}, told["candidates"][1]]},
        {**told, "comparisons": [{**pair, "ratio": "fast"}]},
        {**told, "comparisons": []},
    ):
        with pytest.raises(EdgehrError, match=r"no measurement of edgehr's|another version|must be "):
            BenchReport.from_dict(wrong)


def test_what_the_table_says() -> None:
    headers, cells = rows(report(slow=12, fast=10))
    first, second = (dict(zip(headers, row, strict=True)) for row in cells)
    assert (first["RANK"], first["CANDIDATE"], first["TIME"]) == ("1", "fast", "1")
    assert (second["RANK"], second["CANDIDATE"], second["IMG/S x2"]) == ("2", "slow", "150.0")
    assert re.fullmatch(r"1\.\d\d \(1\.\d\d-1\.\d\d\)", second["TIME"])
    assert (first["LOAD ms"], first["FIRST ms"], first["PEAK MiB"], first["FILE MB"]) == ("500", "20", "80", "2.5")
    alone = report(a=10)
    bare = replace(alone, candidates=(replace(alone.candidates[0], start=None, throughput=()),))
    assert rows(bare)[0] == ["CANDIDATE", "P50 ms", "P90", "P99", "FILE MB", "RUNS ON"]
    assert by_kind(alone.candidates[0].operators) == [("Conv", 2, 3.5), ("Relu", 1, 1.5)]


def test_the_answer() -> None:
    assert answer(report(a=10)) == []
    assert answer(report(a=12, b=10, c=14)) == ["b is the fastest."]
    (line,) = answer(report(noise=0.001, a=10.001, b=10))
    assert line == "b and a take the same time, within 2 %."
    noisy = answer(report(noise=0.5, a=10, b=10.5))
    assert re.match(r"[ab] was not told apart from [ab]: 0\.\d\d to 1\.\d\d of its time\.", noisy[0])
    assert noisy[1].startswith("Too noisy to tell differences below about ")


def test_the_page_holds_it_all(tmp_path: Path) -> None:
    hostile = "a<script>&\"'"
    made = report(**{"fast": 10, hostile: 12})
    text = page(made)
    plain = re.sub(r"<!DOCTYPE html>|<meta [^>]*>", "", text)
    ElementTree.fromstring(plain)  # noqa: S314 - every tag is closed, every name escaped
    assert "<script" not in text
    for said in (
        "fast is the fastest.",
        "kept 0.4 cores busy",
        "Wilcoxon",
        "a&lt;script&gt;",
        "cpu 61 °C",
        "c1",
        "Pairs",
    ):
        assert said in text
    assert not re.search(r"(src|href)=|url\(|@import", text)
    write_page(made, tmp_path / "new" / "p.html")
    assert (tmp_path / "new" / "p.html").read_text(encoding="utf-8") == text
    assert "Pairs" not in page(report(alone=10.0))
    same = replace(made, candidates=tuple(replace(e, times_ms=np.full((1, 1), 10.0)) for e in made.candidates))
    assert "nan" not in page(same)


@pytest.mark.slow
@pytest.mark.skipif(chromium.PATH is None, reason="no Chromium here (apt-get install chromium)")
def test_a_browser_shows_it_without_complaint(tmp_path: Path) -> None:
    """Nothing is fetched, and nothing reaches over the side, on a desktop and a phone."""
    write_page(
        report(**{f"litehrnet-18-wider-naive-coco-256x192-{name}.onnx": 10 + i for i, name in enumerate("abc")}),
        tmp_path / "p.html",
    )

    async def look() -> None:
        address = (tmp_path / "p.html").as_uri()
        async with chromium.browser(tmp_path / "profile") as browser, browser.page(address) as shown:
            for width, scheme in ((1200, "light"), (390, "dark")):
                await shown.show(width, 800, scheme)
                await shown.wait_for("document.readyState == 'complete' && !!document.querySelector('footer')")
                assert await shown.evaluate("document.documentElement.scrollWidth") <= width
                ink = "getComputedStyle(document.querySelector('svg text:not(.faint)')).fill"
                assert await shown.evaluate(f"{ink} == getComputedStyle(document.body).color")
            assert shown.complaints == []
            assert await shown.evaluate("performance.getEntriesByType('resource').length") == 0

    asyncio.run(look())
