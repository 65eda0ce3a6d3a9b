"""The report as one HTML file that needs nothing else: no network, no scripts."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from edgehr.converters.report import plots
from edgehr.converters.report.layer_error import LayerError
from edgehr.converters.report.pictures import OTHER, REFERENCE
from edgehr.converters.report.results import Picture, QualityReport
from edgehr.converters.report.table import percent, table
from edgehr.errors import MissingDependencyError
from edgehr.files import atomic_write
from edgehr.runtimes.coverage import FloatGroup

_TEMPLATES = Path(__file__).parent / "templates"
_WORST = 12


@dataclass(frozen=True)
class _Float:
    """What stays in float in one artifact: label, groups with their share of the multiply-adds in words."""

    label: str
    groups: list[tuple[FloatGroup, str]]


@dataclass(frozen=True)
class _Shown:
    """A picture with its data URI."""

    picture: Picture
    uri: str


def write_page(report: QualityReport, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is not installed.
        EdgehrError: It cannot be written.
    """
    text = page(report)
    with atomic_write(path) as (temporary,):
        temporary.write_text(text, encoding="utf-8")


def page(report: QualityReport) -> str:
    """The page as text. Raises MissingDependencyError where jinja2 or matplotlib is not installed."""
    check_packages()
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = {name: Markup(draw(report)) for name, draw in _PLOTS.items()}  # noqa: S704 - escaped by Matplotlib
    return environment.get_template("report.html").render(
        report=report,
        version=version("edgehr"),
        rows=table(report),
        plots=drawn,
        floats=_floats(report),
        worst=_worst(report),
        pictures=_pictures(report),
        colors={"reference": REFERENCE, "other": OTHER},
    )


_PLOTS = {"overview": plots.overview, "agreement": plots.agreement, "noise": plots.noise}


def check_packages() -> None:
    """Raise MissingDependencyError where what makes the page is not installed."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"the page needs {error.name}: pip install 'edgehr[report]'") from None


def _floats(report: QualityReport) -> list[_Float]:
    """Of quantized artifacts only: in others, everything is in float."""
    found = []
    for column in report.columns:
        coverage = column.coverage
        if column.quantized and coverage is not None:
            macs = max(coverage.macs, 1)
            found.append(_Float(column.label, [(group, percent(group.macs / macs)) for group in coverage.in_float]))
    return found


def _worst(report: QualityReport) -> list[tuple[str, str, list[LayerError]]]:
    """Of each artifact with known errors: its label, what it is compared with, and its noisiest layers."""
    return [
        (column.label, column.compared_with, sorted(column.errors, key=lambda error: error.sqnr_db)[:_WORST])
        for column in report.columns
        if column.errors
    ]


def _pictures(report: QualityReport) -> dict[str, list[_Shown]]:
    """The pictures by the artifact they are of."""
    found: dict[str, list[_Shown]] = {}
    for picture in report.pictures:
        uri = f"data:image/jpeg;base64,{base64.b64encode(picture.jpeg).decode()}"
        found.setdefault(picture.label, []).append(_Shown(picture, uri))
    return found
