"""`edgehr convert`: from a checkpoint to an artifact."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgehr.cli.calibration_options import (
    add_calibration_options,
    check_calibration_options,
    limit_drop,
    open_calibration,
)
from edgehr.cli.output import SubParsers, print_json, print_table
from edgehr.cli.stages import Stages
from edgehr.cli.tensorrt_options import add_tensorrt_options, given_options, with_options
from edgehr.errors import EdgehrError
from edgehr.tasks.pose.spec import DECODINGS, WARPS, with_decoding

if TYPE_CHECKING:
    from edgehr.converters.conversion_report import Report
    from edgehr.converters.kept import Kept
    from edgehr.converters.target import Target


MOST_IMAGES = 1024
TARGETS = ("onnx", "openvino", "tensorrt", "trt-bundle", "tflite")
PRECISIONS = ("fp32", "fp16", "dynamic-int8", "int8")


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("convert", help="convert a model to ONNX, OpenVINO, TensorRT or TFLite")
    parser.add_argument("model", help="a name from `edgehr models`, or a card of your own in a .json file")
    parser.add_argument("--to", required=True, choices=TARGETS, help="what to convert to")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="checkpoint (default: the model's own, downloaded)"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="fp32", help="default: fp32; dynamic-int8 goes with tflite"
    )
    parser.add_argument("--size", type=parse_size, metavar="HxW", help="input size, both divisible by 32")
    parser.add_argument("--fp16-io", action="store_true", help="with fp16: float16 input and output too")
    parser.add_argument("--batch", type=parse_batch, default=1, metavar="N|dynamic", help="images per inference")
    parser.add_argument(
        "--decoding", choices=DECODINGS, help="how applications decode the heatmaps, if not as the card"
    )
    parser.add_argument("--warp", choices=WARPS, help="how the crops were cut in training, if not as the card says")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="compare on these images instead of the shipped ones"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: artifacts/MODEL-PRECISION with its suffix")
    parser.add_argument(
        "--plain", action="store_true", help="keep the network as it was trained, in place of its deploy form"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    group = parser.add_argument_group("TFLite")
    group.add_argument("--layout", choices=["nhwc", "nchw"], help="of input and output (default: nhwc, channels last)")
    group.add_argument("--int8-io", action="store_true", help="with int8: INT8 input and output too")
    add_calibration_options(parser)
    add_tensorrt_options(parser)
    parser.set_defaults(run=run)


def parse_size(text: str) -> tuple[int, int]:
    """`256x192` as (256, 192)."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, 256x192 for example")
    return int(match[1]), int(match[2])


def parse_batch(text: str) -> int | None:
    """A number, or None for `dynamic`."""
    if text == "dynamic":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MOST_IMAGES:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of images (1 to {MOST_IMAGES}) nor `dynamic`")
    return int(text)


def run(args: argparse.Namespace) -> None:
    """Convert and print the report."""
    from edgehr.cli.fetch import fetch_with_progress
    from edgehr.dependencies import need_tflite_converter, need_torch
    from edgehr.zoo import find_card

    need_torch()
    if args.to == "tflite":
        need_tflite_converter()
    from edgehr.converters.convert import convert
    from edgehr.converters.source import check_origin
    from edgehr.models.backbones.layers import check_size

    card = find_card(args.model)
    if args.size:
        check_size(*args.size)
        card = card.with_size(*args.size)
    if args.decoding or args.warp:
        card = with_decoding(card, args.decoding, args.warp)
    target = _target(args)
    check_origin(card, target.name, needs_network=target.needs_network, plain=target.plain)
    calibration = open_calibration(args, card) if args.calib else None
    if calibration:
        target.calibration = calibration
    target.check(args.precision, args.batch)  # what is missing is said now, not after a download
    weights = args.weights or fetch_with_progress(card)
    with Stages(show=not args.json) as stages:
        if args.max_drop is not None:
            limit_drop(target, args.max_drop, stages.bar)
        report = convert(
            card,
            weights,
            target,
            precision=args.precision,
            batch=args.batch,
            out=args.out,
            images=args.images,
            listener=stages.listener,
        )
    if calibration:
        report.notes.append(f"what it was calibrated on: {calibration.write_manifest(report.path)}")
    if args.json:
        print_json(report.to_dict())
    else:
        _print_report(report)


def _target(args: argparse.Namespace) -> Target:
    """The target with the options that were given; raises EdgehrError for options that would do nothing."""
    from edgehr.converters.targets import make_target

    target = make_target(args.to)
    _refuse_stray(args)
    if args.to in ("tensorrt", "trt-bundle"):
        from edgehr.runtimes.tensorrt.settings import BuildSettings

        target.settings = with_options(BuildSettings(), args)  # type: ignore[attr-defined]
        if args.trt:
            target.library = args.trt  # type: ignore[attr-defined]
    if args.to == "tflite":
        target.channels_last = args.layout != "nchw"  # type: ignore[attr-defined]
    target.native_io = args.fp16_io or args.int8_io
    target.plain = args.plain
    return target


def _refuse_stray(args: argparse.Namespace) -> None:
    stray = given_options(args) if args.to not in ("tensorrt", "trt-bundle") else []
    if stray:
        raise EdgehrError(f"{', '.join(stray)} only go with --to tensorrt or trt-bundle")
    if args.profile and args.batch is not None:
        raise EdgehrError("--profile gives the batches of a dynamic model: it needs --batch dynamic")
    if args.trt and args.to == "trt-bundle":
        raise EdgehrError("--trt chooses who builds a plan; a bundle is built later: edgehr build BUNDLE --trt ...")
    if args.to != "tflite" and (args.layout or args.int8_io):
        raise EdgehrError("--layout and --int8-io only go with --to tflite")
    if args.to == "tflite" and args.fp16_io:
        raise EdgehrError("a TFLite file takes float32, or INT8 with --int8-io: --fp16-io goes with other targets")
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
    if report.kept and report.kept.rows:
        _print_kept(report.kept)


def _print_kept(kept: Kept) -> None:
    """What stays in float, why, and what it costs."""
    always = kept.result["always_float_share"]
    print(f"\nstays in float, beside {always:.1%} of the multiply-adds that the recipe keeps there: {kept.summary}")
    rows = [
        [
            row["block"],
            row["convolutions"],
            f"{row['ap_alone']:.2f}",
            f"{row['oks_alone']:.4f}",
            f"{row['error_share']:.1%}",
            f"{row['macs_share']:.1%}",
            f"+{row['bytes'] / 1e3:.1f} kB",
        ]
        for row in kept.rows
    ]
    headers = ["BLOCK", "CONVOLUTIONS", "LOSES ALONE: AP", "OKS", "OF ALL ERROR", "MULTIPLY-ADDS", "WEIGHTS"]
    print_table(headers, rows)
