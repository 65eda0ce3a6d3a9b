"""The base of all predictors: a model, opened, with the task that it serves."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.runtimes import Runtime, load

if TYPE_CHECKING:
    from typing import Self

Task = TypeVar("Task")
Result = TypeVar("Result")


class Predictor(ABC, Generic[Task, Result]):
    """A model that takes images and returns results of its task.

    Args:
        model: A converted model, or a runtime that is open already (it stays the caller's to close).
        make_task: Makes the pre- and post-processing for the model's card.
        device: Where the model runs, as for `edgehr.load`.
        threads: Threads of one inference.
        card: What the model is; None reads it from the model.

    Attributes:
        runtime: Runs the model.
        card: What the model is.
        task: Its pre- and post-processing.

    Raises:
        EdgehrError: The model cannot be opened, brings no card, or is one for another task.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Runtime,
        make_task: Callable[[ModelCard], Task],
        *,
        device: str = "auto",
        threads: int | None = None,
        card: ModelCard | None = None,
    ) -> None:
        with ExitStack() as opened:
            if isinstance(model, Runtime):
                self.runtime = model
            else:
                self.runtime = opened.enter_context(load(model, device, threads=threads))
            self.card = card or self.runtime.card
            self.task = make_task(self.card)
            self._opened = opened.pop_all()

    @abstractmethod
    def __call__(self, image: NDArray[Any]) -> Result:
        """Predict for one image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4), of any size."""

    def close(self) -> None:
        """Release what was opened here. Closing twice is fine."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
