"""`edgehr eval`: accuracy on annotated images, by the measure of the model's task."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.cli.common.arguments import add_spread_options, threads_of_worker
from edgehr.cli.common.output import SubParsers, print_json, print_table, progress_bar
from edgehr.tasks.pose.spec import DECODINGS, with_decoding
from edgehr.tasks.segmentation.spec import SegmentationSpec

if TYPE_CHECKING:
    from edgehr.evaluation.base import Evaluator, Metrics, Progress
    from edgehr.evaluation.dataset import Dataset


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("eval", help="measure accuracy on annotated images: COCO AP, NME, top-1, mean IoU")
    parser.add_argument(
        "model",
        metavar="ARTIFACT",
        help=".onnx, .xml ..., or grpc://HOST:PORT/MODEL; or a checkpoint or model name, run in PyTorch",
    )
    parser.add_argument(
        "--annotations",
        type=Path,
        required=True,
        metavar="PATH",
        help="COCO .json of keypoints, boxes or faces; for classifiers a folder of class folders, or a file of labels; "
        "for segmentation the folder of label images",
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="its images (default: images/ beside the file, or its folder)"
    )
    parser.add_argument("--detections", type=Path, metavar="FILE", help="COCO detections to use instead of true boxes")
    parser.add_argument("--flip", action="store_true", help="average in the mirrored image")
    parser.add_argument("--decoding", choices=DECODINGS, help="decode in another way than the card says")
    parser.add_argument("--fit", metavar="HOW", help="slide, letterbox or stretch, for another fit than the card says")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="checkpoint for a model name")
    parser.add_argument("--checkpoint-of", metavar="NAME", help="the model that a checkpoint is of")
    parser.add_argument("--device", default="auto", help="where an artifact runs")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of one inference")
    parser.add_argument("--runtime-precision", metavar="P", help="arithmetic to ask for (OpenVINO: fp32, bf16, fp16)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_spread_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Evaluate and print."""
    from edgehr.cli.common.opening import open_model
    from edgehr.evaluation.base import Evaluator
    from edgehr.evaluation.overlap import refuse_calibrated
    from edgehr.zoo import find_card

    options: dict[str, Any] = {
        "weights": args.weights,
        "card": find_card(args.checkpoint_of) if args.checkpoint_of else None,
        "device": args.device,
        "threads": threads_of_worker(args),
        "precision": args.runtime_precision,
    }
    runtime, card = open_model(args.model, **options)
    if args.decoding:
        card = with_decoding(card, args.decoding)
    if args.fit:
        card = replace(card, spec=card.spec_as(SegmentationSpec).with_fit(args.fit))
    evaluator = Evaluator.for_card(card)
    dataset = evaluator.read(args.annotations, args.images, args.detections)
    refuse_calibrated([runtime.artifact], [image.path for image in dataset.images])
    with progress_bar("evaluating", len(dataset)) as progress:
        if args.ray is None and args.jobs in (None, 1):
            with runtime:
                metrics = evaluator.evaluate(runtime, dataset, flip=args.flip, progress=progress.advance)
        else:
            runtime.close()
            metrics = _with_workers(args, options, evaluator, dataset, progress.advance)
    setting = {
        "model": card.name,
        "weights": f"{card.weights.file or args.model} ({card.weights.origin})",
        "runtime": f"{runtime.backend} {runtime.device} {runtime.precision}".strip(),
        "annotations": str(args.annotations),
        **({"boxes": dataset.boxes} if dataset.boxes else {}),
        "flip": args.flip,
        **dict(evaluator.task.setting),
    }
    if args.json:
        print_json({**setting, **metrics.to_dict()})
        return
    for label, value in setting.items():
        print(f"{label:<12} {value}")
    print(f"{'evaluated':<12} {metrics.counted}\n")
    decimals = metrics.decimals
    kinds = metrics.kinds
    rows: list[list[object]] = [
        [kind, *(_percent(value, decimals) for value in figures.values())] for kind, figures in kinds.items()
    ]
    first = 0 if len(kinds) > 1 else 1  # what a single kind is of is known
    print_table(["", *metrics.figures][first:], [row[first:] for row in rows])
    if metrics.details:
        print()
        details: list[list[object]] = [[name, _percent(value, decimals)] for name, value in metrics.details.items()]
        print_table(["CLASS", next(iter(metrics.figures)).removeprefix("m")], details)


def _with_workers(
    args: argparse.Namespace, options: dict[str, Any], evaluator: Evaluator, dataset: Dataset, progress: Progress
) -> Metrics:
    from edgehr.cli.common.opening import open_runtime
    from edgehr.evaluation.pieces import Prediction, evaluate_in_pieces
    from edgehr.spread import open_crew
    from edgehr.spread.models import SentModel

    with open_crew(args.jobs, args.ray, options["threads"] or 1) as crew:
        model = SentModel.of(args.model, crew)
        work = Prediction(model, partial(open_runtime, **options), evaluator.card, args.flip)
        return evaluate_in_pieces(crew, work, evaluator, dataset, progress)


def _percent(value: float, decimals: int) -> str:
    return "-" if value != value else f"{100 * value:.{decimals}f}"
