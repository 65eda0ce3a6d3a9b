"""`edgehr`: parse, call, and turn expected failures into one line.

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 143 terminated (129 for a terminal that has gone).
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from edgehr import __version__
from edgehr.cli import (
    annotate,
    bench,
    build,
    convert,
    demo,
    doctor,
    evaluate,
    export_repository,
    fetch,
    inspect,
    models,
    pull,
    report,
    rollout,
    tune,
    verify,
    web_demo,
)
from edgehr.cli.common.logs import add_verbose_option, logged
from edgehr.cli.common.stopping import Ended, ended_by_signals
from edgehr.errors import EdgehrError

COMMANDS = (
    models,
    fetch,
    convert,
    build,
    inspect,
    verify,
    evaluate,
    report,
    bench,
    tune,
    export_repository,
    demo,
    web_demo,
    annotate,
    rollout,
    pull,
    doctor,
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with all commands."""
    parser = argparse.ArgumentParser(prog="edgehr", description="Deploy HRNet and Lite-HRNet networks on devices.")
    parser.add_argument("--version", action="version", version=f"edgehr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.register(commands)
    for each in commands.choices.values():
        add_verbose_option(each)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status."""
    _print_anything()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what gRPC has to say comes as an error, too
    args = build_parser().parse_args(argv)
    try:
        with logged(args.verbose), ended_by_signals():
            args.run(args)
            sys.stdout.flush()
    except EdgehrError as error:
        print(f"edgehr {args.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # a full disk, a folder that cannot be read, a name that is too long
        where = f"{error.filename}: " if error.filename else ""
        print(f"edgehr {args.command}: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except Ended as end:
        print(f"edgehr {args.command}: ended by {end}", file=sys.stderr)
        return end.status
    except KeyboardInterrupt:
        print(f"edgehr {args.command}: interrupted", file=sys.stderr)
        return 130
    return 0


def _print_anything() -> None:
    r"""Let what standard output cannot encode (cp1252, ASCII, file names that are not UTF-8) come as ``\xe9``.

    Standard error does so by itself. No result may be lost because a character of it cannot be shown.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
