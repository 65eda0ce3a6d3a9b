"""Tables and JSON on standard output; progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# Commands: argparse's sub-parser collection has no public name.
SubParsers = Any


def print_json(value: Any) -> None:
    """One JSON document, indented, strictly standard (no NaN)."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as their content; the last one is not padded."""
    lines = [list(headers), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@contextmanager
def progress_bar(label: str, total: int | None, unit: str = "") -> Iterator[Callable[[int, int | None], None]]:
    """Show progress on a terminal; elsewhere, and where rich is not installed (devices), show nothing.

    Args:
        label: What is going on.
        total: How much there is to do, if known.
        unit: ``bytes`` shows sizes and speed; anything else shows counts.

    Yields:
        A function of the amount done so far and, if it has become known, the total.
    """
    try:
        from rich import progress as rich
        from rich.console import Console
    except ImportError:
        yield _no_progress
        return
    amount = [rich.DownloadColumn(), rich.TransferSpeedColumn()] if unit == "bytes" else [rich.MofNCompleteColumn()]
    columns = [rich.TextColumn("{task.description}"), rich.BarColumn(), *amount, rich.TimeRemainingColumn()]
    console = Console(stderr=True)
    with rich.Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(label, total=total)

        def advance(done: int, known: int | None) -> None:
            bar.update(task, completed=done, total=known or total)

        yield advance


@contextmanager
def counting_bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress as `progress_bar` does; yields a function of the amount done since it was last called."""
    with progress_bar(label, total) as advance:
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            advance(done, None)

        yield count


def _no_progress(done: int, total: int | None) -> None:
    """Stands in where there is nothing to show progress with."""
