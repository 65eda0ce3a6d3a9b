"""Put a measurement in words and rows, for the terminal and the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from edgehr.benchmark.ranking import ALIKE, DECISIVE_ROUNDS, FASTER, SLOWER, Comparison
from edgehr.benchmark.results import BenchReport, Measured
from edgehr.runtimes.tensors import OperatorTime

NONE = "-"
SHOWN_OPERATORS = 10


def rows(report: BenchReport) -> tuple[list[str], list[list[str]]]:
    """Return headers and a row for each candidate, the fastest first; columns that nobody fills are left out."""
    ranked = report.ranked
    streams = sorted({each.streams for one in ranked for each in one.throughput})
    columns = [
        ("RANK", [str(each.rank) for each in ranked] if len(ranked) > 1 else []),
        ("CANDIDATE", [each.name for each in ranked]),
        ("P50 ms", [f"{each.latency.p50_ms:.2f}" for each in ranked]),
        ("P90", [f"{each.latency.p90_ms:.2f}" for each in ranked]),
        ("P99", [f"{each.latency.p99_ms:.2f}" for each in ranked]),
        ("TIME", [_ratio(report, each) for each in ranked] if len(ranked) > 1 else []),
        *((f"IMG/S x{count}", [_rate(each, count) for each in ranked]) for count in streams),
        ("LOAD ms", [f"{each.start.load_ms:.0f}" if each.start else NONE for each in ranked]),
        ("FIRST ms", [f"{each.start.first_ms:.0f}" if each.start else NONE for each in ranked]),
        ("PEAK MiB", [f"{each.start.peak_mib:.0f}" if each.start and each.start.peak_mib else NONE for each in ranked]),
        ("FILE MB", [f"{each.size_bytes / 1e6:.1f}" for each in ranked]),
        ("RUNS ON", [", ".join(filter(None, (each.runtime, each.precision))) for each in ranked]),
    ]
    columns = [(name, cells) for name, cells in columns if any(cell != NONE for cell in cells)]
    return [name for name, _ in columns], [list(row) for row in zip(*(cells for _, cells in columns), strict=True)]


def _ratio(report: BenchReport, each: Measured) -> str:
    """Write the time of a candidate as a multiple of the first one's, with the uncertainty of the ratio."""
    base = report.ranked[0]
    if each is base:
        return "1"
    found = between(report, base.name, each.name)
    return f"{found.ratio:.2f} ({found.low:.2f}-{found.high:.2f})"


def _rate(each: Measured, count: int) -> str:
    return next((f"{found.images_per_s:.1f}" for found in each.throughput if found.streams == count), NONE)


def between(report: BenchReport, first: str, second: str) -> Comparison:
    """Return the comparison of two candidates, the other way round where it was made so."""
    for each in report.comparisons:
        if (each.first, each.second) == (first, second):
            return each
        if (each.first, each.second) == (second, first):
            turned = {SLOWER: FASTER, FASTER: SLOWER}.get(each.verdict, each.verdict)
            return Comparison(first, second, 1 / each.ratio, 1 / each.high, 1 / each.low, each.p, turned)
    raise KeyError((first, second))


def answer(report: BenchReport) -> list[str]:
    """Say in sentences which candidate is fastest, or why that cannot be said."""
    first, *others = report.ranked
    if not others:
        return []
    pairs = [between(report, first.name, each.name) for each in others]
    slower = [each for each in pairs if each.verdict == SLOWER]
    lines = []
    if len(slower) == len(pairs):
        lines.append(f"{first.name} is the fastest.")
    alike = [each.second for each in pairs if each.verdict == ALIKE]
    if alike:
        lines.append(f"{_joined([first.name, *alike])} take the same time, within {_percent(report.min_difference)}.")
    open_ones = [each for each in pairs if not each.told_apart and each.verdict != ALIKE]
    for each in open_ones:
        lines.append(
            f"{each.second} was not told apart from {first.name}: {each.low:.2f} to {each.high:.2f} of its time."
        )
    if open_ones:
        smallest = _percent(max(each.resolution for each in open_ones))
        too_noisy = f"Too noisy to tell differences below about {smallest}: quiet the machine, or measure for longer."
        enough = len(first.times_ms) >= DECISIVE_ROUNDS
        lines.append(
            too_noisy if enough else f"Fewer than {DECISIVE_ROUNDS} rounds tell nothing apart: measure for longer."
        )
    return lines


def _joined(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %" if value < 1 else f"{100 * value:.0f} %"


def by_kind(operators: Sequence[OperatorTime]) -> list[tuple[str, int, float]]:
    """Add up operators by type: its name, how many, and their milliseconds, the longest first.

    Where the backend tells no type, each operator stands for itself.
    """
    times: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for each in operators:
        times[each.kind or each.name] += each.ms  # type: ignore[assignment]
        counts[each.kind or each.name] += 1
    return [(kind, counts[kind], ms) for kind, ms in times.most_common()]
