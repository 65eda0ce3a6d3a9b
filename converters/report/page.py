"""Write the report as one HTML file that needs nothing else: no network, no scripts."""

from __future__ import annotations

import base64
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgehr.converters.report import plots
from edgehr.converters.report.pictures import COLORS
from edgehr.converters.report.results import Picture, QualityReport
from edgehr.converters.report.table import percent, table
from edgehr.errors import MissingDependencyError
from edgehr.files import atomic_write

_TEMPLATES = Path(__file__).parent / "templates"
_NOISIEST = 12


def write_page(report: QualityReport, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is not installed.
        EdgehrError: It cannot be written.
    """
    text = page(report)
    with atomic_write(path) as (temporary,):
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # file names may hold anything


def page(report: QualityReport) -> str:
    """Make the page as text. Raises MissingDependencyError where jinja2 or matplotlib is not installed."""
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
        **_template_values(report),
    )


_PLOTS = {"overview": plots.overview, "agreement": plots.agreement, "noise": plots.noise}


def check_packages() -> None:
    """Raise MissingDependencyError where what makes the page is not installed."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"the page needs {error.name}: pip install 'edgehr[report]'") from None


def _template_values(report: QualityReport) -> dict[str, Any]:
    """Prepare what the template shows of each artifact."""
    pictures: dict[str, list[tuple[Picture, str]]] = {}
    for picture in report.pictures:
        uri = f"data:image/jpeg;base64,{base64.b64encode(picture.jpeg).decode()}"
        pictures.setdefault(picture.label, []).append((picture, uri))
    return {
        # In artifacts that are not quantized, everything is in float.
        "floats": [
            (each.label, [(part, percent(part.macs / max(each.coverage.macs, 1))) for part in each.coverage.in_float])
            for each in report.artifacts
            if each.quantized and each.coverage is not None
        ],
        "noisiest": [
            (each.label, each.compared_with, sorted(each.errors, key=lambda error: error.sqnr_db)[:_NOISIEST])
            for each in report.artifacts
            if each.errors
        ],
        "pictures": pictures,
        "colors": COLORS,
    }
