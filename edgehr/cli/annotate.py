"""`edgehr annotate`: what a model finds in an archive of pictures and videos, as a table or a COCO file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.cli.common.arguments import add_spread_options, threads_of_worker
from edgehr.cli.common.output import SubParsers, print_json, progress_bar
from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.spread import Crew
    from edgehr.spread.models import SentModel

NO_DETECTOR = "none"


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "annotate",
        help="write what a model finds in an archive of pictures and videos",
        description="Each picture and each frame of a video is looked at by itself. A run that was stopped goes on "
        "where it was, if the command is given again.",
    )
    parser.add_argument("archive", type=Path, nargs="+", metavar="VIDEO_OR_FOLDER", help="or pictures")
    parser.add_argument("--model", metavar="MODEL", help="a converted model, or the name of one that ships")
    parser.add_argument("--detector", metavar="MODEL", help="the same that finds what it looks at; none for none")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help=".parquet for a table, .json for a COCO file"
    )
    parser.add_argument("--classes", metavar="NAMES", help="of detectors: find these alone, as person,dog (all)")
    parser.add_argument("--device", default="auto", help="where the models run")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of one inference")
    parser.add_argument("--fresh", action="store_true", help="begin anew, whatever an earlier run has done")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    add_spread_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Annotate, and print what came of it."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # where a file fails, edgehr says more, and in one line
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    from edgehr.annotate.forms import form_of
    from edgehr.annotate.pieces import Archive
    from edgehr.annotate.run import annotate
    from edgehr.annotate.work import Annotation
    from edgehr.live.predictors.opening import predictor
    from edgehr.spread import open_crew
    from edgehr.spread.models import runs_on
    from edgehr.zoo import DEFAULT_MODEL

    archive = Archive.of(args.archive, elsewhere=args.ray is not None)
    name = args.model or DEFAULT_MODEL
    threads = threads_of_worker(args)
    options: dict[str, Any] = {"device": args.device, "threads": threads}
    if args.classes is not None:
        options["classes"] = [each.strip() for each in args.classes.split(",")]
    detector = None if args.detector in (None, NO_DETECTOR) else str(args.detector)
    given: dict[str, Any] = {} if args.detector is None else {"detector": detector}
    with predictor(name, **given, **options) as opened:  # what is wrong with it is said now
        card, arithmetic = opened.card, runs_on(opened.runtime)
    form = form_of(args.out, card)
    with open_crew(args.jobs, args.ray, threads or 1) as crew:
        work = Annotation(
            _sent(name, crew), _sent(detector or "", crew) if given else None, form, options, crew.elsewhere
        )
        made_of = {
            "model": _digest(name),
            "detector": [bool(given), _digest(detector or "")],
            "options": {**options, "threads": None},
            "form": args.out.suffix,
            "runs_on": arithmetic,
        }
        about = {"model": card.name, "weights": card.weights.file or name, "runs_on": arithmetic}
        summary = annotate(
            archive, work, args.out, crew, about=about, made_of=made_of, fresh=args.fresh, bar=progress_bar
        )
    if args.json:
        print_json({"out": str(args.out), **summary.to_dict()})
    else:
        print(f"{args.out}: {summary.found} {form.unit} of {summary.pictures} pictures, by {card.name}")
    if summary.problems:
        raise EdgehrError(f"{len(summary.problems)} files could not be read, as said above; {args.out} has the others")


def _sent(name: str, crew: Crew) -> SentModel:
    from edgehr.spread.models import SentModel

    return SentModel.of(name, crew)


def _digest(name: str) -> list[str]:
    """Tell a model from any other: its name, and what is in its files."""
    from edgehr.files import sha256_file
    from edgehr.runtimes.formats import model_files

    path = Path(name)
    return [name, *map(sha256_file, model_files(path) if path.is_file() else [])]
