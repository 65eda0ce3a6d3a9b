"""`edgehr demo`: a model at work on a camera, a stream, a video or pictures."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.cli.common.output import SubParsers, print_json
from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.live.predictors.base import Predictor
    from edgehr.live.sources import Source

AV_LOG_QUIET, CV_LOG_ERRORS = "-8", "ERROR"
NO_DETECTOR = "none"


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="draw what a model finds in pictures, a video or a live camera",
        description="Without options, the models that ship with edgehr find the people before the first camera, or in "
        "a picture that ships too. A pose model of your own follows one person without --detector; with it, several.",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="a converted model, grpc://HOST:PORT/MODEL, or the name of one that ships (default: that for poses)",
    )
    parser.add_argument(
        "--detector", metavar="MODEL", help="the same that finds people; none for one person without a detector"
    )
    parser.add_argument(
        "--source",
        metavar="SOURCE",
        help="image, folder, video, camera (0, /dev/video0, csi:0), address (rtsp://, http://) or clip, a short film "
        "of people; default: the first camera, else a picture",
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
    parser.add_argument("--classes", metavar="NAMES", help="detection: find these alone, as person,dog (all)")
    parser.add_argument("--loop", action="store_true", help="repeat a video until Ctrl-C")
    parser.add_argument("--realtime", action="store_true", help="play a video as a camera would deliver it")
    parser.add_argument("--frames", type=int, metavar="N", help="stop after so many frames")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.set_defaults(run=run, why=None)


def run(args: argparse.Namespace) -> None:
    """Go through the source, draw, show, save, and say what was found."""
    # Before OpenCV is loaded: where a source fails, edgehr says more, and in one line.
    os.environ.setdefault("OPENCV_LOG_LEVEL", CV_LOG_ERRORS)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", AV_LOG_QUIET)
    from contextlib import ExitStack

    from edgehr.cli.common.stopping import undisturbed
    from edgehr.cli.live import go_through
    from edgehr.live.sinks import open_sinks

    _check(args)
    with ExitStack() as stack:
        source = _source(args)
        stack.callback(source.close)
        model = stack.enter_context(_predictor(args))
        server = None
        if args.serve:
            from edgehr.live.web import WebServer, parse_address

            server = stack.enter_context(WebServer(*parse_address(args.serve), args.token))
            # Where results go to standard output, they alone do.
            where = sys.stderr if args.json or args.jsonl == "-" else sys.stdout
            print(f"showing at {server.url}", file=where, flush=True)
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
        if args.why:
            print(f"source   {args.why}")
        _print_summary(summary)
    if problem := summary.get("problem"):
        raise EdgehrError(f"{problem} (what was found before is kept)" if saved else problem)


def _predictor(args: argparse.Namespace) -> Predictor[Any, Any]:
    """Open the model with the options that its task has; raise EdgehrError for those that it has not."""
    from edgehr.live.predictors.opening import predictor
    from edgehr.zoo import DEFAULT_MODEL

    options = {
        "detect_every": args.detect_every,
        "smooth": False if args.no_smooth else None,
        "blur": args.blur or None,
        "fit": args.fit,
        "classes": None if args.classes is None else [name.strip() for name in args.classes.split(",")],
    }
    given = {name: value for name, value in options.items() if value is not None}
    if args.detector is not None:
        given["detector"] = None if args.detector == NO_DETECTOR else args.detector
    return predictor(args.model or DEFAULT_MODEL, device=args.device, threads=args.threads, **given)


def _source(args: argparse.Namespace) -> Source:
    """Open what was asked for; or else the first camera, where its pictures can go somewhere, or else a picture.

    Sets `why` of the arguments where it is that picture in place of a camera.
    """
    from edgehr.assets import group_picture, photographs
    from edgehr.live.sources import open_source

    if args.source is not None:
        return open_source(args.source, loop=args.loop, realtime=args.realtime)
    reason = "no camera opens"
    if not (args.loop or args.realtime) and (camera := _first_camera()):
        if args.window or args.serve or args.save or args.jsonl or _has_screen():
            args.window = args.window or not (args.serve or args.save or args.jsonl)
            return camera
        camera.close()
        reason = "there is a camera but no screen for it (see --serve and --save)"
    if not (args.loop or args.realtime):
        args.why = f"{reason}: a picture that ships with edgehr"
    several = args.detector != NO_DETECTOR if args.model is None else args.detector not in (None, NO_DETECTOR)
    return open_source(group_picture() if several else photographs()[0], loop=args.loop, realtime=args.realtime)


def _first_camera() -> Source | None:
    """Open the first camera of this machine; None where there is none or another program has it."""
    from edgehr.live.sources import open_source

    with suppress(EdgehrError):
        return open_source(0)
    return None


def _has_screen() -> bool:
    """Tell whether a window can be opened."""
    from edgehr.live.sinks.window import check_window

    with suppress(EdgehrError):
        check_window()
        return True
    return False


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
