"""`edgehr bench`: which model, precision and runtime is fastest on this machine."""

from __future__ import annotations

import argparse
import glob
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.cli.common.arguments import check_page, count
from edgehr.cli.common.output import SubParsers, print_json, print_table, progress_bar
from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.benchmark.bench import Settings
    from edgehr.benchmark.candidates import Candidate
    from edgehr.benchmark.results import BenchReport


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "bench",
        help="measure which model is fastest on this machine, or on another one",
        description="Measure model files in turns: latency, throughput, start and memory. Says which are faster, or "
        "that the machine was too noisy to tell. Files that edgehr did not convert get random inputs.",
    )
    parser.add_argument("artifacts", type=Path, nargs="+", metavar="ARTIFACT", help=".onnx, .xml, .tflite or .plan")
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
    there = parser.add_argument_group("another machine, which needs edgehr with a runtime, and nothing else")
    where = there.add_mutually_exclusive_group()
    where.add_argument("--on", metavar="USER@HOST", help="measure there, by ssh")
    where.add_argument(
        "--on-command", metavar="COMMAND", help='or there: a command before `sh -c`, "docker exec -i board" say'
    )
    there.add_argument("--on-edgehr", default="edgehr", metavar="COMMAND", help="how edgehr is called there")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measure, write the page, print the table."""
    _check(args)
    if args.on is not None or args.on_command is not None:
        report = _measure_there(args)
    else:
        from edgehr.benchmark.bench import run_bench

        report = run_bench(_candidates(args), _settings(args), progress_bar)
    if args.out:
        from edgehr.benchmark.page import write_page

        write_page(report, args.out)
    if args.json:
        print_json({**report.to_dict(), "page": str(args.out) if args.out else None})
    else:
        _print(report)
        if args.out:
            print(f"\nwritten: {args.out}")


def _check(args: argparse.Namespace) -> None:
    """Raise EdgehrError before the work for what would fail after it."""
    from edgehr.runtimes.formats import check_file, format_of

    for path in args.artifacts:
        check_file(path)
        format_of(path)
    if args.out:
        check_page(args.out)


def _candidates(args: argparse.Namespace) -> list[Candidate]:
    from edgehr.benchmark.candidates import Candidate

    shapes = dict(args.shape)
    return [
        Candidate(path, args.device, threads, precision, shapes)
        for path in args.artifacts
        for precision in args.precision or (None,)
        for threads in args.threads or (None,)
    ]


def _settings(args: argparse.Namespace) -> Settings:
    from edgehr.benchmark.bench import Settings
    from edgehr.runtimes.streams import usable_cores

    streams = (usable_cores(),) if args.streams is None else args.streams
    return Settings(
        rounds=args.rounds,
        seconds=args.seconds or Settings.seconds,
        streams=tuple(count for count in streams if count),
        starts=args.starts,
        busy=args.busy,
        profile=args.profile,
        min_difference=args.min_difference / 100,
        seed=args.seed,
    )


def _measure_there(args: argparse.Namespace) -> BenchReport:
    from edgehr.benchmark.remote import run_remote, ssh_command
    from edgehr.benchmark.results import BenchReport

    if args.on is not None:
        prefix, where = ssh_command(args.on), args.on
    else:
        prefix = [*_command_words(args.on_command), "sh", "-c"]
        where = args.on_command
    files, names = _files(args.artifacts)
    options = [
        f"--{name.replace('_', '-')}={_told(value)}"
        for name in (
            "threads",
            "precision",
            "device",
            "seconds",
            "rounds",
            "streams",
            "starts",
            "busy",
            "min_difference",
            "seed",
        )
        if (value := getattr(args, name)) is not None
    ]
    options += [f"--shape={name}={_told(sizes)}" if name else f"--shape={_told(sizes)}" for name, sizes in args.shape]
    options += ["--profile"] * args.profile
    with progress_bar(f"measuring on {where}", None):
        told = run_remote(prefix, where, args.on_edgehr, files, [*options, "--", *names])
    told.pop("page", None)
    return BenchReport.from_dict(told)


def _command_words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise EdgehrError(f"--on-command {text!r}: {error}") from None
    if not words:
        raise EdgehrError("--on-command is empty: name the command that runs `sh` there")
    return words


def _files(artifacts: Sequence[Path]) -> tuple[dict[str, Path], list[str]]:
    """List all files of all artifacts by the names that they get elsewhere, and these names of the artifacts."""
    from edgehr.runtimes.formats import format_of

    distinct = list(dict.fromkeys(artifacts))
    plain = len({path.name for path in distinct}) == len(distinct)
    files: dict[str, Path] = {}
    names = {}
    for number, path in enumerate(distinct):
        folder = "" if plain else f"{number + 1}/"
        # Parts of a model are named after its main file; ONNX has weights of its own beside it.
        stem, name = glob.escape(path.stem), glob.escape(path.name)
        beside = [*path.parent.glob(f"{stem}.*{path.suffix}"), *path.parent.glob(f"{name}?*")]
        for file in (path, *format_of(path).files(path), *beside):
            if file.is_file():
                files[f"{folder}{file.name}"] = file
        names[path] = f"./{folder}{path.name}" if path.name.startswith("-") else f"{folder}{path.name}"
    return files, [names[path] for path in artifacts]


def _told(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


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
