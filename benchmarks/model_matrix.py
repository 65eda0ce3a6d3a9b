"""Convert every network of the zoo to every target in every precision, and make the table of docs/models.md.

    make model-matrix [MODELS="w18 ocr"] [TARGETS="onnx tflite"] [PRECISIONS="fp32 fp16"] [WEIGHTS=FOLDER]
                      [SHARED=../shared] [FRESH=1]

One card stands for all cards of a task with the same network and the same origin of weights. Each conversion is
compared with PyTorch as any is. Inferences are timed after all conversions, and the artifacts deleted. Figures stay in
out/model-matrix, so that a run that was stopped goes on where it was. Every model is converted in a process of its own,
so that one that dies ends no other.

Weights are `<card>.*` in the folder of `--weights`, or what `edgehr fetch` downloaded, or else made ones
(tests/models/made_weights.py). What a network with made weights returns means nothing, but it is a network of real size
whose layers work on pictures and round as those of trained networks do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest

from edgehr.card import ModelCard
from edgehr.cli.common.output import progress_bar
from edgehr.errors import EdgehrError
from edgehr.files import atomic_write, read_json
from edgehr.zoo import all_cards
from tests.made_once import KeptExports, Store

ROOT = Path(__file__).parent.parent
OUT = ROOT / "out" / "model-matrix"
TARGETS = {"onnx": "ONNX", "openvino": "OpenVINO", "tensorrt": "TensorRT-RTX", "tflite": "TFLite"}
PRECISIONS = ("fp32", "fp16", "int8")
MAX_SIDE = 416  # of inputs; those with a longer one are halved, or INT8 would take hours and much memory


@dataclass(frozen=True)
class Row:
    """A network, and the card that stands for all of its kind."""

    card: ModelCard
    origin: str
    cards: int

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of its input here."""
        height, width = self.card.input.height, self.card.input.width
        if max(height, width) <= MAX_SIDE:
            return height, width
        return height // 64 * 32, width // 64 * 32


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, print the table; returns the exit status."""
    parser = argparse.ArgumentParser(prog="model-matrix", description="Every network on every target, as a table.")
    parser.add_argument("words", nargs="*", help="parts of names; all networks that have one of them, by default all")
    parser.add_argument("--targets", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder of data/")
    parser.add_argument("--weights", type=Path, help="folder of checkpoints that are named as cards")
    parser.add_argument("--out", type=Path, default=OUT, help="where figures are kept")
    parser.add_argument("--fresh", action="store_true", help="measure all anew")
    parser.add_argument("--no-timing", action="store_true", help="leave that to a later run, on a quiet machine")
    parser.add_argument("--table", action="store_true", help="print what is there, measure nothing")
    parser.add_argument(
        "--short", action="store_true", help="print the table of docs/models.md, a line for each network"
    )
    parser.add_argument("--only", help=argparse.SUPPRESS)  # the card that a child process measures
    args = parser.parse_args(arguments)
    try:
        if args.only:
            _convert_model(args.only, args)
            return 0
        rows = [row for row in networks() if not args.words or any(word in row.card.name for word in args.words)]
        if not rows:
            raise EdgehrError(f"no network's name has any of {', '.join(args.words)}: see `edgehr models`")
        if not args.table:
            _convert_all(rows, args)
            if not args.no_timing:
                _time_all(rows, args)
        print((summary if args.short else markdown)(rows, args.out))
    except EdgehrError as error:
        print(f"model-matrix: {error}", file=sys.stderr)
        return 1
    return 0


def networks() -> list[Row]:
    """List one card for each network and origin of weights, that with the smallest input."""
    groups: dict[Any, list[ModelCard]] = {}
    for card in all_cards():
        network = (card.task, card.architecture, *sorted(card.parameters.items()))
        groups.setdefault((*network, _origin(card)), []).append(card)
    smallest = [
        min(cards, key=lambda card: (card.input.height * card.input.width, card.name)) for cards in groups.values()
    ]
    return [Row(card, _origin(card), len(cards)) for card, cards in zip(smallest, groups.values(), strict=True)]


def _origin(card: ModelCard) -> str:
    """Say whose weights they are: the project on OpenMMLab's server, the owner elsewhere."""
    if not card.weights.url:
        return {"sample": "edgehr", "user": "your own"}[card.weights.origin]
    address = urlsplit(card.weights.url)
    return address.path.split("/")[1]


def _convert_all(rows: Sequence[Row], args: argparse.Namespace) -> None:
    """Run a child process for each model of which something is missing, and show how far all is."""
    cells = [(row, *cell) for row in rows for cell in _cells(args)]
    if args.fresh:
        for row, target, precision in cells:
            _place(args.out, row.card, target, precision).unlink(missing_ok=True)
    with progress_bar("model matrix", len(cells)) as progress:
        for number, row in enumerate(rows):
            missing = _missing(args, row.card)
            if missing:
                command = [sys.executable, "-m", "benchmarks.model_matrix", "--only", row.card.name]
                command += ["--shared", args.shared, "--out", args.out]
                command += ["--targets", *args.targets, "--precisions", *args.precisions]
                command += ["--weights", args.weights] if args.weights else []
                done = subprocess.run(list(map(str, command)), cwd=ROOT, check=False)
                for target, precision in _missing(args, row.card):
                    _keep(args.out, row.card, target, precision, {"error": f"its process ended with {done.returncode}"})
            progress.update((number + 1) * len(cells) // len(rows))


def _time_all(rows: Sequence[Row], args: argparse.Namespace) -> None:
    """Time the artifacts that are there."""
    from benchmarks.matrix_cell import artifact_of, time_artifact

    cells = [(row.card, target, precision) for row in rows for target, precision in _cells(args)]
    with progress_bar("timing", len(cells)) as progress:
        for card, target, precision in cells:
            path = artifact_of(args.out / card.name, target, precision)
            if path.is_file():
                figures = read_json(_place(args.out, card, target, precision))
                _keep(args.out, card, target, precision, {**figures, "ms": time_artifact(path)})
            progress.advance()


def _cells(args: argparse.Namespace) -> list[tuple[str, str]]:
    return [(target, precision) for target in args.targets for precision in args.precisions]


def _missing(args: argparse.Namespace, card: ModelCard) -> list[tuple[str, str]]:
    return [cell for cell in _cells(args) if not _place(args.out, card, *cell).is_file()]


def _place(out: Path, card: ModelCard, target: str, precision: str) -> Path:
    return out / card.name / f"{target}-{precision}.json"


def _keep(out: Path, card: ModelCard, target: str, precision: str, figures: dict[str, Any]) -> None:
    place = _place(out, card, target, precision)
    place.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(place) as (temporary,):
        temporary.write_text(json.dumps(figures, indent=1))


def _convert_model(name: str, args: argparse.Namespace) -> None:
    """Do what is missing of one model; an error of edgehr's is what is kept of that conversion."""
    from benchmarks.matrix_cell import HeldOut, checkpoint, measure_conversion  # PyTorch is for the child process alone

    row = next(row for row in networks() if row.card.name == name)
    card = row.card if row.size == (row.card.input.height, row.card.input.width) else row.card.with_size(*row.size)
    folder = args.out / name
    folder.mkdir(parents=True, exist_ok=True)
    held_out = HeldOut(card, args.shared)
    with TemporaryDirectory(dir=folder) as exports, pytest.MonkeyPatch.context() as patch:
        KeptExports(Store(Path(exports))).take_over(patch)  # targets share them, and most time goes there
        for target, precision in _missing(args, row.card):
            print(f"{card.name}: {TARGETS[target]} {precision}", file=sys.stderr, flush=True)
            figures: dict[str, Any] = {"size": row.size}
            start = time.monotonic()
            try:
                weights, figures["weights"] = checkpoint(card, args.weights, folder)
                figures |= measure_conversion(card, weights, target, precision, folder, args.shared, held_out)
            except EdgehrError as error:
                figures["error"] = str(error)
            figures["seconds"] = round(time.monotonic() - start)
            _keep(args.out, row.card, target, precision, figures)


def markdown(rows: Sequence[Row], out: Path) -> str:
    """Make the table of what was measured, a line for each network and target."""
    lines = [
        "| network (origin, cards) | input | weights | target | fp32 | fp16 | INT8 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        size, measured = "x".join(map(str, row.size)), _measured(row, out)
        for target, cells in measured.items():
            weights = _weights(measured)
            figures = " | ".join(_figures(cells.get(precision, {})) for precision in PRECISIONS)
            lines.append(
                f"| `{_name(row)}` ({row.origin}, {row.cards}) | {size} | {weights} | {TARGETS[target]} | {figures} |"
            )
    return "\n".join(lines)


def summary(rows: Sequence[Row], out: Path) -> str:
    """Make the short table of the same, a line for each network: three precisions, of which each cell has a figure."""
    lines = [
        f"| network | task | weights | {' | '.join(TARGETS.values())} | MB |",
        f"| --- | --- | --- | {' | '.join(['---'] * len(TARGETS))} | --- |",
    ]
    for row in rows:
        measured = _measured(row, out)
        if measured:
            near = [_triple(_nearness, measured.get(target, {})) for target in TARGETS]
            sizes = _triple(_megabytes, next(iter(measured.values())))
            name = f"`{_name(row)}` ({row.origin})"
            lines.append(f"| {name} | {row.card.task} | {_weights(measured)} | {' | '.join(near)} | {sizes} |")
    return "\n".join(lines)


def _measured(row: Row, out: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Read what is known of a network, by target and precision; targets of which nothing is known are left out."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for target in TARGETS:
        for precision in PRECISIONS:
            place = _place(out, row.card, target, precision)
            if place.is_file():
                found.setdefault(target, {})[precision] = {**read_json(place), "precision": precision}
    return found


def _weights(measured: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Say where the weights were from, in a word."""
    return next((cell["weights"] for cells in measured.values() for cell in cells.values() if "weights" in cell), "")


def _name(row: Row) -> str:
    return row.card.name.rsplit("-", 1)[0]


def _triple(figure: Callable[[Mapping[str, Any]], str], cells: Mapping[str, Mapping[str, Any]]) -> str:
    return " / ".join(figure(cells[precision]) if precision in cells else "·" for precision in PRECISIONS)


def _figures(cell: Mapping[str, Any]) -> str:
    """Say in a cell of the table how near it is to PyTorch, how large and how fast."""
    if not cell:
        return ""
    if "error" in cell:
        return f"no: {cell['error']}"
    near = _nearness(cell)
    if cell["precision"] == "int8":
        agreement = cell.get("agreement")
        near = f"r {near}" + (f", agrees {agreement:.3f}" if agreement is not None else "")
        near += f", {cell['int8_share']:.0%} INT8" if cell.get("int8_share") else ""
    time_taken = f", {cell['ms']:.0f} ms" if "ms" in cell else ""
    return f"{near}, {_megabytes(cell)} MB{time_taken}"


def _nearness(cell: Mapping[str, Any]) -> str:
    """Give the largest difference in standard deviations of the output, or the correlation of INT8."""
    if "error" in cell:
        return "no"
    return f"{cell['correlation']:.3f}" if cell["precision"] == "int8" else f"{cell['relative']:.0e}"


def _megabytes(cell: Mapping[str, Any]) -> str:
    return "no" if "error" in cell else f"{cell['size_bytes'] / 1e6:.1f}"


if __name__ == "__main__":
    sys.exit(main())
