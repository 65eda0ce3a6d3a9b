"""`edgehr tune`: the fastest way to run a task on this machine that is accurate enough."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgehr.cli.common.arguments import add_remote_options, add_spread_options, count, remotes_of
from edgehr.cli.common.calibration_options import add_calibration_source, check_calibration_source, open_calibration
from edgehr.cli.common.output import SubParsers, print_json, print_table, progress_bar
from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.benchmark.fleet import Told
    from edgehr.benchmark.remote import Remote
    from edgehr.spread import Crew
    from edgehr.tune.race import Bench
    from edgehr.tune.results import TuneReport
    from edgehr.tune.variants import Model
    from edgehr.tune.workstation import Request

_PRECISIONS = ("fp32", "fp16", "int8", "dynamic-int8")


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "tune",
        help="find the fastest way to run a task on this machine that is accurate enough",
        description="Convert models in several sizes, formats and precisions, measure time and accuracy of what may "
        "win, and write a file that edgehr.load and edgehr.PoseEstimator open with the best settings. What was "
        "measured is kept in the folder of --out: after an interruption the same command goes on where it was.",
    )
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL[@HxW,...][=WEIGHTS]",
        help="models as of `edgehr models` or card files, with input sizes and checkpoints (default: the packaged one)",
    )
    parser.add_argument("--task", default="pose", help="pose, segmentation, ...: whose packaged model (pose)")
    parser.add_argument("--max-drop", type=_points, metavar="POINTS", help="accuracy that may be lost, of 100")
    parser.add_argument("--budget", type=_milliseconds, metavar="20ms", help="time that a frame may take")
    parser.add_argument("--people", type=count, default=1, metavar="N", help="people, or images, at once (1)")
    parser.add_argument("--annotations", type=Path, required=True, metavar="PATH", help="as for `edgehr eval`")
    parser.add_argument("--images", type=Path, metavar="DIR", help="its images (default: beside it)")
    parser.add_argument("--detections", type=Path, metavar="FILE", help="COCO detections to use instead of true boxes")
    parser.add_argument(
        "--max-samples", type=count, default=0, metavar="N", help="evaluate on so many people or images (all)"
    )
    parser.add_argument("--to", type=_words, metavar="T[,T]", help="formats (default: all that can run here)")
    parser.add_argument("--precision", type=_words, metavar="P[,P]", help=f"of {', '.join(_PRECISIONS)} (all)")
    parser.add_argument("--out", type=Path, default=Path("tuned"), metavar="DIR", help="folder of the results (tuned)")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    add_calibration_source(parser)
    add_spread_options(parser, "to evaluate, and to look for the crops of --calib")
    add_remote_options(parser)
    parser.set_defaults(run=run, weights=None, held_out=None)


def run(args: argparse.Namespace) -> None:
    """Search, write the page and the choice, print the table."""
    from edgehr.dependencies import need_torch

    if args.max_drop is None and args.budget is None:
        raise EdgehrError("say what is wanted: --max-drop POINTS, --budget MILLISECONDSms, or both")
    check_calibration_source(args)
    remotes = remotes_of(args)
    need_torch()
    from edgehr.spread import open_crew

    with open_crew(args.jobs, args.ray) as crew:
        told, pages = _search(args, remotes, crew)
    # Now: what Ray prints goes to standard error as long as it is connected, and all that is printed with it.
    if len(told) > 1:
        _show_fleet(args, told, pages)
    else:
        for each in told:
            _show(args, each.value, pages)


def _search(args: argparse.Namespace, remotes: list[Remote], crew: Crew) -> tuple[list[Told[TuneReport]], list[Path]]:
    """Search on this machine or on others, and write a page for each that has a report."""
    from edgehr.benchmark.bench import run_bench
    from edgehr.benchmark.fleet import Told
    from edgehr.files import check_writable, only_one
    from edgehr.tune.fleet import choice_names, tune_fleet
    from edgehr.tune.page import write_page
    from edgehr.tune.search import tune

    request = _request(args, crew)
    check_writable(request.folder / "journal.json")
    with only_one(request.folder):
        if len(remotes) > 1:
            told = tune_fleet(request, remotes, progress_bar, _tell, crew)
            names = choice_names([each.where for each in told])
        else:
            bench: Bench = run_bench
            where, names = "", ["tune"]
            for remote in remotes:
                remote.check()
                bench, where = remote.bench, remote.where
            told = [Told(where, tune(request, bench, where, progress_bar, _tell, crew))]
        pages = []
        for each, name in zip(told, names, strict=True):
            if each.value:
                pages.append(request.folder / f"{name}.html")
                write_page(each.value, pages[-1])
    return told, pages


def _show(args: argparse.Namespace, report: TuneReport | None, pages: list[Path]) -> None:
    """Print the report of one machine; raises EdgehrError where nothing keeps to the limits."""
    from edgehr.tune.table import problem, rows

    assert report is not None  # noqa: S101 - a search on one machine has one, or has raised
    if args.json:
        print_json(report.to_dict())
    else:
        _print_setting(report)
        print_table(*rows(report))
        print()
        _print_rest(report)
        print(f"\nwritten: {', '.join(map(str, pages))}")
    if report.chosen is None:
        raise EdgehrError(problem(report))


def _show_fleet(args: argparse.Namespace, told: list[Told[TuneReport]], pages: list[Path]) -> None:
    """Print one table for many machines; raises EdgehrError where some have no choice."""
    from edgehr.benchmark.fleet import fleet_dict, fleet_rows, refuse_failures
    from edgehr.tune.table import problem, rows

    if args.json:
        print_json(fleet_dict(told))
    else:
        print_table(*fleet_rows(told, rows))
        for each in told:
            if each.value:
                print(f"\n== {each.where}")
                _print_setting(each.value)
                _print_rest(each.value)
        if pages:
            print(f"\nwritten: {', '.join(map(str, pages))}")
    refuse_failures(told)
    for each in told:
        if each.value and each.value.chosen is None:
            raise EdgehrError(f"{each.where}: {problem(each.value)}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _request(args: argparse.Namespace, crew: Crew) -> Request:
    from edgehr.converters.target import TARGETS
    from edgehr.tune.results import Limits
    from edgehr.tune.variants import default_targets
    from edgehr.tune.workstation import Request

    for target in args.to or ():
        TARGETS.get(target)  # raises for an unknown one
    models: list[Model] = []
    for text in args.models or [_packaged(args.task)]:
        models += [model for model in _models(text) if model not in models]
    cards = {model.card.task for model in models}
    if len(cards) > 1:
        raise EdgehrError(f"these are models of several tasks, {', '.join(sorted(cards))}: tune one at a time")
    for name in args.precision or ():
        if name not in _PRECISIONS:
            raise EdgehrError(f"--precision {name}: expected some of {', '.join(_PRECISIONS)}")
    if args.precision and "int8" in args.precision and not args.calib:
        raise EdgehrError("--precision int8 needs --calib with real images")
    return Request(
        models=tuple(models),
        targets=tuple(args.to or default_targets()),
        precisions=tuple(args.precision or _PRECISIONS),
        limits=Limits(args.max_drop, args.budget),
        annotations=args.annotations,
        folder=args.out,
        images=args.images,
        detections=args.detections,
        max_samples=args.max_samples,
        calibration=open_calibration(args, models[0].card, crew) if args.calib else None,
        at_once=args.people,
    )


def _packaged(task: str) -> str:
    """Return the model of a task that ships with edgehr with its checkpoint."""
    from edgehr.zoo import all_cards

    names = [card.name for card in all_cards() if card.task == task and card.weights.origin == "sample"]
    if not names:
        raise EdgehrError(f"--task {task}: no model of it ships with edgehr: name one, as of `edgehr models`")
    return names[0]


def _models(text: str) -> list[Model]:
    """Parse `MODEL[@HxW,...][=WEIGHTS]`."""
    from edgehr.cli.convert import parse_size
    from edgehr.cli.fetch import fetch_with_progress
    from edgehr.models.backbones.layers import check_size
    from edgehr.tune.variants import Model
    from edgehr.zoo import find_card

    named, _, file = text.partition("=")
    name, _, sizes = named.partition("@")
    card = find_card(name)
    if file and not Path(file).is_file():
        raise EdgehrError(f"{file}: no such checkpoint")
    cards = [card]
    if sizes:
        try:
            wanted = [parse_size(size) for size in sizes.split(",")]
        except argparse.ArgumentTypeError as error:
            raise EdgehrError(f"{text}: {error}") from None
        for size in wanted:
            check_size(*size)
        cards = [card.with_size(*size) for size in wanted]
    weights = Path(file) if file else fetch_with_progress(card)
    return [Model(each, weights) for each in cards]


def _print_setting(report: TuneReport) -> None:
    for name, value in report.setting.items():
        print(f"{name:<12} {value}")
    print()


def _print_rest(report: TuneReport) -> None:
    """Print what was left out, and the choice."""
    from edgehr.tune.table import answer, left_out

    headers, others = left_out(report)
    if others:
        print_table(headers, others)
        print()
    if report.chosen:
        print("\n".join(answer(report)))
    for remark in report.remarks:
        print(f"note: {remark}")


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _points(text: str) -> float:
    from edgehr.cli.common.calibration_options import parse_drop

    try:
        return parse_drop(text)
    except EdgehrError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _milliseconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s)?", text)
    value = float(match[1]) * (1000 if match[2] == "s" else 1) if match else 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 20ms")
    return value
