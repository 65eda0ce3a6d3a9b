"""Batches of any size through models that take only some."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from edgehr.runtimes.base import Runtime


def infer_batched(runtime: Runtime, batch: NDArray[Any], limit: int = 32) -> dict[str, NDArray[Any]]:
    """Call `Runtime.infer_batch`.

    Args:
        runtime: A model whose input and outputs have the batch as their first dimension.
        batch: (N, ...) items of the model's input, N may be 0; cast to the model's type where it takes float16.
        limit: Most items at once for a model with dynamic batch, if it does not allow fewer. A model with a fixed batch
            gets just that many, the last lot filled up with zeros that are cut off again.

    Returns:
        The outputs by name, N items each.
    """
    return runtime.infer_batch(batch, limit)
