"""`edgehr report`: compare artifacts of one model, in the terminal and as a page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgehr.cli.common.arguments import check_page, count
from edgehr.cli.common.output import SubParsers, print_json, print_table, progress_bar
from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.converters.report.results import QualityReport


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "report",
        help="compare converted models: size, accuracy, agreement, latency, INT8 coverage, error by layer",
        description="Measure artifacts of one model on annotated images: ground-truth boxes, no flip.",
    )
    parser.add_argument("reference", type=Path, metavar="FP32", help="what the others are compared with")
    parser.add_argument("others", type=Path, nargs="+", metavar="OTHER", help=".onnx, .xml, .tflite or .plan")
    parser.add_argument("--annotations", type=Path, required=True, metavar="PATH", help="what `edgehr eval` takes")
    parser.add_argument("--images", type=Path, metavar="DIR", help="its images; by default images/ beside it")
    parser.add_argument(
        "--people", type=count, metavar="N", help="stop after the images that hold the first N people (or images)"
    )
    parser.add_argument("--rounds", type=count, default=50, metavar="N", help="timed inferences of each (50)")
    parser.add_argument("--threads", type=count, metavar="N", help="threads of one inference")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a page with plots and pictures, .html")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measure, write the page, print the table."""
    paths = [args.reference, *args.others]
    _check(args, paths)
    from edgehr.converters.report.measure import measure

    report = measure(
        paths,
        args.annotations,
        args.images,
        max_samples=args.people or 0,
        threads=args.threads,
        rounds=args.rounds,
        bar=progress_bar,
    )
    if args.out:
        from edgehr.converters.report.page import write_page

        write_page(report, args.out)
    if args.json:
        print_json({**report.to_dict(), "page": str(args.out) if args.out else None})
    else:
        _print(report)
        if args.out:
            print(f"\nwritten: {args.out}")


def _check(args: argparse.Namespace, paths: list[Path]) -> None:
    """Raise EdgehrError before the work for what would fail after it."""
    from edgehr.dependencies import need_packages
    from edgehr.runtimes.formats import format_of

    for path in paths:
        if not path.is_file():
            raise EdgehrError(f"{path}: no such model file")
    need_packages(*{package for path in paths for package in format_of(path).graph_packages})
    if args.out:
        from edgehr.converters.report.page import check_packages

        check_packages()
        check_page(args.out)


def _print(report: QualityReport) -> None:
    from edgehr.converters.report.table import percent, table

    print(report.model)
    for name, value in report.setting.items():
        print(f"{name:<9} {value}")
    print()
    print_table(["", *(each.label for each in report.artifacts)], [[row.name, *row.cells] for row in table(report)])
    for each in report.artifacts:
        if each.quantized and each.coverage and each.coverage.in_float:
            macs = max(each.coverage.macs, 1)
            print(f"\nin float in {each.label}:")
            rows = [[g.count, g.operator, percent(g.macs / macs) if g.macs else ""] for g in each.coverage.in_float]
            print_table(["", "OPERATOR", "MULTIPLY-ADDS"], rows)
