"""Options of `edgehr convert` that say what INT8 is calibrated on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgehr.cli.common.output import progress_bar
from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.calib.dataset.calibration_set import CalibrationSet
    from edgehr.calib.dataset.finder import Finder, OpenFinder
    from edgehr.calib.mixed_precision.search import MaxDrop
    from edgehr.card import ModelCard
    from edgehr.progress import ProgressBar
    from edgehr.spread import Crew

MOST = 2000


def add_calibration_source(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options that name the crops to the parser."""
    group = parser.add_argument_group("calibration, for int8")
    group.add_argument("--calib", type=Path, metavar="PATH", help="folder of images, COCO keypoint file, or video")
    group.add_argument("--calib-images", type=Path, metavar="DIR", help="images of that file (default: beside it)")
    group.add_argument(
        "--calib-detector",
        type=Path,
        metavar="ARTIFACT",
        help="detector that finds the people, or faces, of the folder or video",
    )
    group.add_argument("--calib-crops", type=int, metavar="N", help="crops to choose (default: 300)")
    return group


def add_calibration_options(parser: argparse.ArgumentParser) -> None:
    """Add all options to the parser."""
    group = add_calibration_source(parser)
    group.add_argument(
        "--held-out", type=Path, metavar="PATH", help="evaluation images, or COCO file: refuse to calibrate on them"
    )
    group.add_argument(
        "--max-drop",
        metavar="POINTS",
        help="keep the most harmful blocks in float until INT8 loses at most this on calibration crops: points of AP, "
        "top-1, mIoU or NME, of 100 (0.5)",
    )
    group.add_argument(
        "--calib-annotations",
        type=Path,
        metavar="PATH",
        help="what is true of the images of the --calib folder, as for `eval`: --max-drop counts against it "
        "(default: the float model's own results)",
    )


def check_calibration_options(args: argparse.Namespace) -> None:
    """Raise EdgehrError for options that would do nothing."""
    from edgehr.calib.dataset.sources import kind_of

    if args.max_drop is not None:
        parse_drop(args.max_drop)
        if args.precision != "int8":
            raise EdgehrError("--max-drop goes with --precision int8")
        if args.int8_io:
            raise EdgehrError("with --int8-io everything is INT8: --max-drop does not go with it")
    if args.calib and args.precision != "int8":
        raise EdgehrError("--calib goes with --precision int8")
    if args.calib_annotations and args.max_drop is None:
        raise EdgehrError("--calib-annotations goes with --max-drop")
    check_calibration_source(args, "calib_annotations", "held_out", "jobs", "ray")
    if (args.jobs or args.ray) and kind_of(args.calib) == "video":
        raise EdgehrError(
            "--jobs and --ray go with a folder or an annotation file: a video is looked through in one go"
        )
    if args.calib_annotations and not args.calib.is_dir():
        raise EdgehrError("--calib-annotations goes with a folder of images as --calib")


def check_calibration_source(args: argparse.Namespace, *others: str) -> None:
    """Raise EdgehrError for options, these others too, that would do nothing."""
    for name in ("calib_images", "calib_detector", "calib_crops", *others):
        if getattr(args, name) is not None and not args.calib:
            raise EdgehrError(f"--{name.replace('_', '-')} goes with --calib")
    if args.calib_images and args.calib.suffix.lower() != ".json":
        raise EdgehrError("--calib-images goes with --calib ANNOTATIONS.json")


def open_calibration(args: argparse.Namespace, card: ModelCard, crew: Crew) -> CalibrationSet:
    """Return the calibration set that was asked for.

    Args:
        args: With the options above, `calib` among them, and `weights`.
        card: The model: it finds the person of a video itself where there is no detector.
        crew: Who looks for crops.

    Raises:
        EdgehrError: There is no such set, it is too small, or something of it is held out.
    """
    from edgehr.calib.dataset.calibration_set import MAX_CROPS, MIN_CROPS, CalibrationSet
    from edgehr.calib.dataset.held_out import refuse_held_out

    most = MAX_CROPS if args.calib_crops is None else args.calib_crops
    if not MIN_CROPS <= most <= MOST:
        raise EdgehrError(f"--calib-crops must be {MIN_CROPS} to {MOST}, got {most}")
    finder = _finder(args, card, crew)
    with progress_bar("choosing calibration crops", None) as progress:
        chosen = CalibrationSet.of(args.calib, args.calib_images, most, finder, progress.update, card, crew)
    if args.held_out:
        refuse_held_out(chosen, args.held_out)
    return chosen


def parse_drop(text: str) -> float:
    """Parse `--max-drop`: points, of 100."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < 100:
        raise EdgehrError(f"--max-drop is in points of the accuracy, from 0 to 100, 0.5 for example, got {text!r}")
    return value


def max_drop(args: argparse.Namespace, card: ModelCard, bar: ProgressBar) -> MaxDrop:
    """Make the limit of what INT8 may lose.

    Args:
        args: With the options above, `max_drop` among them.
        card: The model.
        bar: Shows progress.

    Raises:
        EdgehrError: It is no drop, the accuracy of the model cannot be measured, or what measures it is not installed.
    """
    from edgehr.calib.mixed_precision.search import MaxDrop
    from edgehr.evaluation.base import Evaluator

    evaluator = Evaluator.for_card(card)
    evaluator.check_comparable(card)
    evaluator.check_installed()
    return MaxDrop(parse_drop(args.max_drop), bar, args.calib_annotations)


def _finder(args: argparse.Namespace, card: ModelCard, crew: Crew) -> OpenFinder | None:
    """Return what opens the finder that the source needs; None where it needs none."""
    from edgehr.calib.dataset.finder import open_detector
    from edgehr.calib.dataset.sources import kind_of
    from edgehr.runtimes.formats import check_file
    from edgehr.spread.models import SentModel
    from edgehr.tasks.base import Task

    if args.calib_detector:
        check_file(args.calib_detector)
        model = SentModel.of(str(args.calib_detector), crew)
        return partial(open_detector, model, Task.for_card(card).boxes_hold, crew.threads)
    if kind_of(args.calib) != "video":
        return None
    from edgehr.cli.fetch import fetch_with_progress

    return partial(_open_single_person, card, args.weights or fetch_with_progress(card))


@contextmanager
def _open_single_person(card: ModelCard, weights: Path) -> Iterator[Finder]:
    from edgehr.calib.dataset.finder import single_person
    from edgehr.models.runtime import TorchRuntime

    with TorchRuntime(card, weights) as runtime:
        yield single_person(runtime)
