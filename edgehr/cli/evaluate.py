"""`edgehr eval`: COCO keypoint AP and AR."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from edgehr.card import DECODINGS
from edgehr.cli.output import SubParsers, print_json, print_table, progress_bar


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("eval", help="measure COCO keypoint AP and AR")
    parser.add_argument(
        "model", metavar="ARTIFACT", help=".onnx or .xml; or a checkpoint or model name, run in PyTorch"
    )
    parser.add_argument("--annotations", type=Path, required=True, metavar="FILE", help="COCO person_keypoints .json")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="its images")
    parser.add_argument("--detections", type=Path, metavar="FILE", help="COCO detections to use instead of true boxes")
    parser.add_argument("--flip", action="store_true", help="average in the mirrored image")
    parser.add_argument("--decoding", choices=DECODINGS, help="decode in another way than the card says")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="checkpoint for a model name")
    parser.add_argument("--checkpoint-of", metavar="NAME", help="the model that a checkpoint is of")
    parser.add_argument("--device", default="auto", help="where an artifact runs")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of one inference")
    parser.add_argument("--runtime-precision", metavar="P", help="arithmetic to ask for (OpenVINO: fp32, bf16, fp16)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Evaluate and print."""
    from edgehr.cli.opening import open_model
    from edgehr.evaluation.annotations import Annotations
    from edgehr.evaluation.keypoint_ap import check_annotations, evaluate
    from edgehr.evaluation.overlap import refuse_calibrated
    from edgehr.zoo import find_card

    known = find_card(args.checkpoint_of) if args.checkpoint_of else None
    runtime, card = open_model(
        args.model,
        weights=args.weights,
        card=known,
        device=args.device,
        threads=args.threads,
        precision=args.runtime_precision,
    )
    if args.decoding:
        card = replace(card, decoding=replace(card.decoding, method=args.decoding))
    annotations = Annotations.read(args.annotations)
    check_annotations(card, annotations)
    if args.detections:
        images = annotations.detected(args.images, args.detections)
    else:
        images = annotations.ground_truth(args.images)
    refuse_calibrated([runtime.artifact], [image.path for image in images])
    done = 0
    with runtime, progress_bar("evaluating", sum(len(image.boxes) for image in images)) as advance:

        def count(people: int) -> None:
            nonlocal done
            done += people
            advance(done, None)

        metrics = evaluate(
            runtime, card, annotations, images, flip=args.flip, suppress=bool(args.detections), progress=count
        )
    setting = {
        "model": card.name,
        "weights": f"{card.weights.file or args.model} ({card.weights.origin})",
        "runtime": f"{runtime.backend} {runtime.device} {runtime.precision}".strip(),
        "annotations": str(args.annotations),
        "boxes": f"detected ({args.detections})" if args.detections else "ground truth",
        "flip": args.flip,
        "decoding": f"{card.decoding.method}, warp {card.decoding.warp}",
    }
    if args.json:
        print_json({**setting, **metrics.to_dict()})
        return
    for label, value in setting.items():
        print(f"{label:<12} {value}")
    print(f"{'people':<12} {metrics.people} in {metrics.images} images\n")
    values = (metrics.ap, metrics.ap50, metrics.ap75, metrics.ap_medium, metrics.ap_large, metrics.ar)
    print_table(
        ["AP", "AP50", "AP75", "AP(M)", "AP(L)", "AR"],
        [["-" if value != value else f"{100 * value:.1f}" for value in values]],
    )
