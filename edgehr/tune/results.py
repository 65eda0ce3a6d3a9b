"""Results of a search, and the choice from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgehr.runtimes.tuned import RunConfiguration
from edgehr.tune.accuracy import Accuracy
from edgehr.tune.race import Raced
from edgehr.tune.variants import Variant

CHOSEN, FRONTIER, BEATEN = "chosen", "frontier", "beaten"


@dataclass
class Tried:
    """Tells what became of a variant.

    Attributes:
        variant: What was tried.
        path: Its main file, once it is converted.
        bytes: Size of all its files.
        raced: How it is run, and its time beside the pacemaker's.
        accuracy: Where it was measured.
        ms: Of a frame, in the final beside all others of it; None for what was not in it.
        ratio: That as a multiple of the fastest finalist's time, with its interval.
        out: Why it was not looked at any further, in words; empty for finalists.
        standing: Of finalists: ``chosen``, ``frontier`` (nothing else is faster and as accurate) or ``beaten``.
    """

    variant: Variant
    path: Path = Path()
    bytes: int = 0
    raced: Raced | None = None
    accuracy: Accuracy | None = None
    ms: float | None = None
    ratio: tuple[float, float, float] | None = None
    out: str = ""
    standing: str = ""

    @property
    def value(self) -> float:
        """Return its accuracy, 0 to 1; less than any where it was not evaluated."""
        return self.accuracy.value if self.accuracy else float("-inf")

    @property
    def run(self) -> RunConfiguration:
        """Return the way to run it that won its race."""
        return self.raced.run if self.raced else RunConfiguration()

    @property
    def race_ratio(self) -> float:
        """Return its time as a multiple of the pacemaker's; more than any where it did not run."""
        return self.raced.ratio if self.raced else float("inf")

    def drop_from(self, reference: Tried) -> float:
        """Return how much less accurate it is than another, in points of 100; infinite where one was not evaluated."""
        if self.accuracy is None or reference.accuracy is None:
            return float("inf")
        return self.accuracy.drop_from(reference.accuracy)

    def slower_than(self, other: Tried, margin: float = 0.0) -> bool:
        """Tell whether its race leaves no doubt that it takes longer than another, by more than a fraction of that."""
        doubt = sum(each.raced.error for each in (self, other) if each.raced)
        return self.race_ratio > other.race_ratio * (1 + max(margin, doubt))


@dataclass(frozen=True)
class Limits:
    """Says what the choice has to keep to.

    Attributes:
        max_drop: The most accuracy that may be lost, in points of 100 from the best float32 model; None for no limit.
        budget_ms: The most time of a frame; None for no limit.
    """

    max_drop: float | None = None
    budget_ms: float | None = None


@dataclass
class TuneReport:
    """Holds all that a search found.

    Attributes:
        setting: What it was taken on and how, in words.
        limits: What the choice had to keep to.
        at_once: Images of a frame.
        points: What accuracy is called, as the unit of a drop.
        tried: All variants.
        reference: The most accurate float32 one, which drops are counted from.
        chosen: The fastest that keeps to the limits; without a limit of the drop the most accurate one; None where
            nothing does.
        remarks: What makes the figures worth less, in sentences.
        file: What `edgehr.load` opens to run the choice; None where there is none.
    """

    setting: dict[str, str]
    limits: Limits
    at_once: int
    points: str
    tried: list[Tried]
    reference: Tried
    chosen: Tried | None = None
    remarks: list[str] = field(default_factory=list)
    file: Path | None = None

    @property
    def finalists(self) -> list[Tried]:
        """List what was in the final, the fastest first."""
        return sorted((each for each in self.tried if each.ms is not None), key=lambda each: each.ms or 0.0)

    def drop(self, each: Tried) -> tuple[float, float | None] | None:
        """Return the points that a variant lost and their standard error, if known; None where it was not evaluated."""
        reference = self.reference.accuracy
        if each.accuracy is None or reference is None:
            return None
        return each.accuracy.drop_from(reference), each.accuracy.drop_error(reference)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "setting": self.setting,
            "limits": vars(self.limits).copy(),
            "at_once": self.at_once,
            "accuracy_is": self.points,
            "file": str(self.file) if self.file else None,
            "remarks": self.remarks,
            "tried": [self._entry(each) for each in self.tried],
        }

    def _entry(self, each: Tried) -> dict[str, Any]:
        drop = self.drop(each)
        return {
            "model": each.variant.model.card.name,
            "size": each.variant.model.size,
            "target": each.variant.target,
            "precision": each.variant.precision,
            "arithmetic": each.variant.arithmetic,
            "path": str(each.path) if each.bytes else None,
            "bytes": each.bytes,
            "run": vars(each.raced.run).copy() if each.raced else None,
            "race_ms": each.raced.ms if each.raced else None,
            "ms": each.ms,
            "ratio_to_fastest": list(each.ratio) if each.ratio else None,
            "accuracy": each.accuracy.value if each.accuracy else None,
            "drop": drop[0] if drop else None,
            "drop_standard_error": drop[1] if drop else None,
            "standing": each.standing,
            "out": each.out,
        }


def choose(finalists: Sequence[Tried], reference: Tried, limits: Limits, alike: Sequence[set[int]]) -> Tried | None:
    """Choose from the finalists, and note where each stands.

    Args:
        finalists: With their times and accuracies.
        reference: What drops are counted from.
        limits: What the choice has to keep to.
        alike: For each finalist the places of those that it was not told apart from in time.

    Returns:
        With a limit of the drop, the fastest of those that keep to the limits, and of several that were not told apart
        from it the most accurate. Without one, the most accurate within the budget. None where nothing keeps to them.
    """
    places = {id(each): place for place, each in enumerate(finalists)}
    fitting = [each for each in finalists if _fits(each, reference, limits)]
    for each in finalists:
        each.standing = BEATEN if any(_beats(other, each) for other in finalists) else FRONTIER
    if not fitting:
        return None
    if limits.max_drop is not None:
        fastest = min(fitting, key=lambda each: each.ms or 0.0)
        as_fast = {places[id(fastest)], *alike[places[id(fastest)]]}
        fitting = [each for each in fitting if places[id(each)] in as_fast]
    chosen = max(fitting, key=lambda each: (each.value, -(each.ms or 0.0)))
    chosen.standing = CHOSEN
    return chosen


def _fits(each: Tried, reference: Tried, limits: Limits) -> bool:
    accurate = limits.max_drop is None or each.drop_from(reference) <= limits.max_drop
    return accurate and each.ms is not None and (limits.budget_ms is None or each.ms <= limits.budget_ms)


def _beats(other: Tried, each: Tried) -> bool:
    """Tell whether another is as fast and as accurate, and better in one of both."""
    one, two = (((given.ms or 0.0), -given.value) for given in (other, each))
    return one != two and one[0] <= two[0] and one[1] <= two[1]
