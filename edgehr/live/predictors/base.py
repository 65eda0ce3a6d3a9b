"""The base of all predictors: a model, opened, with the task that it serves."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgehr.assets import packaged_models
from edgehr.card import ModelCard
from edgehr.errors import ArtifactError, EdgehrError
from edgehr.live.pipeline import run_pipeline
from edgehr.live.predictors.packaged import open_packaged
from edgehr.live.sources import Frame, Source, open_source
from edgehr.live.timing import StageTimes
from edgehr.runtimes import Runtime, load
from edgehr.zoo import all_cards

if TYPE_CHECKING:
    from typing import Self

Task = TypeVar("Task")


class PredictorResult(Protocol):
    """The result of any task for one image."""

    def __len__(self) -> int:
        """Count what was found."""

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON types."""


Result = TypeVar("Result", bound=PredictorResult)


class Closable(Protocol):
    """Holds something that must be released: a runtime, a detector."""

    def close(self) -> None:
        """Release it."""


def enter_runtime(
    opened: ExitStack, model: str | os.PathLike[str] | Runtime, device: str, threads: int | None
) -> Runtime:
    """Return a runtime that is open already, or open a converted or a packaged model, which is closed with `opened`."""
    if isinstance(model, Runtime):
        return model
    if isinstance(model, str) and model in packaged_models():
        return opened.enter_context(open_packaged(model, device, threads))
    if isinstance(model, str) and not Path(model).exists() and any(card.name == model for card in all_cards()):
        raise ArtifactError(
            f"{model}: does not ship with edgehr; edgehr convert {model} makes a file of it, to give here"
        )
    return opened.enter_context(load(model, device, threads=threads))


class Predictor(ABC, Generic[Task, Result]):
    """A model that takes images and returns results of its task.

    Args:
        model: A converted model, the name of a packaged one, or a runtime that is open already (it stays the caller's
            to close); None for the packaged one of the task.
        make_task: Makes the pre- and post-processing for the model's card.
        device: Where the model runs, as for `edgehr.load`.
        threads: Threads of one inference.
        card: What the model is; None reads it from the model.

    Attributes:
        found: What results count, in a word: ``people``.
        packaged: Name of the model that ships with edgehr for this; empty where there is none.
        runtime: Runs the model.
        card: What the model is.
        task: Its pre- and post-processing.

    Raises:
        EdgehrError: The model cannot be opened, brings no card, or is one for another task.
    """

    found: ClassVar[str] = "objects"
    packaged: ClassVar[str] = ""

    def __init__(
        self,
        model: str | os.PathLike[str] | Runtime | None,
        make_task: Callable[[ModelCard], Task],
        *,
        device: str = "auto",
        threads: int | None = None,
        card: ModelCard | None = None,
    ) -> None:
        if model is None and not self.packaged:
            raise EdgehrError(f"edgehr ships no model for {type(self).__name__}: name a converted one")
        model = self.packaged if model is None else model
        with ExitStack() as opened:
            self.runtime = enter_runtime(opened, model, device, threads)
            self.card = card or self.runtime.card
            self.task = make_task(self.card)
            self._opened = opened.pop_all()

    @abstractmethod
    def __call__(self, image: NDArray[Any]) -> Result:
        """Predict for one image: uint8 BGR (H, W, 3), grayscale (H, W) or BGRA (H, W, 4), of any size."""

    @abstractmethod
    def draw(self, image: NDArray[np.uint8], result: Result) -> None:
        """Draw a result into its image, (H, W, 3) BGR, in place."""

    def results(
        self, source: str | int | Path | Source, times: StageTimes | None = None
    ) -> Generator[tuple[Frame, Result], None, None]:
        """Predict for every frame of a source, with capture and prediction at work at the same time.

        A live source gives its newest frame: if the loop over the results is slow, frames are left out, so that what it
        gets is never old. Of files every frame comes. The order is that of the source. Leaving the loop ends the
        threads.

        Args:
            source: What `edgehr.open_source` takes, or an open source.
            times: Where stages are noted.

        Yields:
            Each frame, its image as BGR and the consumer's own, to draw into, and its result.

        Raises:
            EdgehrError: From the source or the model, after the results of the frames before.
        """
        opened = open_source(source) if isinstance(source, (str, int, Path)) else source
        return self._pipeline(opened, times or StageTimes())

    def _pipeline(self, source: Source, times: StageTimes) -> Generator[tuple[Frame, Result], None, None]:
        def predict(image: NDArray[np.uint8], time_s: float, found: None) -> Result:
            with times.measure("predict"):
                return self(image)

        return run_pipeline(source, predict, times)

    def owns(self, resource: Closable) -> None:
        """Close something together with this predictor."""
        self._opened.callback(resource.close)

    def close(self) -> None:
        """Release what was opened here. Closing twice is fine."""
        self._opened.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.card.name}, {self.runtime!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
