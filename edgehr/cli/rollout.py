"""`edgehr rollout` and `edgehr pull`: put models on a web server for kinds of devices, and get them on a device."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgehr.cli.common.output import SubParsers, print_json, print_table, progress_bar


def register(commands: SubParsers) -> None:
    """Add the commands to the parser."""
    rollout = commands.add_parser(
        "rollout",
        help="write the folder from which devices pull their models",
        description="Write a folder for any web server: rollout.json says which model goes to which kind of device, "
        "with the SHA-256 of every file and what the model returns for a picture, and files/ holds them.",
    )
    rollout.add_argument(
        "entries",
        nargs="+",
        type=_entry,
        metavar="KIND[,KIND]=ARTIFACT",
        help="as raspberry-pi-5*=model.tflite; any for every device. The first that suits a device is its own",
    )
    rollout.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder, made if needed")
    rollout.add_argument("--no-check", action="store_true", help="devices try no more than whether the model runs")
    rollout.add_argument(
        "--tolerance",
        type=_tolerance,
        default=0.1,
        metavar="X",
        help="how far a device's outputs may be off, in standard deviations (0.1)",
    )
    rollout.add_argument("--json", action="store_true", help="print what is rolled out as JSON")
    rollout.set_defaults(run=make)
    pull = commands.add_parser(
        "pull",
        help="get the model that a rollout has for this device",
        description="Needs no more than a device installs. The new model is tried before it takes the place of the old "
        "one, which stays as DIR/previous.",
    )
    where = pull.add_mutually_exclusive_group(required=True)
    where.add_argument("url", nargs="?", metavar="URL", help="of rollout.json, or of its folder, with a / at the end")
    where.add_argument("--back", action="store_true", help="exchange the model and the previous one")
    where.add_argument("--kinds", action="store_true", help="print what kinds of device this is")
    pull.add_argument("--out", type=Path, default=Path("models"), metavar="DIR", help="where models are kept (models)")
    pull.add_argument("--kind", metavar="KIND", help="what this device is, if not what --kinds prints")
    pull.add_argument("--json", action="store_true", help="print what there is now as JSON")
    pull.set_defaults(run=get)


def make(args: argparse.Namespace) -> None:
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


def get(args: argparse.Namespace) -> None:
    """Get the model, and print where it is."""
    from edgehr.benchmark.board import device_kinds
    from edgehr.rollout.pull import pull, put_back

    kinds = [args.kind] if args.kind else device_kinds()
    if args.kinds:
        print_json({"kinds": kinds}) if args.json else print(*kinds, sep="\n")
        return
    if args.back:
        pulled = put_back(args.out)
    else:
        with progress_bar("pulling", None, "bytes") as progress:
            pulled = pull(args.url, args.out, kinds, progress.update)
    if args.json:
        print_json({**vars(pulled), "path": str(pulled.path)})
    elif args.back:
        print(f"{pulled.path} is the previous one, {pulled.version}")
    elif not pulled.changed:
        print(f"{pulled.path} is up to date, {pulled.version}")
    else:
        off = "" if pulled.difference is None else f", {pulled.difference:.2g} standard deviations off"
        print(f"{pulled.path} is new, {pulled.version}; self-check passed{off}")


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
