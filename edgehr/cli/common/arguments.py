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


def add_spread_options(parser: argparse.ArgumentParser, work: str = "all") -> None:
    """Add the options that say who does the work, or this part of it, if not one process here."""
    title = "several workers" if work == "all" else f"several workers, {work}"
    who = parser.add_argument_group(title, "results are the same to the bit on processors of one kind")
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
    there = parser.add_argument_group("other machines, which need edgehr with a runtime, and nothing else")
    where = there.add_mutually_exclusive_group()
    where.add_argument("--on", action="append", metavar="USER@HOST[,USER@HOST]", help="measure there, by ssh")
    where.add_argument(
        "--on-command",
        action="append",
        metavar="COMMAND",
        help='or there: a command before `sh -c`, "docker exec -i board" say; once for each machine',
    )
    there.add_argument("--on-edgehr", default="edgehr", metavar="COMMAND", help="how edgehr is called there")


def remotes_of(args: argparse.Namespace) -> list[Remote]:
    """Return the machines that these options name; raises EdgehrError where they name none that can be reached."""
    from edgehr.benchmark.remote import Remote

    hosts = [host.strip() for text in args.on or () for host in text.split(",")]
    if twice := [host for host in dict.fromkeys(hosts) if hosts.count(host) > 1]:
        raise EdgehrError(f"--on {', '.join(twice)}: is named twice, and would be measured beside itself")
    commands: list[str] = args.on_command or []
    found = [Remote.by_ssh(host, args.on_edgehr) for host in hosts]
    return found + [Remote.by_command(command, args.on_edgehr) for command in commands]
