"""Batches side by side, each on one thread: the operators of a batch are too small for several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from edgehr.runtimes.streams import usable_cores

T = TypeVar("T")
R = TypeVar("R")

MAX_AT_ONCE = 4  # each batch has its tensors in memory


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute on one thread; for small operators, threads wait more than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def side_by_side(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Call a function with each item, several at once on several cores.

    Returns:
        The results, in the order of the items whatever ended first, so that sums over them are the same on any machine.
    """
    with one_thread(), ThreadPoolExecutor(min(usable_cores(), MAX_AT_ONCE)) as pool:
        return list(pool.map(function, items))
