"""Put what a search found in tables and sentences."""

from __future__ import annotations

from edgehr.tune.results import Tried, TuneReport

NONE = "-"


def rows(report: TuneReport) -> tuple[list[str], list[list[str]]]:
    """Return headers and a row for each finalist, from the fastest on."""
    headers = ["NO", "MODEL", "RUNS ON", "", "ms", "TIME", report.points.upper(), "DROP", "FILE MB"]
    return headers, [[str(number), *_row(report, each)] for number, each in enumerate(report.finalists, 1)]


def left_out(report: TuneReport) -> tuple[list[str], list[list[str]]]:
    """Return headers and a row for each variant that was not in the final, the time of its race, and why."""
    others = sorted((each for each in report.tried if each.ms is None), key=lambda each: each.race_ratio)
    rows = [
        [each.variant.model.card.name, each.variant.name, f"{each.raced.ms:.1f}" if each.raced else NONE, each.out]
        for each in others
    ]
    return ["LEFT OUT", "RUNS ON", "ABOUT ms", "WHY"], rows


def _row(report: TuneReport, each: Tried) -> list[str]:
    drop = report.drop(each)
    return [
        each.variant.model.card.name,
        _runs_on(each),
        each.standing,
        f"{each.ms:.2f}",
        _ratio(each),
        f"{100 * each.value:.2f}",
        _with_error(*drop) if drop else NONE,
        f"{each.bytes / 1e6:.1f}",
    ]


def _runs_on(each: Tried) -> str:
    run = each.run
    how = [f"{run.threads} thread{'s' * (run.threads != 1)}"] if run.threads else []
    how += [f"{run.streams} streams"] if run.streams and run.streams > 1 else []
    return ", ".join([each.variant.name, *how])


def _with_error(value: float, error: float | None) -> str:
    return f"{value:.2f}" if error is None else f"{value:.2f} ± {error:.2f}"


def _ratio(each: Tried) -> str:
    if each.ratio is None:
        return NONE
    ratio, low, high = each.ratio
    return "1" if low == high == 1 else f"{ratio:.2f} ({low:.2f}-{high:.2f})"


def answer(report: TuneReport) -> list[str]:
    """Say in sentences what was chosen, or what comes nearest where nothing keeps to the limits."""
    chosen = report.chosen
    if chosen is None:
        return [problem(report)]
    lines = [f"Chosen: {_described(report, chosen)}."]
    if report.file:
        lines.append(f"To run it: edgehr.load({str(report.file)!r}), or that file wherever edgehr takes a model.")
    return lines


def problem(report: TuneReport) -> str:
    """Say that nothing keeps to the limits, and what comes nearest."""
    limits, finalists = report.limits, report.finalists
    words = [f"at most {limits.max_drop:g} points of {report.points} less"] if limits.max_drop is not None else []
    words += [f"at most {limits.budget_ms:g} ms"] if limits.budget_ms is not None else []
    fast, accurate = finalists[0], max(finalists, key=lambda each: each.value)
    ends = [fast] if fast is accurate else [fast, accurate]
    return f"nothing keeps to {' and '.join(words)}: {'; '.join(_described(report, each) for each in ends)}"


def _described(report: TuneReport, each: Tried) -> str:
    drop, lost = report.drop(each), ""
    if drop and each is not report.reference:
        word = "less" if drop[0] >= 0 else "more"
        reference = report.reference.variant.model.card.name
        lost = f", {_with_error(abs(drop[0]), drop[1])} {word} than {reference} in float32"
    name = f"{each.variant.model.card.name} on {_runs_on(each)}"
    return f"{name}: {each.ms:.2f} ms, {100 * each.value:.2f} {report.points}{lost}"
