"""`edgehr demo`: a model at work on a camera, a stream, a video or pictures."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.cli.common.output import SubParsers, print_json
from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.live.predictors.base import Predictor

AV_LOG_QUIET = "-8"


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="draw what a model finds in pictures, a video or a live camera",
        description="A pose model finds and follows one person without --detector; with it, several.",
    )
    parser.add_argument("--model", type=Path, metavar="ARTIFACT", help="default: the sample model in artifacts/")
    parser.add_argument("--detector", type=Path, metavar="ARTIFACT", help="a converted person detector")
    parser.add_argument(
        "--source",
        metavar="SOURCE",
        help="image, folder, video, camera (0, /dev/video0, csi:0) or address (rtsp://, http://); default: a photo",
    )
    parser.add_argument(
        "--save", type=Path, metavar="OUT", help="file or folder; default: out, if it ends and goes nowhere else"
    )
    parser.add_argument("--window", action="store_true", help="show the picture in a window; q ends")
    parser.add_argument(
        "--jsonl", metavar="FILE", help="write the result of each frame as a line of JSON; - for stdout"
    )
    parser.add_argument("--serve", metavar="[HOST:]PORT", help="show the picture in a browser (loopback unless HOST)")
    parser.add_argument("--token", help="what the page asks for; default: a random one, on loopback none")
    parser.add_argument("--device", default="auto", help="where the models run")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of one inference")
    parser.add_argument("--detect-every", type=int, metavar="N", help="frames between detections (5)")
    parser.add_argument("--no-smooth", action="store_true", help="do not smooth keypoints from frame to frame")
    parser.add_argument("--blur", action="store_true", help="segmentation: put all but people out of focus")
    parser.add_argument("--fit", metavar="HOW", help="segmentation: slide, letterbox or stretch (as the card says)")
    parser.add_argument("--loop", action="store_true", help="repeat a video until Ctrl-C")
    parser.add_argument("--realtime", action="store_true", help="play a video as a camera would deliver it")
    parser.add_argument("--frames", type=int, metavar="N", help="stop after so many frames")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Go through the source, draw, show, save, and say what was found."""
    from contextlib import ExitStack

    from edgehr.assets import photographs
    from edgehr.cli.common.stopping import undisturbed
    from edgehr.cli.live import go_through
    from edgehr.live.sinks import open_sinks
    from edgehr.live.sources import open_source

    _check(args)
    # Before FFmpeg is first used: where it fails, edgehr says more, and in one line.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", AV_LOG_QUIET)
    with ExitStack() as stack:
        spec = photographs()[0] if args.source is None else args.source
        source = open_source(spec, loop=args.loop, realtime=args.realtime)
        stack.callback(source.close)
        model = stack.enter_context(_predictor(args))
        server = None
        if args.serve:
            from edgehr.live.web import WebServer, parse_address

            server = stack.enter_context(WebServer(*parse_address(args.serve), args.token))
            if not args.json:
                print(f"showing at {server.url}", flush=True)
        elsewhere = source.kind == "live" or args.loop or args.window or args.serve or args.jsonl
        save = args.save or (None if elsewhere else Path("out"))
        sinks = open_sinks(source, save, args.jsonl, args.window)
        try:
            summary = go_through(
                source,
                model,
                sinks,
                server,
                max_frames=args.frames,
                collect=args.json and source.kind != "live" and not args.loop,
            )
            with undisturbed():
                saved = sinks.close()
        except BaseException:
            sinks.discard()
            raise
    summary = {"source": source.name, "saved": [str(path) for path in saved], **summary}
    if args.json:
        print_json(summary)
    elif args.jsonl != "-":
        _print_summary(summary)


def _predictor(args: argparse.Namespace) -> Predictor[Any, Any]:
    """Open the model with the options that its task has; raise EdgehrError for those that it has not."""
    from edgehr.live.predictors.opening import predictor

    options = {
        "detector": args.detector,
        "detect_every": args.detect_every,
        "smooth": False if args.no_smooth else None,
        "blur": args.blur or None,
        "fit": args.fit,
    }
    given = {name: value for name, value in options.items() if value is not None}
    return predictor(args.model or default_model(), device=args.device, threads=args.threads, **given)


def default_model() -> Path:
    """Find the sample model where `edgehr convert` puts it, whichever kind is there."""
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


def _check(args: argparse.Namespace) -> None:
    for flag, value in (("--frames", args.frames), ("--detect-every", args.detect_every)):
        if value is not None and value < 1:
            raise EdgehrError(f"{flag} must be at least 1, got {value}")
    if args.token and not args.serve:
        raise EdgehrError("--token goes with --serve")


def _print_summary(summary: dict[str, Any]) -> None:
    stages = ", ".join(f"{stage} {times['p50']:.1f}" for stage, times in summary["stages"].items())
    print(f"model    {summary['model']} ({summary['weights']} weights) on {summary['runtime']}")
    frames = f"{summary['frames_with']} of {summary['frames']} frames"
    print(f"found    {summary['found']} in {frames} of {summary['source']}")
    print(f"speed    {summary['fps']:.1f} frames a second; median ms: {stages}")
    if summary["saved"]:
        shown = summary["saved"][:3] + (["..."] if len(summary["saved"]) > 3 else [])
        print(f"saved    {', '.join(shown)}")
