"""What is freed while layers are fitted stays with the process, which gives it back afterwards."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

from edgehr.calib import memory
from edgehr.calib.memory import freed_memory_kept

# In a process of its own: how memory is found again depends on all that a process has allocated before, and on its
# environment. A tensor of 64 MiB is twice what glibc would ever keep by itself.
RESIDENT = """
import json
from pathlib import Path

import torch

from edgehr.calib.memory import freed_memory_kept

start = 0

def resident():
    torch.ones(16 << 20)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages - start

start = resident()
outside = resident()
with freed_memory_kept():
    inside = resident()
after = resident()
try:
    with freed_memory_kept():
        failing = resident()
        raise ValueError
except ValueError:
    failed = resident()
print(json.dumps([outside, inside, after, failing, failed]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_stays_while_it_lasts_and_is_given_back_then() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", RESIDENT], env={"PATH": os.environ["PATH"]}, check=True, capture_output=True, text=True
    ).stdout
    outside, inside, after, failing, failed = json.loads(shown)
    tensor = (64 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert min(inside, failing) > 0.8 * tensor  # the interpreter gives back some of its own in between
    assert max(outside, after, failed) < 0.1 * tensor


class Settings:
    """Takes the calls of a C library."""

    def __init__(self) -> None:
        self.of: dict[int, int] = {}
        self.trimmed = 0

    def mallopt(self, parameter: int, value: int) -> None:
        self.of[parameter] = value

    def malloc_trim(self, _pad: int) -> None:
        self.trimmed += 1


def test_settings_return_to_what_they_were_after_a_failure_too(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _name: settings)

    @freed_memory_kept()
    def fail() -> None:
        assert settings.of == {memory.M_MMAP_MAX: 0, memory.M_TRIM_THRESHOLD: memory.NEVER}
        raise ValueError("as planned")

    with pytest.raises(ValueError, match="as planned"):
        fail()
    assert settings.of[memory.M_MMAP_MAX] == memory.MMAP_MAX
    assert settings.of[memory.M_TRIM_THRESHOLD] == memory.TRIM_THRESHOLD
    assert settings.trimmed == 1


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_name: str | None) -> None:
        raise AssertionError("no library is opened")

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", load)
    with freed_memory_kept():
        pass
