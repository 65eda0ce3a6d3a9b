"""Pieces of a page that needs nothing else: no network, no scripts, no further packages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np

from edgehr.files import atomic_write

# Told apart with color-blind eyes too (Okabe and Ito), on white and on black.
COLORS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#b3a100", "#999999")
WIDTH = 900  # of drawings, in their own units
_TEXT = ' class="text"'


def write_document(path: Path, text: str) -> None:
    """Write a page, whole or not at all; raises EdgehrError where that is not possible."""
    with atomic_write(path) as (temporary,):
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # names may hold anything


def document(title: str, parts: Iterable[str]) -> str:
    """Make a page of its parts, with the style in it."""
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def remark(line: str) -> str:
    """Make a paragraph that stands out, of words without a full stop."""
    return f'<p class="remark">{escape(line[:1].upper() + line[1:])}.</p>'


def pairs(items: Iterable[tuple[str, str]]) -> str:
    """Make a list of names and values."""
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in items) + "</dl>"


def figure(drawing: str, caption: str) -> str:
    """Put a caption below a drawing."""
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


def table(headers: Sequence[str], cells: Sequence[Sequence[object]], colors: dict[str, str] | None = None) -> str:
    """Make a table; cells that name a candidate get its color."""
    words = [any(_is_text(row[place]) for row in cells) for place in range(len(headers))]
    head = "".join(
        f"<th{_TEXT if is_text else ''}>{escape(name)}</th>" for name, is_text in zip(headers, words, strict=True)
    )
    body = "".join("<tr>" + "".join(_cell(cell, colors or {}) for cell in row) + "</tr>" for row in cells)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(cell: object, colors: dict[str, str]) -> str:
    text = str(cell)
    swatch = f'<span class="swatch" style="background: {colors[text]}"></span>' if text in colors else ""
    return f"<td{_TEXT if _is_text(cell) else ''}>{swatch}{escape(text)}</td>"


def _is_text(cell: object) -> bool:
    """Tell whether a cell begins with a letter, and so is no figure."""
    return str(cell)[:1].isalpha()


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers within a range."""
    span = (high - low) / most
    unit = 10.0 ** np.floor(np.log10(span))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= span)
    first = np.ceil(low / step)
    return [round(float(step * (first + i)), 10) for i in range(int((high - first * step) / step) + 1)]


def svg(height: float, title: str, parts: Iterable[str]) -> str:
    """Make a drawing of this height and its parts."""
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">{"".join(parts)}</svg>'
