"""Tell users what is no error, by Python's logging, which prints on standard error."""

from __future__ import annotations

import logging
from functools import cache


@cache
def warn_once(area: str, message: str) -> None:
    """Warn of each thing once, however often it is met.

    Args:
        area: The logger is ``edgehr.<area>``.
        message: What there is to know, in a line.
    """
    logging.getLogger(f"edgehr.{area}").warning("%s", message)
