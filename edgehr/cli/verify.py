"""`edgehr verify`: compare two models on the same inputs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.cli.output import SubParsers, print_json, print_table, progress_bar
from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.card import ModelCard
    from edgehr.converters.compare import Difference
    from edgehr.evaluation.annotations import PeopleImage
    from edgehr.evaluation.keypoint_agreement import Agreement
    from edgehr.runtimes import Runtime

# Heatmaps are compared on so many crops at most, keypoints on all people.
MOST_CROPS = 32


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "verify",
        help="compare two models on the same inputs",
        description="A and B are artifacts (.onnx, .xml, ...), checkpoints, or model names (run in PyTorch).",
    )
    parser.add_argument("a", metavar="A", help="the reference")
    parser.add_argument("b", metavar="B", help="what is compared with it")
    parser.add_argument("--checkpoint-of", metavar="NAME", help="the model of a checkpoint, if no artifact says so")
    parser.add_argument(
        "--annotations", type=Path, metavar="FILE", help="COCO keypoints .json: compare on its people, with AP too"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="the annotations' images; without annotations, compare on these"
    )
    parser.add_argument("--device", default="auto", help="where artifacts run")
    parser.add_argument(
        "--max-difference", type=float, metavar="X", help="fail above X standard deviations of A's output"
    )
    parser.add_argument("--min-agreement", type=float, metavar="X", help="fail below a mean OKS of X (0 to 1)")
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Compare and print."""
    from edgehr.converters.compare import compare
    from edgehr.converters.crops import crops_of
    from edgehr.dependencies import need_packages
    from edgehr.evaluation.overlap import refuse_calibrated

    if args.annotations:
        need_packages("faster_coco_eval", extra="eval")
    card, models = _open(args)
    images, source = _people(args, card)
    if args.annotations:
        refuse_calibrated([model.artifact for model in models], [image.path for image in images])
    difference = compare(card, models[0], models[1], crops_of(card, images[:MOST_CROPS])[:MOST_CROPS])
    wanted = args.annotations is not None or args.min_agreement is not None
    agreed = _agreement(card, models, images, with_ap=args.annotations is not None, wanted=wanted)
    weights = [_weights(name, runtime) for name, runtime in zip((args.a, args.b), models, strict=True)]
    if args.json:
        named = {"a": args.a, "b": args.b, "weights_a": weights[0], "weights_b": weights[1], "compared_on": source}
        print_json({**named, **difference.to_dict(), "agreement": agreed.to_dict() if agreed else None})
    else:
        print(f"A  {args.a} ({weights[0]})\nB  {args.b} ({weights[1]})\non {source}\n")
        _print(difference, agreed)
    _judge(args, difference, agreed)


def _open(args: argparse.Namespace) -> tuple[ModelCard, list[Runtime]]:
    """The card to compare by, and both models. Artifacts are opened first: they say what a checkpoint is of."""
    from edgehr.cli.opening import open_model
    from edgehr.runtimes.formats import find_format
    from edgehr.zoo import find_card

    card = find_card(args.checkpoint_of) if args.checkpoint_of else None
    opened: dict[str, Runtime] = {}
    for name in sorted((args.a, args.b), key=lambda name: find_format(name) is None):
        is_artifact = find_format(name) is not None
        opened[name], found = open_model(name, card=card, device=args.device if is_artifact else "auto")
        card = card or found
    assert card is not None  # noqa: S101 - two models were opened
    return card, [opened[args.a], opened[args.b]]


def _people(args: argparse.Namespace, card: ModelCard) -> tuple[list[PeopleImage], str]:
    """What to compare on, and that in words."""
    from edgehr.converters.crops import comparison_windows, describe
    from edgehr.evaluation.annotations import Annotations
    from edgehr.evaluation.keypoint_ap import check_annotations

    if not args.annotations:
        windows = comparison_windows(args.images)
        return windows, describe([box for image in windows for box in image.boxes], args.images)
    annotations = Annotations.read(args.annotations)
    check_annotations(card, annotations)
    people = annotations.ground_truth(args.images or annotations.images_beside)
    count = sum(len(image.boxes) for image in people)
    return people, f"{count} people in {len(people)} images of {args.annotations}, ground-truth boxes"


def _agreement(
    card: ModelCard, models: list[Runtime], images: list[PeopleImage], *, with_ap: bool, wanted: bool
) -> Agreement | None:
    """Agreement of the models, each decoded by its own card; None where it is undefined and nobody asked for it."""
    from edgehr.evaluation.keypoint_agreement import agreement, check_comparable, estimate_all

    cards = [card if model.artifact is None else model.artifact.card for model in models]
    if not wanted and not card.keypoints.sigmas:
        return None
    check_comparable(*cards)
    with progress_bar("comparing", 2 * sum(len(image.boxes) for image in images)) as advance:
        done = 0

        def count(people: int) -> None:
            nonlocal done
            done += people
            advance(done, None)

        found = [estimate_all(model, own, images, count) for model, own in zip(models, cards, strict=True)]
    return agreement(card, images, *found, with_ap=with_ap)


def _print(difference: Difference, agreed: Agreement | None) -> None:
    print_table(
        ["", "HEATMAPS (std of A)", "KEYPOINTS (heatmap pixels)"],
        [
            ["mean", f"{difference.relative_mean:.2e}", f"{difference.keypoints_mean:.3f}"],
            ["largest", f"{difference.relative:.2e}", f"{difference.keypoints_largest:.3f}"],
            ["compared", difference.crops, difference.keypoints],
        ],
    )
    if agreed is None:
        return
    left = f"; {agreed.left_out} left out, in whom A sees none" if agreed.left_out else ""
    seen = f"{agreed.people} people, {agreed.keypoints} keypoints that A scores above 0.2{left}"
    rows: list[list[Any]] = [["mean OKS", f"{agreed.oks:.4f}", seen]]
    if agreed.ap is not None:
        rows.append(["AP", f"{100 * agreed.ap.ap:.1f}", "COCO AP with A's keypoints as the truth"])
    print()
    print_table(["AGREEMENT", "B WITH A", ""], rows)


def _judge(args: argparse.Namespace, difference: Difference, agreed: Agreement | None) -> None:
    """Fail where a limit is broken; NaN breaks any."""
    if args.max_difference is not None and not difference.relative <= args.max_difference:
        raise EdgehrError(f"the difference, {difference.relative:.2g}, is above {args.max_difference:g}")
    if args.min_agreement is not None and agreed is not None and not agreed.oks >= args.min_agreement:
        raise EdgehrError(f"the agreement, a mean OKS of {agreed.oks:.4f}, is below {args.min_agreement:g}")


def _weights(name: str, runtime: Runtime) -> str:
    """The weights of an opened model in words; a checkpoint's card does not know its file."""
    from edgehr.cli.opening import CHECKPOINTS

    if runtime.artifact is None or Path(name).suffix in CHECKPOINTS:
        return Path(name).name
    info = runtime.artifact.card.weights
    return f"{info.file}, {info.origin} weights"
