"""Tables and JSON on standard output; progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from edgehr.progress import Progress

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


@contextmanager
def progress_bar(label: str, total: int | None, unit: str = "") -> Iterator[Progress]:
    """Show progress on a terminal; elsewhere, and where rich is not installed (devices), show nothing.

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
        yield Progress()
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
