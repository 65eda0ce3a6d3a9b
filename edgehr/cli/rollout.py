"""`edgehr rollout`: put models on a web server, for kinds of devices."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgehr.cli.common.output import SubParsers, print_json, print_table, progress_bar


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "rollout",
        help="write the folder from which devices pull their models",
        description="Write a folder for any web server: rollout.json says which model goes to which kind of device, "
        "with the SHA-256 of every file and what the model returns for a picture, and files/ holds them.",
    )
    parser.add_argument(
        "entries",
        nargs="+",
        type=_entry,
        metavar="KIND[,KIND]=ARTIFACT",
        help="as raspberry-pi-5*=model.tflite; any for every device. The first that suits a device is its own",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder, made if needed")
    parser.add_argument("--no-check", action="store_true", help="devices try no more than whether the model runs")
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        default=0.1,
        metavar="X",
        help="how far a device's outputs may be off, in standard deviations (0.1)",
    )
    parser.add_argument("--json", action="store_true", help="print what is rolled out as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Write the folder, and print what is in it."""
    from edgehr.rollout.make import make_rollout

    with progress_bar("running the models", None):
        rollout = make_rollout(args.entries, args.out, check=not args.no_check, tolerance=args.tolerance)
    if args.json:
        print_json({"out": str(args.out), "entries": [{**e.to_dict(), "version": e.version} for e in rollout.entries]})
        return
    rows = [
        [
            ",".join(entry.kinds),
            entry.main,
            len(entry.files),
            f"{sum(file.size for file in entry.files) / 1e6:.1f}",
            entry.version,
        ]
        for entry in rollout.entries
    ]
    print_table(["KIND", "MODEL", "FILES", "MB", "VERSION"], rows)
    print(f"\nserve {args.out}, and on devices: edgehr pull http://HOST/rollout.json")


def _entry(text: str) -> tuple[tuple[str, ...], Path]:
    kinds, equals, path = text.partition("=")
    listed = tuple(kind.strip().lower() for kind in kinds.split(","))
    if not equals or not path or not all(listed):
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND=ARTIFACT")
    return listed, Path(path)


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of standard deviations")
    return value
