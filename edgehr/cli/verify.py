"""`edgehr verify`: compare two models on the same inputs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgehr.cli.output import SubParsers, print_json, print_table

if TYPE_CHECKING:
    from edgehr.runtimes import Runtime


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "verify",
        help="compare two models on the same inputs",
        description="A and B are artifacts (.onnx, .xml), checkpoints, or model names (run in PyTorch).",
    )
    parser.add_argument("a", metavar="A", help="the reference")
    parser.add_argument("b", metavar="B", help="what is compared with it")
    parser.add_argument("--checkpoint-of", metavar="NAME", help="the model of a checkpoint, if no artifact says so")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="compare on these images instead of the shipped ones"
    )
    parser.add_argument("--device", default="auto", help="where artifacts run")
    parser.add_argument(
        "--max-difference", type=float, metavar="X", help="fail above X standard deviations of A's output"
    )
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Compare and print."""
    from edgehr.cli.opening import ARTIFACTS, open_model
    from edgehr.converters.compare import compare
    from edgehr.converters.crops import comparison_batch, describe
    from edgehr.errors import EdgehrError
    from edgehr.zoo import find_card

    card = find_card(args.checkpoint_of) if args.checkpoint_of else None
    # Artifacts first: they say which model a checkpoint beside them is of.
    opened: dict[str, Runtime] = {}
    weights: dict[str, str] = {}
    for name in sorted((args.a, args.b), key=lambda name: Path(name).suffix not in ARTIFACTS):
        is_artifact = Path(name).suffix in ARTIFACTS
        opened[name], found = open_model(name, card=card, device=args.device if is_artifact else "auto")
        card = card or found
        weights[name] = _weights(name, opened[name])
    assert card is not None  # noqa: S101 - two models were opened
    crops = comparison_batch(card, args.images)
    difference = compare(card, opened[args.a], opened[args.b], crops)
    if args.json:
        named = {"weights_a": weights[args.a], "weights_b": weights[args.b]}
        print_json({"a": args.a, "b": args.b, **named, **difference.to_dict()})
    else:
        print(f"A  {args.a} ({weights[args.a]})\nB  {args.b} ({weights[args.b]})")
        print(f"on {describe(crops, args.images)}\n")
        print_table(
            ["", "HEATMAPS (std of A)", "KEYPOINTS (heatmap pixels)"],
            [
                ["mean", f"{difference.relative_mean:.2e}", f"{difference.keypoints_mean:.3f}"],
                ["largest", f"{difference.relative:.2e}", f"{difference.keypoints_largest:.3f}"],
                ["compared", difference.crops, difference.keypoints],
            ],
        )
    if args.max_difference is not None and not difference.relative <= args.max_difference:
        raise EdgehrError(f"the difference, {difference.relative:.2g}, is above {args.max_difference:g}")


def _weights(name: str, runtime: Runtime) -> str:
    """The weights of an opened model in words; a checkpoint's card does not know its file."""
    from edgehr.cli.opening import CHECKPOINTS

    if runtime.artifact is None or Path(name).suffix in CHECKPOINTS:
        return Path(name).name
    info = runtime.artifact.card.weights
    return f"{info.file}, {info.origin} weights"
