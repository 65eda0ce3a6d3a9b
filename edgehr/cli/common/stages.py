"""The stages of a conversion on a terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from edgehr.cli.common.output import progress_bar
from edgehr.progress import Progress

if TYPE_CHECKING:
    from edgehr.converters.conversion_report import Listener, Stage


class Stages:
    """Shows each stage as it runs (on a terminal) and a line for each that is done; a context manager.

    Args:
        show: Otherwise nothing but progress bars is shown.
    """

    def __init__(self, *, show: bool) -> None:
        from rich.console import Console

        self._show = show
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._status = self._console.status("")

    def __enter__(self) -> Stages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()  # a spinner that goes on hides the cursor for good

    @property
    def listener(self) -> Listener | None:
        """Return what is to be told of stages."""
        return self._listen if self._show else None

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Progress]:
        """Show a progress bar in the place of the spinner, which the next stage starts again."""
        self._status.stop()
        with progress_bar(label, total) as progress:
            yield progress

    def _listen(self, name: str, stage: Stage | None) -> None:
        if stage is None:
            self._status.update(f"{name} ...")
            if self._console.is_terminal:
                self._status.start()
        else:
            self._status.stop()
            if logging.getLogger("edgehr.convert").isEnabledFor(logging.INFO):
                return  # `-v` has said it
            self._console.print(f"  {name:<27} {stage.seconds:6.1f} s  {stage.detail}", markup=False)
