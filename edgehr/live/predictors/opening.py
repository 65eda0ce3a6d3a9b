"""Opening the predictor that suits a model."""

from __future__ import annotations

import inspect
import logging
import os
from contextlib import ExitStack
from typing import Any

from edgehr.errors import EdgehrError
from edgehr.live.predictors.base import Predictor, enter_runtime
from edgehr.registry import load_attribute
from edgehr.runtimes import Runtime
from edgehr.tasks.base import Task
from edgehr.zoo import DEFAULT_MODEL

_LOG = logging.getLogger("edgehr.live")


def predictor(
    model: str | os.PathLike[str] | Runtime = DEFAULT_MODEL,
    *,
    device: str = "auto",
    threads: int | None = None,
    **options: Any,
) -> Predictor[Any, Any]:
    """Open a model with the predictor of its task: a `PoseEstimator` for pose, and so on.

    Args:
        model: A converted model, the name of a packaged one (by default that for poses), or a runtime that is open
            already (it stays the caller's to close).
        device: Where the model runs, as for `edgehr.load`.
        threads: Threads of one inference.
        options: Further arguments of that predictor: ``detector`` for pose.

    Raises:
        EdgehrError: The model cannot be opened, its task has no predictor, or that has no such option.
    """
    with ExitStack() as opened:
        runtime = enter_runtime(opened, model, device, threads)
        address = Task.for_card(runtime.card).predictor
        if not address:
            raise EdgehrError(f"{runtime.card.name}: there is no predictor for {runtime.card.task}")
        kind = load_attribute(address)
        taken = inspect.signature(kind).parameters
        if strange := [name for name in options if name not in taken]:
            raise EdgehrError(f"{runtime.card.name}: {kind.__name__} has no option {', '.join(strange)}")
        made: Predictor[Any, Any] = kind(runtime, device=device, threads=threads, **options)
        made.owns(opened.pop_all())
        _LOG.info("%s: a model for %s, so %s uses it", runtime.card.name, runtime.card.task, type(made).__name__)
    return made
