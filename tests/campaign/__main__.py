"""Run campaigns, or report what they found; the package's docstring says how."""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from filelock import FileLock

from tests.campaign import CAMPAIGNS, BrokenPromiseError
from tests.campaign.journal import Entry, Journal, latest, report


def run_campaign(
    name: str,
    journal: Journal,
    folder: Path,
    *,
    seed: int,
    count: int | None,
    seconds: float,
    kinds: Sequence[str] = (),
) -> int:
    """Run what is left of a campaign.

    Args:
        name: The campaign.
        journal: Where entries are read and written.
        folder: Where it may work; what lies there goes.
        seed: Its seed.
        count: How many cases it has, by default its own count.
        seconds: After how long no further case begins.
        kinds: Leaves out cases whose kind has none of these words in it; the others are the same as without.

    Returns:
        How many cases failed.
    """
    module = importlib.import_module(f"tests.campaign.{name}")
    left = sorted(set(range(count or module.COUNT)) - journal.done(name, seed))
    if not left:
        return 0
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ends, failed = time.monotonic() + seconds, 0
    with module.open_campaign(folder) as draw:
        for number in left:
            if time.monotonic() > ends:
                break
            case = draw(number, Random(f"{name}/{seed}/{number}"))  # noqa: S311 - a test's, that repeats
            if kinds and not any(word in case.kind for word in kinds):
                continue
            began, ok = time.monotonic(), True
            try:
                why = case.run()
            except BrokenPromiseError as broken:
                ok, why = False, str(broken)
            except Exception as error:
                ok, why = False, f"{type(error).__name__}: {error}"
            why = " ".join(why.split())[:500]
            journal.write(Entry(name, seed, number, case.kind, ok, why, round(time.monotonic() - began, 3)))
            failed += not ok
            if not ok:
                print(f"{name} {seed}/{number}, {case.kind}: {why}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description="Try to break what edgehr promises.")
    parser.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", help=f"of {', '.join(CAMPAIGNS)}; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, help="cases of each (default: its own)")
    parser.add_argument("--kinds", nargs="+", metavar="WORD", help="only cases of kinds with one of these words")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no case of a campaign after that")
    parser.add_argument("--out", type=Path, default=Path("out/campaign"), help="the folder of the journals")
    parser.add_argument("--report", action="store_true", help="only print the counts of all that was run so far")
    args = parser.parse_args()
    if unknown := set(args.campaigns) - set(CAMPAIGNS):
        parser.error(f"no campaign: {', '.join(sorted(unknown))}")
    args.out.mkdir(parents=True, exist_ok=True)
    if not args.report:
        for name in args.campaigns or CAMPAIGNS:
            folder = args.out.resolve() / f"work-{name}"
            with FileLock(f"{folder}.lock", timeout=0):
                journal = Journal(args.out / f"{name}.jsonl")
                run_campaign(
                    name,
                    journal,
                    folder,
                    seed=args.seed,
                    count=args.count,
                    seconds=60 * args.minutes,
                    kinds=args.kinds or (),
                )
    entries = [entry for name in CAMPAIGNS for entry in Journal(args.out / f"{name}.jsonl").entries]
    print(report(entries))
    return int(not all(entry.ok for entry in latest(entries)))


if __name__ == "__main__":
    sys.exit(main())
