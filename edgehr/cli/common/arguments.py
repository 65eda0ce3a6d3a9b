"""Arguments that several commands take, and what is wrong with them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.benchmark.remote import Remote


def count(text: str) -> int:
    """Parse a whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def check_page(path: Path) -> None:
    """Raise EdgehrError for a name that is none of a page, or where nothing can be written."""
    from edgehr.files import check_writable

    if path.suffix not in (".html", ".htm"):
        raise EdgehrError(f"{path}: the page's name must end in .html")
    check_writable(path)


def add_spread_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say who does the work, if not one process here."""
    who = parser.add_argument_group("several workers", "results are the same to the bit on processors of one kind")
    who.add_argument(
        "--jobs", type=count, metavar="N", help="workers at once (1; with --ray all that the cluster has room for)"
    )
    who.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="spread the work over a Ray cluster: HOST:PORT, or auto for that of this machine",
    )


def threads_of_worker(args: argparse.Namespace) -> int | None:
    """Return how many threads an inference has: one, where several workers share the processors, unless asked for."""
    several = args.ray is not None or (args.jobs or 1) > 1
    threads: int | None = args.threads
    return threads or (1 if several else None)


def add_remote_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where to measure, if not here."""
    there = parser.add_argument_group("another machine, which needs edgehr with a runtime, and nothing else")
    where = there.add_mutually_exclusive_group()
    where.add_argument("--on", metavar="USER@HOST", help="measure there, by ssh")
    where.add_argument(
        "--on-command", metavar="COMMAND", help='or there: a command before `sh -c`, "docker exec -i board" say'
    )
    there.add_argument("--on-edgehr", default="edgehr", metavar="COMMAND", help="how edgehr is called there")


def remote_of(args: argparse.Namespace) -> Remote | None:
    """Return the machine that these options name; raises EdgehrError where they name none that can be reached."""
    if args.on is None and args.on_command is None:
        return None
    from edgehr.benchmark.remote import Remote

    if args.on is not None:
        return Remote.by_ssh(args.on, args.on_edgehr)
    return Remote.by_command(args.on_command, args.on_edgehr)
