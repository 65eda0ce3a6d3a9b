"""Opening the predictor that suits a model."""

from __future__ import annotations

import os
from typing import Any

from edgehr.errors import EdgehrError
from edgehr.live.predictors.base import Predictor
from edgehr.registry import load_attribute
from edgehr.runtimes import Runtime, load
from edgehr.tasks.base import Task


def predictor(
    model: str | os.PathLike[str] | Runtime, *, device: str = "auto", threads: int | None = None, **options: Any
) -> Predictor[Any, Any]:
    """Open a converted model with the predictor of its task: a `PoseEstimator` for pose, and so on.

    Args:
        model: A converted model, or a runtime that is open already (it stays the caller's to close).
        device: Where the model runs, as for `edgehr.load`.
        threads: Threads of one inference.
        options: Further arguments of that predictor: ``detector`` for pose.

    Raises:
        EdgehrError: The model cannot be opened, its task has no predictor, or that has no such option.
    """
    runtime = model if isinstance(model, Runtime) else load(model, device, threads=threads)
    try:
        address = Task.for_card(runtime.card).predictor
        if not address:
            raise EdgehrError(f"{runtime.card.name}: there is no predictor for {runtime.card.task}")
        opened: Predictor[Any, Any] = load_attribute(address)(runtime, device=device, threads=threads, **options)
    except TypeError as error:
        if runtime is not model:
            runtime.close()
        raise EdgehrError(f"{runtime.card.name}: {error}") from None
    except BaseException:
        if runtime is not model:
            runtime.close()
        raise
    if runtime is not model:
        opened.owns(runtime)
    return opened
