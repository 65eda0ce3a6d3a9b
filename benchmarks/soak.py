"""Run live pose for an hour: does memory grow, is a thread or a file left over, does a slow consumer get old frames?

The loop is the demo's own (`edgehr.cli.live`): a looped video, detection and pose in their threads, drawing, JSON
lines to a file, and the web page with one viewer in another process. Without `--model`, networks that answer at once
stand in, so that many frames pass in little time. Linux only: the figures are the kernel's.

    python -m benchmarks.soak VIDEO [--frames N] [--minutes M] [--model ARTIFACT] [--detector ARTIFACT] ...
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.live_pose import Instant
from edgehr.cli.live import go_through
from edgehr.errors import EdgehrError
from edgehr.live.predictors.pose import PoseEstimator
from edgehr.live.sinks import Sink, SinkGroup, StopRequested
from edgehr.live.sinks.json_lines import JsonLinesSink
from edgehr.live.sources import Frame, open_source
from edgehr.live.web import WebServer
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.pose.poses import Poses

ROOT = Path(__file__).parent.parent
WARM_UP = 0.05
TRIAL_FRAMES = 100  # run first and not counted: libraries start threads and open files that they keep
SAMPLES = 1000  # of the memory, along a run
ROWS = 12
PEOPLE = 4
MAX_REQUESTED = 2  # pictures that the page asks for ahead
MIB = 1 << 20
CONSUMER_FPS, CONSUMER_FRAMES = 3, 60


@dataclass(frozen=True)
class Usage:
    """What the process holds at one moment."""

    frames: int
    seconds: float
    rss_mib: float
    threads: int
    files: int


@dataclass(frozen=True)
class Soak:
    """A finished run: usage along it, and before and after everything was open."""

    along: list[Usage]
    before: Usage
    after: Usage
    summary: dict[str, Any]
    pictures: int

    @property
    def growth(self) -> float:
        """Compare memory at the end with that after the warm-up, each the median of a twentieth of the run."""
        share = max(round(WARM_UP * len(self.along)), 1)
        warm, last = self.along[share : 2 * share], self.along[-share:]
        return float(np.median([u.rss_mib for u in last]) / np.median([u.rss_mib for u in warm]) - 1)


class Watch:
    """A sink that records what the process holds now and then, and stops after a time."""

    def __init__(self, frames: int, seconds: float) -> None:
        self.along: list[Usage] = []
        self._every, self._frames = max(frames // SAMPLES, 1), 0
        self._started, self._seconds = time.monotonic(), seconds

    def write(self, frame: Frame, poses: Poses | None = None) -> None:
        """Count a frame."""
        self._frames += 1
        if self._frames % self._every == 0:
            self.along.append(usage(self._frames, time.monotonic() - self._started))
        if time.monotonic() - self._started > self._seconds:
            raise StopRequested

    def close(self) -> list[Path]:
        """Leave no file."""
        return []

    def discard(self) -> None:
        """Leave no file."""


def usage(frames: int = 0, seconds: float = 0.0) -> Usage:
    """Read resident memory, threads (also those of libraries) and open files, as the kernel counts them."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    own = 1  # the listing of the folder is an open file itself
    files = len(os.listdir("/proc/self/fd")) - own
    return Usage(frames, seconds, pages * os.sysconf("SC_PAGE_SIZE") / MIB, len(os.listdir("/proc/self/task")), files)


def detect_standing(image: NDArray[Any]) -> Detections:
    """Answer at once, as a detector: people side by side."""
    height, width = image.shape[:2]
    step = width / PEOPLE
    boxes = [[i * step, 0.1 * height, (i + 1) * step, 0.9 * height] for i in range(PEOPLE)]
    return Detections(np.array(boxes, np.float32), np.ones(PEOPLE, np.float32))


def open_estimator(model: Path | None, detector: Path | None, threads: int = 1) -> PoseEstimator:
    """Open real networks, or without a model those that answer at once."""
    return PoseEstimator(model or Instant(), detector=detector if model else detect_standing, threads=threads)


def one_run(
    video: Path, estimator: PoseEstimator, frames: int, seconds: float = float("inf")
) -> tuple[list[Usage], dict[str, Any], int]:
    """Go through a looped video with everything open that the demo can have open; count the viewer's pictures, too."""
    watch = Watch(frames, seconds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source = stack.enter_context(closing(open_source(video, loop=True)))
        sinks: list[Sink] = [JsonLinesSink(folder / "poses.jsonl"), watch]
        server = WebServer(port=0)
        try:
            command = [sys.executable, "-c", f"from benchmarks.soak import view; view({server.url!r})"]
            viewer = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
            if viewer.stdout:
                viewer.stdout.readline()  # so that what a viewer needs is there from the first frame on
            summary = go_through(source, estimator, SinkGroup(sinks), server, max_frames=frames)
            if problem := summary.get("problem"):
                raise EdgehrError(problem)
        finally:
            server.close()
        (path,) = SinkGroup(sinks).close()
        with path.open(encoding="utf-8") as lines:
            summary["lines"] = sum(1 for _ in lines)
        seen = viewer.communicate(timeout=30)[0]
    return watch.along, summary, int(seen or 0)


def view(url: str) -> None:
    """Ask the demo's page for pictures as a browser does, until the server goes, and print how many came.

    A line before that says that the page is open.
    """
    import aiohttp

    async def watch() -> int:
        pictures = 0
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}live", max_msg_size=0) as live:
            print("open", flush=True)
            for _ in range(MAX_REQUESTED):
                await live.send_str("next")
            async for message in live:
                if message.type is aiohttp.WSMsgType.BINARY:
                    pictures += 1
                    await live.send_str("next")
        return pictures

    try:
        print(asyncio.run(watch()))
    except aiohttp.ClientError as error:
        sys.exit(f"the connection was lost: {error}")


def soak(video: Path, estimator: PoseEstimator, frames: int, seconds: float = float("inf")) -> Soak:
    """Make a trial run, then the one that counts."""
    one_run(video, estimator, TRIAL_FRAMES)
    before = usage()
    along, summary, pictures = one_run(video, estimator, frames, seconds)
    return Soak(along, before, usage(), summary, pictures)


def latencies(video: Path, estimator: PoseEstimator) -> tuple[NDArray[np.float64], float, int]:
    """Measure the age of what a consumer of 3 frames a second gets of a video played as by a camera, milliseconds.

    Returns:
        The ages, the source's own rate and how many frames it gave meanwhile.
    """
    ages = []
    source = open_source(video, loop=True, realtime=True)
    with closing(estimator.stream(source)) as results:  # type: ignore[type-var]
        for poses in results:
            ages.append(1000 * (time.monotonic() - poses.frame.time_s))
            if len(ages) == CONSUMER_FRAMES:
                break
            time.sleep(1 / CONSUMER_FPS)
    return np.array(ages[1:]), source.fps, poses.frame.number + 1


def report(result: Soak) -> None:
    """Print the run as a table."""
    print(f"{'frames':>9} {'minutes':>8} {'RSS MiB':>8} {'threads':>8} {'files':>6}", flush=True)
    step = max(len(result.along) // ROWS, 1)
    for row in result.along[step - 1 :: step]:
        print(f"{row.frames:9} {row.seconds / 60:8.1f} {row.rss_mib:8.1f} {row.threads:8} {row.files:6}")
    before, after, summary = result.before, result.after, result.summary
    print(f"growth after the warm-up {100 * result.growth:+.2f} %")
    print(f"threads {before.threads} before and {after.threads} after, open files {before.files} and {after.files}")
    print(f"{summary['frames']} frames, {summary['fps']} a second, {summary['lines']} JSON lines, ", end="")
    print(f"{result.pictures} pictures on the page", flush=True)


def as_json(result: Soak) -> dict[str, Any]:
    """Give the result in plain JSON types."""
    ends = {"before": asdict(result.before), "after": asdict(result.after)}
    counts = {key: result.summary[key] for key in ("frames", "frames_with", "lines")}
    return {**ends, **counts, "pictures": result.pictures, "growth": result.growth}


def main() -> None:
    parser = argparse.ArgumentParser(description="Run live pose for long, and measure what it holds.")
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print the memory and what was left over as JSON, no more")
    args = parser.parse_args()
    with open_estimator(args.model, args.detector, args.threads) as estimator:
        if args.json:
            print(json.dumps(as_json(soak(args.video, estimator, args.frames, 60 * args.minutes))))
            return
        ages, rate, given = latencies(args.video, estimator)
        print(f"consumer of {CONSUMER_FPS} frames a second, source of {rate:g}: {given} frames came, ", end="")
        print(f"{len(ages)} were taken; age p50 {np.median(ages):.0f}, ", end="")
        print(f"p95 {np.percentile(ages, 95):.0f}, largest {ages.max():.0f} ms", flush=True)
        report(soak(args.video, estimator, args.frames, 60 * args.minutes))


if __name__ == "__main__":
    main()
