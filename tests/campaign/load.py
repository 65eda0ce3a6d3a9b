"""Load: many threads on one runtime, cameras that leave and return, damaged streams, clocks that jump.

The live loop goes on, or says in one line what is wrong; results stay the same to the last bit; memory, threads and
open files stay as they were. Longer than any case here are runs of `benchmarks.soak`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

from tests.campaign import Case, Draw
from tests.campaign.cameras import rtsp_reason
from tests.campaign.children import in_child
from tests.campaign.streams import (
    clock_jumps,
    damaged_stream,
    file_comes_and_goes,
    http_comes_and_goes,
    http_is_damaged,
    looped_file_goes,
    plays,
    rtsp_comes_and_goes,
    wrong_password,
)
from tests.campaign.threads import BACKENDS, many_threads, prepare

COUNT = 20 * 14
LIMIT_S = 300

# What is tried, in turn. Each gets an empty folder and the case's own chance.
KINDS: tuple[tuple[str, Callable[[Path, Random], str]], ...] = (
    *((f"16 threads on {backend}", partial(many_threads, backend)) for backend in BACKENDS),
    ("HTTP camera that leaves and returns, 25 times", http_comes_and_goes),
    ("file as a camera that goes and returns, 25 times", file_comes_and_goes),
    ("looped file that goes", looped_file_goes),
    ("HTTP camera whose bytes flip", http_is_damaged),
    ("clock that jumps", clock_jumps),
    ("RTSP over TCP", partial(plays, "tcp")),
    ("RTSP over UDP", partial(plays, "udp")),
    ("RTSP with a wrong password", wrong_password),
    ("RTSP server that restarts, 5 times", rtsp_comes_and_goes),
    ("RTSP over TCP, damaged", partial(damaged_stream, "tcp")),
    ("RTSP over UDP, damaged", partial(damaged_stream, "udp")),
)


@contextmanager
def open_campaign(folder: Path, kinds: Sequence[tuple[str, Callable[[Path, Random], str]]] = KINDS) -> Iterator[Draw]:
    """Convert the models; see `tests.campaign`. Without an RTSP server, its kinds are left out."""
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # as `edgehr demo` does
    without_rtsp = bool(rtsp_reason())
    chosen = [(kind, run) for kind, run in kinds if not (without_rtsp and kind.startswith("RTSP"))]
    if any("threads" in kind for kind, _ in chosen):
        in_child(prepare, folder)

    def draw(number: int, random: Random) -> Case:
        kind, run = chosen[number % len(chosen)]
        return Case(kind, lambda: str(in_child(run, folder, random, limit_s=LIMIT_S)))

    yield draw
