"""Tables and JSON on standard output; progress on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from edgehr.progress import Progress

REFRESH_S = 0.2

# Commands: argparse's sub-parser collection has no public name.
SubParsers = Any


def print_json(value: Any) -> None:
    """Print one JSON document, indented, strictly standard (no NaN)."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns as wide as their content; the last one is not padded."""
    lines = [list(headers), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


class _PlainLine(Progress):
    """Counts in one line of standard error, which it writes over."""

    def __init__(self, label: str, total: int | None) -> None:
        self._label, self._done, self._total = label, 0, total
        self._width, self._shown_s = 0, float("-inf")

    def advance(self, steps: int = 1) -> None:
        self.update(self._done + steps)

    def update(self, done: int, total: int | None = None) -> None:
        self._done, self._total = done, total or self._total
        if time.monotonic() - self._shown_s > REFRESH_S:
            self._shown_s = time.monotonic()
            self._write(f"{self._label}  {done}" + (f"/{self._total}" if self._total else ""))

    def clear(self) -> None:
        """Leave the line empty, for what is printed next."""
        self._write("")

    def _write(self, text: str) -> None:
        print(f"\r{text.ljust(self._width)}\r{text}", end="", file=sys.stderr, flush=True)
        self._width = len(text)


@contextmanager
def progress_bar(label: str, total: int | None, unit: str = "") -> Iterator[Progress]:
    """Show progress on a terminal, in a plain line where rich is not installed (devices); elsewhere show nothing.

    Args:
        label: What is going on.
        total: How much there is to do, if known.
        unit: ``bytes`` shows sizes and speed; anything else shows counts.

    Yields:
        What the work tells how far it is.
    """
    try:
        from rich import progress as rich
        from rich.console import Console
    except ImportError:
        line = _PlainLine(label, total) if sys.stderr.isatty() else Progress()
        try:
            yield line
        finally:
            if isinstance(line, _PlainLine):
                line.clear()
        return
    amount = [rich.DownloadColumn(), rich.TransferSpeedColumn()] if unit == "bytes" else [rich.MofNCompleteColumn()]
    columns = [rich.TextColumn("{task.description}"), rich.BarColumn(), *amount, rich.TimeRemainingColumn()]
    console = Console(stderr=True)
    with rich.Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(label, total=total)

        class Shown(Progress):
            def advance(self, steps: int = 1) -> None:
                bar.advance(task, steps)

            def update(self, done: int, total: int | None = None) -> None:
                bar.update(task, completed=done, total=total)  # a total of None leaves what is known

        yield Shown()
