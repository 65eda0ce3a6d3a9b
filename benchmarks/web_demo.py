"""Measure the page of `edgehr web-demo` in headless Chromium: does memory grow, frames a second, times of stages.

A photograph that moves stands in for the camera. Memory is what all processes of the browser hold alone, and their
share of what they hold together (PSS, which Linux counts). Figures of several settings are from one run.

    python -m benchmarks.web_demo [MODEL] [--detector MODEL] [--segmenter MODEL] [--threads 1 2] [--seconds 300]
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgehr.cli.common.output import print_table
from edgehr.live.web_demo import make_folder
from edgehr.zoo import DEFAULT_MODEL
from tests.live.web_demo.browsing import (
    READY,
    START,
    chromium_with,
    one_person,
    opened,
    served,
    several_people,
    write_clip,
)

MIB = 1 << 20
SAMPLE_S = 5.0
COLLECT = """
window.all = [];
document.addEventListener("edgehr:result", ({ detail }) => all.push({ at: performance.now(), times: detail.times }));
"""
FIRST = "document.getElementById('first').textContent"
# In names of files that a browser with threads and relaxed SIMD loads where WebGPU is asked for, or never.
SPARE = ("webgpu", "asyncify", "compat", "wasm_internal", "NOTICE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=DEFAULT_MODEL)
    parser.add_argument("--detector")
    parser.add_argument("--segmenter")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=300)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        made = make_folder(args.model, root / "page", detector=args.detector, segmenter=args.segmenter)
        print(f"folder {made.bytes / 1e6:.1f} MB; {sizes(made.path)}\n")
        clip = write_clip(root / "clip.mjpeg", several_people() if args.detector else one_person())
        rows: list[list[object]] = []
        for threads in args.threads:
            measured = asyncio.run(watch(made.path, clip, root / f"profile-{threads}", threads, args.seconds))
            rows.append([threads, *measured])
        print_table(["THREADS", "FIRST", "FPS", "MiB AFTER 1/5", "MiB AT END", "MEDIAN MS OF STAGES"], rows)


def sizes(folder: Path) -> str:
    """Say what a visitor downloads: as it is, and as web servers compress it."""
    needed = [path for path in folder.rglob("*") if path.is_file() and not any(part in path.name for part in SPARE)]
    packed = sum(len(gzip.compress(path.read_bytes(), 6)) for path in needed)
    return (
        f"a visitor downloads {sum(path.stat().st_size for path in needed) / 1e6:.1f} MB, by gzip {packed / 1e6:.1f} MB"
    )


async def watch(folder: Path, clip: Path, profile: Path, threads: int, seconds: float) -> list[object]:
    """Run the page for so long, and return a row of figures."""
    memory: list[float] = []
    async with (
        served(folder) as url,
        chromium_with(profile, clip) as browser,
        opened(browser, f"{url}?threads={threads}", COLLECT) as page,
    ):
        await page.wait_for(READY, 120)
        await page.evaluate(START)
        await page.wait_for("all.length > 3", 120)
        for _ in range(max(int(seconds / SAMPLE_S), 5)):
            await asyncio.sleep(SAMPLE_S)
            memory.append(held(os.getpid()) / MIB)
        first = await page.evaluate(FIRST)
        frames: list[dict[str, Any]] = await page.evaluate("all")
    fps = 1000 * (len(frames) - 1) / (frames[-1]["at"] - frames[0]["at"])
    names = sorted({name for frame in frames for name in frame["times"]})
    stages = [f"{name} {np.median([f['times'][name] for f in frames if name in f['times']]):.1f}" for name in names]
    fifth = len(memory) // 5
    return [first, f"{fps:.1f}", f"{memory[fifth]:.0f}", f"{memory[-1]:.0f}", ", ".join(stages)]


def held(parent: int) -> int:
    """Add up the memory of all processes below one, bytes."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
    below, total = {parent}, 0
    while more := {child for child, of in parents.items() if of in below} - below:
        below |= more
    for process in below - {parent}:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total


if __name__ == "__main__":
    main()
