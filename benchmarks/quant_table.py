"""Measured INT8 artifacts as a Markdown table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgehr.converters.report.results import Column

# Packages whose versions the table names.
TOOLS = ("onnxruntime", "openvino", "nncf", "ai-edge-quantizer", "ai-edge-litert", "litert-torch", "torch")


@dataclass(frozen=True)
class Row:
    """One line: a kind of artifact, who made it, and what was measured for each model."""

    form: str
    by: str
    columns: Mapping[str, Column]


def markdown(rows: Sequence[Row], people: str, models: Mapping[str, str]) -> str:
    """The table, under what it was measured on.

    Args:
        rows: Its lines; those that follow a float32 one of the same kind are compared with it.
        people: What was measured on what, in words.
        models: What is to be said of each model, by the letter that the table gives it.
    """
    headers = ["", "by"]
    for model in models:
        headers += [f"{name} ({model})" for name in ("AP", "mean OKS", "AP with float as truth")]
    listed = ", ".join(f"({model})" for model in models)
    headers += [f"size {listed}", f"multiply-adds in INT8 {listed}"]
    lines = [headers, ["---"] * len(headers), *_lines(rows, list(models))]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    described = [f"({model}) {what}." for model, what in models.items()]
    return "\n".join([people, *described, f"Versions: {_versions(rows)}.", "", table])


def _lines(rows: Sequence[Row], models: Sequence[str]) -> list[list[str]]:
    lines, reference = [], rows[0]
    for row in rows:
        if row.by == "float32":
            reference = row
        cells = [row.form, row.by]
        for model in models:
            cells += _accuracy(row.columns[model])
        sizes = [f"{row.columns[m].size_bytes / reference.columns[m].size_bytes:.2f}" for m in models]
        lines.append([*cells, ", ".join(sizes), ", ".join(_share(row.columns[model]) for model in models)])
    return lines


def _accuracy(column: Column) -> list[str]:
    agreement = column.agreement
    if agreement is None:
        return [f"{100 * column.accuracy.ap:.2f}", "", ""]
    truth = "" if agreement.ap is None else f"{100 * agreement.ap.ap:.1f}"
    return [f"{100 * column.accuracy.ap:.2f}", f"{agreement.oks:.3f}", truth]


def _share(column: Column) -> str:
    return f"{column.coverage.int8_share:.1%}".replace("%", " %") if column.coverage else "-"


def _versions(rows: Sequence[Row]) -> str:
    columns = [column for row in rows for column in row.columns.values()]
    known = {name: number for column in columns for name, number in column.artifact.tools.items()}
    return ", ".join(f"{name} {known[name]}" for name in ("edgehr", *TOOLS) if name in known)
