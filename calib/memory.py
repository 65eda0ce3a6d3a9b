"""Freed memory, kept by the process while large tensors come and go.

glibc gives allocations of more than 32 MiB back to the kernel as soon as they are freed, and the kernel clears each
page that it hands out again. Fitting layers on hundreds of crops takes and frees tensors of hundreds of megabytes all
the time; what that costs is in docs/research/quantization-experiments.md.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# Of glibc's malloc.h, with the values that it starts from or, for the thresholds, comes to by itself.
M_TRIM_THRESHOLD, TRIM_THRESHOLD = -1, 64 << 20
M_MMAP_THRESHOLD, MMAP_THRESHOLD = -3, 32 << 20
M_MMAP_MAX, MMAP_MAX = -4, 65536

NEVER = -1


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let the process keep what it frees until the end, and give it back then.

    Does nothing where the C library is not glibc. It helps the main thread: glibc serves large tensors of other
    threads, and of one that ran out of memory before, from the kernel whatever is set.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_MAX, MMAP_MAX)
        libc.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        libc.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)
        libc.malloc_trim(0)
