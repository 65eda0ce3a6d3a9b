"""Print what edgehr logs on standard error, as far as `-v` asks for it."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Times of how `-v` was given -> what is shown. Without it Python itself prints warnings, without time and area.
_LEVELS = {1: logging.INFO, 2: logging.DEBUG}


class _ToStandardError(logging.Handler):
    """Prints on what standard error is at that moment, so that lines stand above a progress bar, not in it."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def add_verbose_option(parser: argparse.ArgumentParser) -> None:
    """Add `-v` to the parser of a command."""
    parser.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="say on standard error what is chosen and why; -vv says more",
    )


@contextmanager
def logged(verbosity: int) -> Iterator[None]:
    """Print what edgehr logs while the block runs.

    Args:
        verbosity: 0 changes nothing; 1 shows what is chosen and why, 2 or more details too.
    """
    if not verbosity:
        yield
        return
    logger, handler = logging.getLogger("edgehr"), _ToStandardError()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
    before = logger.level, logger.propagate
    logger.setLevel(_LEVELS.get(verbosity, logging.DEBUG))
    logger.propagate = False  # else what a library has set up prints it again
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
