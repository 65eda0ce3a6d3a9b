"""Matplotlib's drawings as SVG inside a page: in its text color, with its font, and with nothing from elsewhere."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

from edgehr.errors import MissingDependencyError

# A color that nothing else has, in the place of the page's text color.
INK = "#123456"
_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_STYLE = {
    "svg.fonttype": "none",  # text stays text: found, read aloud, and in the reader's size
    "svg.hashsalt": "edgehr",
    "text.parse_math": False,  # a dollar in a file's name is a dollar
    "font.size": 10,
    "axes.titlesize": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def drawing() -> Iterator[Any]:
    """Matplotlib's pyplot, without a screen, in the report's style; figures are closed at the end.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import matplotlib
        from matplotlib import pyplot
    except ImportError:
        raise MissingDependencyError("the report's plots need matplotlib: pip install 'edgehr[report]'") from None
    backend = matplotlib.get_backend()
    pyplot.switch_backend("svg")
    try:
        with pyplot.rc_context(_STYLE):
            yield pyplot
    finally:
        pyplot.close("all")
        pyplot.switch_backend(backend)


def as_svg(figure: Any, name: str, told: str) -> str:
    """A figure as an SVG element for a page.

    Args:
        figure: Matplotlib's.
        name: Of the figure, unlike others on the page: its inner references start with it.
        told: What it shows, in words, for those who do not see it.
    """
    written = io.StringIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(written.getvalue())  # noqa: S314 - written here
    metadata = root.find(f"{_SVG}metadata")
    if metadata is not None:
        root.remove(metadata)
    _rename(root, name)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": told}
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        if _LINK in element.attrib:
            element.set("href", element.attrib.pop(_LINK))
    text = ElementTree.tostring(root, encoding="unicode")
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "sans-serif", text)
    return text.replace(INK, "currentColor")


def _rename(root: Any, name: str) -> None:
    """Give what is referred to a name of its own on the page, and the rest none."""
    used = set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", ElementTree.tostring(root, encoding="unicode")))
    for element in root.iter():
        if element.get("id") in used:
            element.set("id", f"{name}-{element.get('id')}")
        else:
            element.attrib.pop("id", None)
        for key, value in element.attrib.items():
            if key == _LINK:
                element.set(key, value.replace("#", f"#{name}-", 1))
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))
