"""`edgehr pull`: get the model that a rollout has for this device."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgehr.cli.common.output import SubParsers, print_json, progress_bar


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "pull",
        help="get the model that a rollout has for this device",
        description="Needs no more than a device installs. The new model is tried before it takes the place of the old "
        "one, which stays as DIR/previous.",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("url", nargs="?", metavar="URL", help="of rollout.json, or of its folder, with a / at the end")
    where.add_argument("--back", action="store_true", help="exchange the model and the previous one")
    where.add_argument("--kinds", action="store_true", help="print what kinds of device this is")
    parser.add_argument(
        "--out", type=Path, default=Path("models"), metavar="DIR", help="where models are kept (models)"
    )
    parser.add_argument("--kind", metavar="KIND", help="what this device is, if not what --kinds prints")
    parser.add_argument("--json", action="store_true", help="print what there is now as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
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
        print(f"{pulled.path} stays, {pulled.version}")
    else:
        off = "" if pulled.difference is None else f", {pulled.difference:.2g} standard deviations off"
        print(f"{pulled.path} is new, {pulled.version}; self-check passed{off}")
