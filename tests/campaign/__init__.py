"""Campaigns of many random cases that try to break what edgehr promises (docs/reliability.md has what they found).

    python -m tests.campaign [kills|damage|strangers|load ...] --seed N --count N --minutes M --out FOLDER
    python -m tests.campaign --report --out FOLDER

A campaign is a module here, in `CAMPAIGNS`, with two names:

- `COUNT`: how many cases it has unless `--count` says.
- `open_campaign(folder)`: a context manager. It prepares what all cases share, in an empty folder of its own, and
  gives `draw(number, random)`, which returns the `Case` of that number. Case i of seed s is always the same: all chance
  comes from the given `random.Random`, seeded from campaign, seed and number. Drawing is quick and does nothing.

A `Case` has a `kind`, which is a row of the report, and `run()`. That returns in a word or two what happened where all
was well ("refused", "the old file", ...), which is a column of the report, or raises `BrokenPromiseError` with the
reason. Any other exception counts as a failure too. What may kill, hang or fill the process runs in a child of its own.

A line a case goes to FOLDER/CAMPAIGN.jsonl as soon as it is done. A run that was stopped goes on where it was, and
cases that failed are tried again; the report says how many failed at first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

CAMPAIGNS = ("kills", "damage", "strangers", "load")


class BrokenPromiseError(Exception):
    """A promise was broken; the message says which and how, in one line."""


@dataclass(frozen=True)
class Case:
    """One thing to try.

    Args:
        kind: What is tried, one of few.
        run: Tries it, returns what happened where all was well, and raises `BrokenPromiseError` otherwise.
    """

    kind: str
    run: Callable[[], str]


Draw = Callable[[int, Random], Case]
