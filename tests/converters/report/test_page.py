"""The report's page: whole in itself, escaped, and readable by machines."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgehr.benchmark.timing import Latency
from edgehr.converters.report.layer_error import LayerError
from edgehr.converters.report.page import page, write_page
from edgehr.converters.report.results import MeasuredArtifact, Picture, QualityReport
from edgehr.errors import EdgehrError
from edgehr.evaluation.keypoints.agreement import KeypointAgreement
from edgehr.evaluation.keypoints.ap import KeypointMetrics
from edgehr.evaluation.keypoints.evaluator import KeypointEvaluator
from edgehr.runtimes import Artifact
from edgehr.runtimes.coverage import Coverage, Node
from tests.converters.report.small_graphs import CARD
from tests.live.web import chromium

HOSTILE = "<script>alert('x')</script>&\"$\\frac{1}$"


class Parsed(HTMLParser):
    """Every element with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def report(label: str = "int8.onnx") -> QualityReport:
    """Two artifacts with every figure, made up."""
    accuracy = KeypointMetrics(0.6, 0.9, 0.7, 0.5, float("nan"), 0.65, 3, 2)
    coverage = Coverage((Node("one", "Conv", 90, True), Node("two", "Conv", 10, False), Node("s", "Sigmoid", 0, False)))
    first = MeasuredArtifact(
        "fp32.onnx",
        Path("m-fp32.onnx"),
        Artifact(CARD, "fp32", "1" * 64, {"onnx": "1.0"}),
        "onnxruntime 1 CPU",
        4_000_000,
        3,
        replace(coverage, nodes=tuple(replace(node, int8=False) for node in coverage.nodes)),
        accuracy,
        None,
        np.ones(3),
        Latency(10, 12, 13, 5),
    )
    second = replace(
        first,
        label=label,
        artifact=Artifact(CARD, "int8", "1" * 64, {"onnx": "1.0"}, "2" * 64),
        size_bytes=1_200_000,
        coverage=coverage,
        agreement=KeypointAgreement(0.95, 2, 30, 1, accuracy),
        similarity=np.array([0.9, np.nan, 1.0]),
        compared_with="fp32.onnx",
        errors=(LayerError("one", "Conv", 90, True, 31.25), LayerError(f"two{HOSTILE}", "Conv", 10, False, 12.5)),
    )
    jpeg = bytes(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1])
    picture = Picture(label, "the median", 0.95, f"{HOSTILE}.jpg", jpeg)
    setting = {"data": HOSTILE, "boxes": "ground truth"}
    return QualityReport("litehrnet", setting, KeypointEvaluator.terms, (first, second), (picture,))


def test_needs_nothing_from_elsewhere() -> None:
    text = page(report())
    parsed = Parsed(text)
    assert not parsed.all("script")
    assert not parsed.all("link")
    assert not parsed.all("iframe")
    ids = {attributes["id"] for _, attributes in parsed.elements if "id" in attributes}
    for _, attributes in parsed.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:image/jpeg;base64,") or value[1:] in ids, value
        assert not any(name.startswith("on") for name in attributes)
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text


def test_names_that_are_not_utf8_are_written(tmp_path: Path) -> None:
    write_page(replace(report(), setting={"data": "caf\udce9"}), tmp_path / "page.html")
    assert r"caf\udce9" in Parsed((tmp_path / "page.html").read_text(encoding="utf-8")).text


def test_hostile_names_are_text() -> None:
    parsed = Parsed(page(report(HOSTILE)))
    assert not parsed.all("script")
    assert parsed.text.count(HOSTILE) > 8  # in the table, in the plots, in headings and captions
    (picture,) = parsed.all("img")
    assert HOSTILE in (picture["alt"] or "")


def test_the_figures_are_in_it() -> None:
    parsed = Parsed(page(report()))
    for told in ("4.00 MB", "1.20 MB (0.30x)", "0.9500", "90.0 %", "12.5", "2 of 3", "sha256 " + "2" * 64):
        assert told in parsed.text, told
    assert "12.5 dB" in parsed.text
    (picture,) = parsed.all("img")
    encoded = (picture["src"] or "").removeprefix("data:image/jpeg;base64,")
    assert base64.b64decode(encoded) == report().pictures[0].jpeg


def test_plots_are_told_in_words_and_take_the_color_of_the_text() -> None:
    text = page(report())
    plots = Parsed(text).all("svg")
    assert len(plots) == 3
    assert all(plot["role"] == "img" for plot in plots)
    told = " ".join(plot["aria-label"] or "" for plot in plots)
    for figure in ("size, MB: fp32.onnx 4.00, int8.onnx 1.20", "int8.onnx lowest 0.900", "lowest 12.5 dB"):
        assert figure in told
    assert text.count("currentColor") > 20
    assert "#123456" not in text
    ids = [attributes["id"] for _, attributes in Parsed(text).elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_report_without_layers_or_pictures_is_a_page_too() -> None:
    bare = report()
    artifacts = tuple(replace(each, errors=(), coverage=None, operators=None) for each in bare.artifacts)
    parsed = Parsed(page(replace(bare, artifacts=artifacts, pictures=())))
    assert len(parsed.all("svg")) == 2
    assert not parsed.all("img")
    assert "SQNR" not in parsed.text


@pytest.mark.slow
@pytest.mark.skipif(chromium.PATH is None, reason="no Chromium here (apt-get install chromium)")
@pytest.mark.parametrize(("width", "scheme"), [(1200, "dark"), (400, "light")])
def test_a_browser_shows_it_without_complaint(tmp_path: Path, width: int, scheme: str) -> None:
    """Nothing is fetched, nothing reaches over the side, and plots are drawn in the text's color."""
    write_page(report(), tmp_path / "r.html")

    async def look() -> None:
        address = (tmp_path / "r.html").as_uri()
        async with chromium.browser(tmp_path / "profile") as browser, browser.page(address) as shown:
            await shown.show(width, 800, scheme)
            await shown.wait_for("document.readyState == 'complete' && !!document.querySelector('footer')")
            assert shown.complaints == []
            fetched = "performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'))"
            assert await shown.evaluate(fetched) == []
            assert await shown.evaluate("document.documentElement.scrollWidth") <= width
            ink = "getComputedStyle(document.querySelector('svg text')).fill"
            assert await shown.evaluate(f"{ink} == getComputedStyle(document.body).color")

    asyncio.run(look())


def test_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "r.html"
    write_page(report(), path)
    before = path.read_text(encoding="utf-8")
    assert before.rstrip().endswith("</html>")

    def fails(*_: object) -> str:
        raise EdgehrError("no plot")

    monkeypatch.setattr("edgehr.converters.report.page._PLOTS", {"overview": fails})
    with pytest.raises(EdgehrError, match="no plot"):
        write_page(report(), path)
    assert path.read_text(encoding="utf-8") == before
    assert [each.name for each in path.parent.iterdir()] == ["r.html"]
