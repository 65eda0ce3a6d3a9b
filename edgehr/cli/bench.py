"""`edgehr bench`: which model, precision and runtime is fastest on this machine."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.cli.common.arguments import add_remote_options, check_page, count, remotes_of
from edgehr.cli.common.output import SubParsers, print_json, print_table, progress_bar
from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.benchmark.bench import Settings
    from edgehr.benchmark.candidates import Candidate
    from edgehr.benchmark.remote import Remote
    from edgehr.benchmark.results import BenchReport


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "bench",
        help="measure which model is fastest on this machine, or on another one",
        description="Measure model files in turns: latency, throughput, start and memory. Says which are faster, or "
        "that the machine was too noisy to tell. Files that edgehr did not convert get random inputs.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "artifacts", type=Path, nargs="*", metavar="ARTIFACT", default=[], help=".onnx, .xml, .tflite ..."
    )
    what.add_argument("--plan", type=Path, help=argparse.SUPPRESS)  # what another edgehr asks for
    parser.add_argument(
        "--threads", type=_counts, metavar="N[,N]", help="threads of one inference; several are compared"
    )
    parser.add_argument(
        "--precision", type=_words, metavar="P[,P]", help="arithmetic to ask OpenVINO for: fp32, bf16, fp16"
    )
    parser.add_argument("--device", default="auto", help="as the runtime names it (auto: the CPU)")
    parser.add_argument(
        "--shape",
        type=_shape,
        action="append",
        default=[],
        metavar="[NAME=]N,N,...",
        help="shape of an input whose size the file leaves open",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=_seconds, metavar="S", help="time for each candidate's latency (6)")
    length.add_argument("--rounds", type=count, metavar="N", help="how many turns each has, in place of --seconds")
    parser.add_argument(
        "--streams",
        type=_streams,
        metavar="N[,N]",
        help="inferences at once for throughput (the cores; 0: leave it out)",
    )
    parser.add_argument(
        "--at-once", type=count, metavar="N", help="images at once, as of N people in a frame; times are of one of them"
    )
    parser.add_argument("--starts", type=_number, default=3, metavar="N", help="starts in a new process (3; 0: none)")
    parser.add_argument(
        "--busy", type=_number, default=0, metavar="N", help="processes beside it that keep cores busy (0)"
    )
    parser.add_argument("--profile", action="store_true", help="time each operator, where the runtime can")
    parser.add_argument(
        "--min-difference",
        type=_percentage,
        default=2.0,
        metavar="PERCENT",
        help="smallest difference worth telling (2)",
    )
    parser.add_argument("--seed", type=_number, default=0, metavar="N", help="of the order of turns (0)")
    parser.add_argument("--json", action="store_true", help="print everything as JSON, each time included")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a page with distributions, .html")
    add_remote_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measure, write the page, print the table."""
    candidates, settings = _asked_for(args)
    remotes = remotes_of(args)
    if len(remotes) > 1:
        _measure_fleet(args, remotes, candidates, settings)
        return
    if remotes:
        with progress_bar(f"measuring on {remotes[0].where}", None):
            report = remotes[0].bench(candidates, settings)
    else:
        from edgehr.benchmark.bench import run_bench

        report = run_bench(candidates, settings, progress_bar)
    if args.out:
        from edgehr.benchmark.page import write_page

        write_page(report, args.out)
    if args.json:
        print_json({**report.to_dict(), "page": str(args.out) if args.out else None})
    else:
        _print(report)
        if args.out:
            print(f"\nwritten: {args.out}")


def _measure_fleet(
    args: argparse.Namespace, remotes: list[Remote], candidates: list[Candidate], settings: Settings
) -> None:
    """Measure on many machines and print one table; raises EdgehrError in the end where some gave nothing."""
    from edgehr.benchmark.fleet import ask_fleet, fleet_dict, fleet_rows, refuse_failures
    from edgehr.benchmark.table import answer, rows

    if args.out:
        raise EdgehrError(f"{args.out}: a page is of one machine: leave --out away, or name one machine")
    with progress_bar(f"measuring on {len(remotes)} machines", len(remotes)) as progress:
        told = ask_fleet(remotes, lambda remote: remote.bench(candidates, settings), progress)
    if args.json:
        print_json(fleet_dict(told))
    else:
        print_table(*fleet_rows(told, rows))
        for each in told:
            lines = [*answer(each.value), *(f"note: {text}" for text in each.value.remarks)] if each.value else []
            if lines:
                print(f"\n{each.where}")
                print("\n".join(f"  {line}" for line in lines))
    refuse_failures(told)


def _asked_for(args: argparse.Namespace) -> tuple[list[Candidate], Settings]:
    """Return what to measure and how; raises EdgehrError before the work for what would fail after it."""
    from edgehr.runtimes.formats import check_file, format_of

    if args.plan:
        from edgehr.benchmark.remote import read_plan

        candidates, settings = read_plan(args.plan)
    else:
        candidates, settings = _candidates(args), _settings(args)
    for path in {each.path for each in candidates}:
        check_file(path)
        format_of(path)
    if args.out:
        check_page(args.out)
    return candidates, settings


def _candidates(args: argparse.Namespace) -> list[Candidate]:
    from edgehr.benchmark.candidates import Candidate

    shapes = dict(args.shape)
    return [
        Candidate(path, args.device, threads, precision, shapes, at_once=args.at_once)
        for path in args.artifacts
        for precision in args.precision or (None,)
        for threads in args.threads or (None,)
    ]


def _settings(args: argparse.Namespace) -> Settings:
    from edgehr.benchmark.bench import Settings

    return Settings(
        rounds=args.rounds,
        seconds=args.seconds or Settings.seconds,
        streams=None if args.streams is None else tuple(count for count in args.streams if count),
        starts=args.starts,
        busy=args.busy,
        profile=args.profile,
        min_difference=args.min_difference / 100,
        seed=args.seed,
    )


def _print(report: BenchReport) -> None:
    from edgehr.benchmark.table import SHOWN_OPERATORS, answer, by_kind, rows

    for name, value in report.setting.items():
        print(f"{name:<9} {value}")
    print()
    print_table(*rows(report))
    lines = answer(report)
    if lines:
        print()
        print("\n".join(lines))
    for remark in report.remarks:
        print(f"note: {remark}")
    for each in report.ranked:
        if each.remark:
            print(f"\n{each.name}: {each.remark}")
        elif each.operators:
            total = sum(one.ms for one in each.operators)
            print(f"\n{each.name}: {len(each.operators)} operators, with a clock in them {total:.2f} ms")
            kinds = by_kind(each.operators)[:SHOWN_OPERATORS]
            cells = [[kind, count, f"{ms:.2f}", f"{100 * ms / total:.1f} %"] for kind, count, ms in kinds]
            print_table(["OPERATOR", "COUNT", "ms", "SHARE"], cells)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _list_of(parse: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    return lambda text: tuple(dict.fromkeys(parse(word.strip()) for word in text.split(",")))


_counts, _streams, _words = _list_of(count), _list_of(_number), _list_of(str)


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = text.rpartition("=")
    try:
        return name, tuple(count(size.strip()) for size in sizes.split(","))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no shape such as 1,3,256,192, or image=1,3,256,192") from None


def _positive(text: str, what: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no {what}")
    return value


def _seconds(text: str) -> float:
    return _positive(text, "number of seconds", 1e6)


def _percentage(text: str) -> float:
    return _positive(text, "percentage above 0", 100)
