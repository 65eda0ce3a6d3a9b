"""Count how often `edgehr bench` tells candidates apart: identical ones, and one that does a tenth more.

    python -m benchmarks.ranking [ARTIFACT] [--runs 20] [--rounds 48] [--busy 0 1]

In each run three models that were opened from one file take turns, as in `edgehr bench`. After each inference the third
computes for a tenth more of the time that an inference takes of a core, so that it is slower whatever else goes on.
The first two should not be told apart; the third should be ranked below each of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from edgehr.assets import packaged_model
from edgehr.benchmark.busy import busy_processes
from edgehr.benchmark.candidates import Candidate, feed
from edgehr.benchmark.ranking import SLOWER, Comparison, compare
from edgehr.benchmark.state import UseMeter, machine
from edgehr.benchmark.timing import PAUSE_S, calls_a_turn, interleaved, warm_up

MODEL = "hrnetv2-w18-small-v1-person-192x192"
SHARE = 0.1


def slowed(call: Callable[[], object], share: float) -> Callable[[], object]:
    """Let the calling thread compute longer, by a share of the core's time that a call takes."""
    taken = []
    for _ in range(30):
        before = time.process_time()
        call()
        taken.append(time.process_time() - before)
    more = share * float(np.median(taken))

    def unit() -> None:
        call()
        end = time.thread_time() + more
        while time.thread_time() < end:
            pass

    return unit


def one_run(path: Path, rounds: int, seed: int) -> list[Comparison]:
    with ExitStack() as stack:
        units, calls = {}, {}
        for name in ("first", "second", "slower"):
            runtime = stack.enter_context(Candidate(path, threads=1).open())
            call = feed(runtime, {}).call
            calls[name] = calls_a_turn(warm_up(call).call_ms)
            units[name] = slowed(call, SHARE) if name == "slower" else call
        return compare(interleaved(units, rounds, 0, PAUSE_S, calls=calls, lead=1, seed=seed))


def main() -> None:
    parser = argparse.ArgumentParser(prog="ranking", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("artifact", nargs="?", type=Path, default=packaged_model(MODEL, ".tflite"))
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=48)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1])
    args = parser.parse_args()
    print(f"{args.artifact.name}, {machine()}, {args.runs} runs of {args.rounds} rounds")
    for count in args.busy:
        with busy_processes(count) as load:
            meter, started = UseMeter(load), time.monotonic()
            found = []
            for seed in range(args.runs):
                found.append(one_run(args.artifact, args.rounds, seed))
                said = ", ".join(
                    f"{each.verdict} {each.ratio:.3f} ({each.low:.3f}-{each.high:.3f})" for each in found[-1]
                )
                print(f"{count} busy, run {seed + 1}: {said}", file=sys.stderr)
            others = meter.read().others or 0.0
        seconds = time.monotonic() - started
        print(f"\n{count} busy processes beside it, {seconds:.0f} s, in which others kept {others:.1f} cores busy")
        for pair in zip(*found, strict=True):
            ratios = np.quantile([each.ratio for each in pair], (0, 0.5, 1))
            apart, slower = sum(each.told_apart for each in pair), sum(each.verdict == SLOWER for each in pair)
            print(
                f"  {pair[0].second:<7} against {pair[0].first:<7} told apart {apart:3}, slower {slower:3}, "
                f"ratio {ratios[1]:.3f} ({ratios[0]:.3f} to {ratios[2]:.3f}), "
                f"could tell {np.median([each.resolution for each in pair]):.1%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
