"""`edgehr verify`: compare two models on the same inputs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgehr.cli.common.arguments import add_remote_options, remotes_of
from edgehr.cli.common.output import SubParsers, print_json, print_table, progress_bar
from edgehr.errors import EdgehrError
from edgehr.files import read_json

if TYPE_CHECKING:
    from edgehr.card import ModelCard
    from edgehr.evaluation.base import Agreement, Evaluator
    from edgehr.evaluation.dataset import ImageSample
    from edgehr.runtimes import Runtime

# Outputs are compared on so many inputs at most, results on all images.
MAX_INPUTS = 32


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "verify",
        help="compare two models on the same inputs",
        description="A and B are artifacts (.onnx, .xml, ..., grpc://HOST:PORT/MODEL), checkpoints, or model names "
        "(run in PyTorch). With --on, A alone: what it returns there is compared with what it returns here.",
    )
    parser.add_argument("a", metavar="A", help="the reference")
    parser.add_argument("b", nargs="?", metavar="B", help="what is compared with it")
    parser.add_argument("--checkpoint-of", metavar="NAME", help="the model of a checkpoint, if no artifact says so")
    parser.add_argument(
        "--annotations",
        type=Path,
        metavar="PATH",
        help="what `edgehr eval` takes: compare on its images, by its measure too",
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="the annotations' images; without annotations, compare on these"
    )
    parser.add_argument("--device", default="auto", help="where artifacts run")
    parser.add_argument(
        "--max-difference", type=float, metavar="X", help="fail above X standard deviations of A's output"
    )
    parser.add_argument(
        "--min-agreement", type=float, metavar="X", help="fail below a mean OKS, IoU or top-1 agreement of X (0 to 1)"
    )
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")
    parser.add_argument("--reference", type=Path, help=argparse.SUPPRESS)  # what another edgehr asks for
    add_remote_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Compare and print."""
    if args.reference or args.on or args.on_command:
        if args.b or args.annotations or args.images or args.min_agreement is not None:
            raise EdgehrError("with --on one artifact is compared with itself on other machines: name it alone")
        _compare_with_itself(args)
        return
    if args.b is None:
        raise EdgehrError("name two models to compare, or other machines (--on) to compare one on")
    _compare_two(args)


def _compare_two(args: argparse.Namespace) -> None:
    from edgehr.converters.compare import compare, network_inputs, same_outputs
    from edgehr.evaluation.base import Evaluator
    from edgehr.evaluation.overlap import refuse_calibrated

    card, models = _open(args)
    evaluator = Evaluator.for_card(card) if _has_evaluator(card) else None
    images, source = _images(args, evaluator)
    if args.annotations:
        refuse_calibrated([model.artifact for model in models], [image.path for image in images])
    cards = [card if model.artifact is None else model.artifact.card for model in models]
    # Models that are read in another way are compared by their results alone.
    raw = evaluator is None or not evaluator.has_similarity or same_outputs(*cards)
    if not raw and args.max_difference is not None:
        raise EdgehrError(
            f"{cards[0].name} and {cards[1].name} take other inputs or return other outputs, whose difference means "
            "nothing: use --min-agreement in place of --max-difference"
        )
    inputs = network_inputs(card, images[:MAX_INPUTS])[:MAX_INPUTS] if raw else None
    difference = None if inputs is None else compare(card, models[0], models[1], inputs)
    agreed = _agreement(args, evaluator, models, images)
    weights = [_weights(name, runtime) for name, runtime in zip((args.a, args.b), models, strict=True)]
    if args.json:
        named = {"a": args.a, "b": args.b, "weights_a": weights[0], "weights_b": weights[1], "compared_on": source}
        apart = difference.to_dict() if difference else {}
        print_json({**named, **apart, "agreement": agreed.to_dict() if agreed else None})
    else:
        print(f"A  {args.a} ({weights[0]})\nB  {args.b} ({weights[1]})\non {source}\n")
        if difference:
            print_table(*difference.table())
        if agreed:
            print(end="\n" if difference else "")
            print_table(["AGREEMENT", "B WITH A", ""], agreed.rows)
    # NaN breaks any limit.
    if args.max_difference is not None and difference and not difference.relative <= args.max_difference:
        raise EdgehrError(f"the difference, {difference.relative:.2g}, is above {args.max_difference:g}")
    if args.min_agreement is not None and agreed and evaluator and not agreed.similarity >= args.min_agreement:
        name = evaluator.terms.similarity
        raise EdgehrError(f"the agreement, a mean {name} of {agreed.similarity:.4f}, is below {args.min_agreement:g}")


def _compare_with_itself(args: argparse.Namespace) -> None:
    """Compare an artifact's outputs for a picture that ships with edgehr with what it returned on another machine."""
    from edgehr.rollout.check import Check, plain

    path = Path(args.a)
    if args.reference:
        print_json({"difference": Check.from_dict(read_json(args.reference)).difference(path)})
        return
    from edgehr.benchmark.fleet import MACHINE, ask_fleet, refuse_failures

    remotes = remotes_of(args)
    with progress_bar(f"running on {len(remotes)} machines", len(remotes)) as progress:
        reference = plain(Check.of(path))
        told = ask_fleet(remotes, lambda remote: remote.difference(path, reference), progress)
    if args.json:
        machines = [{"machine": each.where, "difference": each.value, "error": each.error or None} for each in told]
        print_json({"a": args.a, "machines": machines})
    else:
        rows = [[each.where, f"failed: {each.error}" if each.value is None else f"{each.value:.2g}"] for each in told]
        print_table([MACHINE, "DIFFERENCE (standard deviations)"], rows)
    refuse_failures(told)
    if args.max_difference is not None:
        above = [f"{each.where} ({each.value:.2g})" for each in told if not (each.value or 0.0) <= args.max_difference]
        if above:
            raise EdgehrError(f"the difference is above {args.max_difference:g} on {', '.join(above)}")


def _open(args: argparse.Namespace) -> tuple[ModelCard, list[Runtime]]:
    """Return the card to compare by, and both models. Artifacts are opened first: they say what a checkpoint is of."""
    from edgehr.cli.common.opening import open_model
    from edgehr.runtimes.formats import find_format
    from edgehr.zoo import find_card

    card = find_card(args.checkpoint_of) if args.checkpoint_of else None
    opened: dict[str, Runtime] = {}
    for name in sorted((args.a, args.b), key=lambda name: find_format(name) is None):
        is_artifact = find_format(name) is not None
        opened[name], found = open_model(name, card=card, device=args.device if is_artifact else "auto")
        card = card or found
        if found.task != card.task:
            raise EdgehrError(
                f"{card.name} is a model for {card.task}, {found.name} for {found.task}: they cannot be compared"
            )
    assert card is not None  # noqa: S101 - two models were opened
    return card, [opened[args.a], opened[args.b]]


def _has_evaluator(card: ModelCard) -> bool:
    from edgehr.tasks.base import Task

    return bool(Task.for_card(card).evaluator)


def _images(args: argparse.Namespace, evaluator: Evaluator | None) -> tuple[Sequence[ImageSample], str]:
    """Give what to compare on, and that in words."""
    from edgehr.converters.compare import comparison_windows, describe

    if not args.annotations:
        windows = comparison_windows(args.images)
        return windows, describe([box for image in windows for box in image.boxes], args.images)
    if evaluator is None:
        raise EdgehrError("--annotations goes with models of a task that has a measure of accuracy")
    evaluator.check_installed()
    dataset = evaluator.read(args.annotations, args.images)
    count = (
        f"{len(dataset)} {evaluator.terms.samples} in {len(dataset.images)}"
        if dataset.boxes
        else f"{len(dataset.images)}"
    )
    words = f", {dataset.boxes.replace(' ', '-')} boxes" if dataset.boxes else ""
    return dataset.images, f"{count} images of {args.annotations}{words}"


def _agreement(
    args: argparse.Namespace, evaluator: Evaluator | None, models: list[Runtime], images: Sequence[ImageSample]
) -> Agreement | None:
    """Measure the agreement of the models, each read by its own card; None where it is undefined and nobody asked."""
    from edgehr.evaluation.base import Evaluator

    wanted = args.annotations is not None or args.min_agreement is not None
    if evaluator is None or not (wanted or evaluator.has_similarity):
        if wanted:
            raise EdgehrError("--min-agreement goes with models of a task that has a measure of agreement")
        return None
    cards = [evaluator.card if model.artifact is None else model.artifact.card for model in models]
    for card in cards:
        evaluator.check_comparable(card)
    count = sum(max(len(image.boxes), 1) for image in images)
    with progress_bar("comparing", 2 * count) as progress:
        found = [
            Evaluator.for_card(card).predict(model, images, progress=progress.advance)
            for card, model in zip(cards, models, strict=True)
        ]
    return evaluator.agreement(images, *found, with_metric=args.annotations is not None)


def _weights(name: str, runtime: Runtime) -> str:
    """Say which weights an opened model has; a checkpoint's card does not know its file."""
    from edgehr.cli.common.opening import CHECKPOINTS

    if runtime.artifact is None or Path(name).suffix.lower() in CHECKPOINTS:
        return Path(name).name
    info = runtime.artifact.card.weights
    return f"{info.file}, {info.origin} weights"
