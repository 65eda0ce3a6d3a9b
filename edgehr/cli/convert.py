"""`edgehr convert`: from a checkpoint to an artifact."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.cli.common.arguments import add_spread_options
from edgehr.cli.common.calibration_options import (
    add_calibration_options,
    check_calibration_options,
    max_drop,
    open_calibration,
)
from edgehr.cli.common.output import SubParsers, print_json, print_table
from edgehr.cli.common.stages import Stages
from edgehr.converters.target import TARGETS
from edgehr.errors import EdgehrError
from edgehr.tasks.detection.spec import with_proposals
from edgehr.tasks.pose.spec import DECODINGS, WARPS, with_decoding
from edgehr.tasks.segmentation.spec import with_labels, with_probabilities

if TYPE_CHECKING:
    from edgehr.converters.conversion_report import Report
    from edgehr.converters.float_blocks import FloatBlocks

MAX_IMAGES = 1024


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("convert", help="convert a model to ONNX, OpenVINO, TensorRT or TFLite")
    parser.add_argument("model", help="a name from `edgehr models`, or a card of your own in a .json file")
    parser.add_argument("--to", required=True, choices=TARGETS.names, help="what to convert to")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="checkpoint (default: the model's own, downloaded)"
    )
    precisions = dict.fromkeys(precision for name in TARGETS.names for precision in TARGETS.get(name).precisions)
    parser.add_argument(
        "--precision", choices=list(precisions), default="fp32", help="default: fp32; dynamic-int8 goes with tflite"
    )
    parser.add_argument("--size", type=parse_size, metavar="HxW", help="input size, both divisible by 32")
    parser.add_argument("--fp16-io", action="store_true", help="with fp16: float16 input and output too")
    parser.add_argument("--batch", type=parse_batch, default=1, metavar="N|dynamic", help="images per inference")
    parser.add_argument(
        "--decoding", choices=DECODINGS, help="how applications decode the heatmaps, if not as the card"
    )
    parser.add_argument("--warp", choices=WARPS, help="how the crops were cut in training, if not as the card says")
    parser.add_argument(
        "--labels", action="store_true", help="segmentation: return each pixel's class, a byte, in place of logits"
    )
    parser.add_argument(
        "--probabilities", action="store_true", help="segmentation: return the softmax over the classes"
    )
    parser.add_argument(
        "--proposals", type=int, metavar="N", help="two-stage detectors: how many regions to look at, 1 to 1000"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="compare on these images instead of the shipped ones"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: artifacts/MODEL-PRECISION with its suffix")
    parser.add_argument(
        "--plain", action="store_true", help="keep the network as it was trained, in place of its deploy form"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_calibration_options(parser)
    add_spread_options(parser, "to look for the crops of --calib")
    parser.set_defaults(run=run, of_targets=_add_target_options(parser))


def _add_target_options(parser: argparse.ArgumentParser) -> list[tuple[list[str], list[argparse.Action]]]:
    """Add the options that belong to some targets only, and return them with the names of those targets."""
    owners: dict[Any, list[str]] = {}
    for name in TARGETS.names:
        owners.setdefault(TARGETS.get(name).add_options, []).append(name)
    return [(names, add(parser.add_argument_group(f"with --to {' or '.join(names)}"))) for add, names in owners.items()]


def parse_size(text: str) -> tuple[int, int]:
    """Parse `256x192` as (256, 192)."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, 256x192 for example")
    return int(match[1]), int(match[2])


def parse_batch(text: str) -> int | None:
    """Parse a number, or `dynamic` as None."""
    if text == "dynamic":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MAX_IMAGES:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of images (1 to {MAX_IMAGES}) nor `dynamic`")
    return int(text)


def run(args: argparse.Namespace) -> None:
    """Convert and print the report."""
    from edgehr.cli.fetch import fetch_with_progress
    from edgehr.dependencies import need_packages, need_torch
    from edgehr.zoo import find_card

    need_torch()
    kind = TARGETS.get(args.to)
    need_packages(*kind.packages, extra=kind.extra)
    from edgehr.converters.convert import convert
    from edgehr.models.backbones.layers import check_size
    from edgehr.spread import open_crew

    card = find_card(args.model)
    if args.size:
        check_size(*args.size)
        card = card.with_size(*args.size)
    if args.decoding or args.warp:
        card = with_decoding(card, args.decoding, args.warp)
    if args.labels:
        card = with_labels(card)
    if args.probabilities:
        card = with_probabilities(card)
    if args.proposals is not None:
        card = with_proposals(card, args.proposals)
    _refuse_stray(args)
    target = kind.from_options(args)
    target.check_model(card)
    calibration = None
    if args.calib:
        with open_crew(args.jobs, args.ray) as crew:
            calibration = open_calibration(args, card, crew)
    target = replace(target, calibration=calibration)
    target.check()  # what is missing is said now, not after a download
    weights = args.weights or fetch_with_progress(card)
    with Stages(show=not args.json) as stages:
        drop = None if args.max_drop is None else max_drop(args, card, stages.bar)
        report = convert(
            card,
            weights,
            replace(target, max_drop=drop),
            out=args.out,
            images=args.images,
            listener=stages.listener,
        )
    if args.json:
        print_json(report.to_dict())
    else:
        _print_report(report)


def _refuse_stray(args: argparse.Namespace) -> None:
    """Raise EdgehrError for options that would do nothing."""
    for names, actions in args.of_targets:
        given = [each.option_strings[0] for each in actions if getattr(args, each.dest) != each.default]
        if given and args.to not in names:
            raise EdgehrError(f"{', '.join(given)} only go with --to {' or '.join(names)}")
    check_calibration_options(args)


def _print_report(report: Report) -> None:
    nodes = ", ".join(f"{count} {name}" for name, count in report.nodes.items())
    print(f"\n{report.path}")
    for label, value in (
        ("model", report.model),
        ("weights", report.weights),
        ("precision", report.precision),
        ("size", f"{report.size_bytes / 1e6:.1f} MB"),
        ("nodes", nodes),
        (f"against {report.reference}", report.difference),
        ("compared on", report.compared_on),
        ("time", f"{report.seconds:.1f} s"),
        *(("note", note) for note in report.notes),
    ):
        print(f"  {label:<22} {value}")
    if report.float_blocks and report.float_blocks.rows:
        _print_float_blocks(report.float_blocks)


def _print_float_blocks(blocks: FloatBlocks) -> None:
    """Print what stays in float, why, and what it costs."""
    always = blocks.result["always_float_share"]
    print(f"\nstays in float, beside {always:.1%} of the multiply-adds that the recipe keeps there: {blocks.summary}")
    rows = [
        [
            row["block"],
            row["convolutions"],
            f"{row['drop_alone']:.2f}",
            f"{row['similarity_alone']:.4f}",
            f"{row['error_share']:.1%}",
            f"{row['macs_share']:.1%}",
            f"+{row['bytes'] / 1e3:.1f} kB",
        ]
        for row in blocks.rows
    ]
    words = [f"LOSES ALONE: {blocks.result['metric']}", blocks.result["similarity_name"]]
    headers = ["BLOCK", "CONVOLUTIONS", *words, "OF ALL ERROR", "MULTIPLY-ADDS", "WEIGHTS"]
    print_table(headers, rows)
