"""What became of each case, a line of JSON a case, and the report of counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """What became of a case.

    Args:
        campaign: Its campaign.
        seed: The campaign's seed.
        number: Its number in there.
        kind: What was tried.
        ok: All was well.
        why: What happened: an outcome of few, or the reason of the failure.
        seconds: How long it took.
    """

    campaign: str
    seed: int
    number: int
    kind: str
    ok: bool
    why: str
    seconds: float


class Journal:
    """Keeps entries in a file that only ever grows.

    A last line that is not whole, of a run that was killed, does not count.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: list[Entry] = []
        if path.exists():
            whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
            self.entries = [Entry(**json.loads(line)) for line in whole.splitlines()]
            path.write_text(f"{whole}\n" if whole else "", encoding="utf-8")

    def done(self, campaign: str, seed: int) -> set[int]:
        """Return the numbers of the cases that need not be tried again."""
        return {
            entry.number
            for entry in latest(self.entries)
            if entry.ok and (entry.campaign, entry.seed) == (campaign, seed)
        }

    def write(self, entry: Entry) -> None:
        """Add an entry."""
        self.entries.append(entry)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry)) + "\n")


def latest(entries: Iterable[Entry]) -> list[Entry]:
    """Return the last entry of each case."""
    return list({(entry.campaign, entry.seed, entry.number): entry for entry in entries}.values())


def report(entries: list[Entry]) -> str:
    """Return the counts as tables of Markdown, one for each campaign and seed: kinds by outcomes."""
    now = latest(entries)
    failed_once = {(entry.campaign, entry.seed, entry.number) for entry in entries if not entry.ok}
    parts = []
    for campaign, seed in sorted({(entry.campaign, entry.seed) for entry in now}):
        chosen = [entry for entry in now if (entry.campaign, entry.seed) == (campaign, seed)]
        outcomes = sorted({entry.why for entry in chosen if entry.ok})
        rows = [["what", "cases", *outcomes, "failed at first", "fail now"], ["---", *["--:"] * (len(outcomes) + 3)]]
        for kind in [*sorted({entry.kind for entry in chosen}), "together"]:
            of_kind = [entry for entry in chosen if kind in (entry.kind, "together")]
            counts = Counter(entry.why if entry.ok else "" for entry in of_kind)
            first = sum((entry.campaign, entry.seed, entry.number) in failed_once for entry in of_kind)
            figures = [len(of_kind), *(counts[why] for why in outcomes), first, counts[""]]
            rows.append([kind, *(f"{figure:,}" if figure else "" for figure in figures)])
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        minutes = sum(entry.seconds for entry in chosen) / 60
        faults = [f"- case {e.number}, {e.kind}: {e.why}" for e in chosen if not e.ok]
        parts += [f"### {campaign}, seed {seed} ({minutes:.0f} minutes)", table, "\n".join(faults)]
    return "\n\n".join(part for part in parts if part)
