"""What is freed while layers are fitted is not asked of the kernel again, and the process gives it back afterwards."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

from edgehr.calib import memory
from edgehr.calib.memory import freed_memory_kept

LARGE = 16 << 20  # values: 64 MiB, twice what glibc would ever keep by itself
SMALLER = LARGE - LARGE // 4  # what is aligned needs some room around it to fit where something else was

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")


def fill(values: int) -> int:
    """Make a tensor and free it; how many pages the kernel had to give for that."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(values)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@glibc
def test_memory_is_reused_while_it_lasts_and_given_back_then() -> None:
    fill(LARGE)
    outside = fill(SMALLER)
    with freed_memory_kept():
        fill(LARGE)
        inside = fill(SMALLER)
    assert inside < outside / 10
    assert fill(SMALLER) > outside / 2


@freed_memory_kept()
def fill_and_fail() -> None:
    fill(LARGE)
    raise ValueError("as planned")


@glibc
def test_memory_is_given_back_after_a_failure() -> None:
    outside = fill(SMALLER)
    with pytest.raises(ValueError, match="as planned"):
        fill_and_fail()
    assert fill(SMALLER) > outside / 2


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_name: str | None) -> None:
        raise AssertionError("no library is opened")

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", load)
    with freed_memory_kept():
        torch.ones(LARGE)
