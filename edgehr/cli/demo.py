"""`edgehr demo`: find a person in pictures or a video and draw the skeleton."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.cli.output import SubParsers, print_json, progress_bar
from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.card import ModelCard
    from edgehr.runtimes import Runtime


WINDOWS_PER_FRAME = 8


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="draw the skeleton of a person in pictures or a video",
        description="One person a picture, found without a detector: the crop follows the person's own keypoints.",
    )
    parser.add_argument("--model", type=Path, metavar="ARTIFACT", help="default: the sample model as converted last")
    parser.add_argument("--source", type=Path, metavar="PATH", help="image, folder or video; default: a shipped photo")
    parser.add_argument("--save", type=Path, default=Path("out"), metavar="OUT", help="file or folder; default: out")
    parser.add_argument("--device", default="auto", help="where the model runs")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of one inference")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Go through the source, draw, save, and say what was found."""
    from edgehr.assets import photographs
    from edgehr.cli.opening import open_artifact
    from edgehr.pose.sinks import open_sink
    from edgehr.pose.sources import open_source

    source = open_source(args.source or photographs()[0])
    sink = open_sink(args.save, source)
    runtime, card = open_artifact(str(args.model or default_model()), args.device, args.threads)
    with runtime:
        try:
            summary = _go_through(source, sink, runtime, card, show=not args.json)
            saved = sink.close()
        except BaseException:
            sink.discard()
            raise
    summary = {"source": str(source.path), "saved": [str(path) for path in saved], **summary}
    if args.json:
        print_json(summary)
    else:
        _print_summary(summary)


def default_model() -> Path:
    """The sample model where `edgehr convert` puts it, whichever kind is there."""
    from edgehr.zoo import DEFAULT_MODEL

    kinds = [
        Path("artifacts", f"{DEFAULT_MODEL}-{precision}{s}")
        for precision in ("fp32", "fp16")
        for s in (".xml", ".onnx", ".tflite")
    ]
    for path in kinds:
        if path.is_file():
            return path
    raise EdgehrError(
        f"no converted model here: run `make openvino` or `edgehr convert {DEFAULT_MODEL} --to openvino` first, "
        "or name one with --model"
    )


def _go_through(source: Any, sink: Any, runtime: Runtime, card: ModelCard, *, show: bool) -> dict[str, Any]:
    import numpy as np

    from edgehr.pose.draw import draw_label, draw_poses
    from edgehr.pose.single import SinglePerson
    from edgehr.pose.sources import Frame

    person = SinglePerson(runtime, card, windows_per_frame=WINDOWS_PER_FRAME if source.kind == "video" else None)
    times: list[float] = []
    found: list[dict[str, Any]] = []
    label = f"{card.name} ({card.weights.origin} weights)"
    where = f"{runtime.backend} {runtime.device} {runtime.precision}".strip()
    with progress_bar(source.path.name, source.count or None) as advance:
        for number, frame in enumerate(source, start=1):
            if source.kind == "images":
                person.reset()
            started = time.perf_counter()
            poses = person(frame.image)
            times.append(1000 * (time.perf_counter() - started))
            draw_poses(frame.image, poses, card.keypoints)
            draw_label(frame.image, [label, f"{where}, pose {times[-1]:.1f} ms"])
            sink.write(Frame(frame.name, frame.image))
            found.append(
                {
                    "frame": frame.name,
                    "boxes": poses.boxes.round(2).tolist(),
                    "keypoints": poses.keypoints.round(2).tolist(),
                    "scores": poses.scores.round(4).tolist(),
                }
            )
            if show:
                advance(number, None)
    return {
        "model": card.name,
        "weights": card.weights.origin,
        "runtime": where,
        "frames": len(times),
        "with_person": sum(bool(pose["scores"]) for pose in found),
        "pose_ms_p50": round(float(np.median(times)), 2),
        "pose_ms_p95": round(float(np.percentile(times, 95)), 2),
        "poses": found,
    }


def _print_summary(summary: dict[str, Any]) -> None:
    print(f"model    {summary['model']} ({summary['weights']} weights) on {summary['runtime']}")
    print(f"found    a person in {summary['with_person']} of {summary['frames']} frames of {summary['source']}")
    print(f"time     {summary['pose_ms_p50']:.1f} ms a frame (p95 {summary['pose_ms_p95']:.1f}), crop to keypoints")
    shown = summary["saved"][:3] + (["..."] if len(summary["saved"]) > 3 else [])
    print(f"saved    {', '.join(shown)}")
