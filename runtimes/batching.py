"""Batches of any size through models that take only some."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.runtimes.base import Runtime


def infer_batched(runtime: Runtime, batch: NDArray[Any], limit: int = 32) -> dict[str, NDArray[Any]]:
    """Run a model of one input on any number of items.

    Args:
        runtime: A model whose input and outputs have the batch as their first dimension.
        batch: (N, ...) items of the model's input, N may be 0; cast to the model's type where it takes float16.
        limit: Most items at once for a model with dynamic batch, if it does not allow fewer. A model with a fixed batch
            gets just that many, the last lot filled up with zeros that are cut off again.

    Returns:
        The outputs by name, N items each.
    """
    spec = runtime.inputs[0]
    if spec.dtype == np.float16:
        batch = batch.astype(np.float16, copy=False)
    fixed = spec.shape[0]
    fewest, most = (fixed, fixed) if fixed else runtime.batch_range
    step = fixed or min(limit, most or limit)
    parts: list[dict[str, NDArray[Any]]] = []
    for start in range(0, len(batch), step):
        part = batch[start : start + step]
        missing = max(fewest - len(part), 0)
        if missing:
            part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)])
        outputs = runtime.infer({spec.name: part})
        parts.append({name: array[: len(part) - missing] for name, array in outputs.items()})
    if not parts:
        sizes = (
            (output.name, tuple(size or 0 for size in output.shape[1:]), output.dtype) for output in runtime.outputs
        )
        return {name: np.zeros((0, *shape), dtype) for name, shape, dtype in sizes}
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
