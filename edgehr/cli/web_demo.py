"""`edgehr web-demo`: the webcam demo as a static folder, for any phone's browser."""

from __future__ import annotations

import argparse
import logging
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edgehr.cli.common.output import SubParsers, print_json, progress_bar

_LOG = logging.getLogger("edgehr.live")


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "web-demo",
        help="write a page that runs a model on any phone's camera, in the browser",
        description="Write a static folder that any web host serves. Its page runs the model in the visitor's browser; "
        "pictures never leave the device. The browser's runtime comes from the npm registry, once, and is checked.",
    )
    parser.add_argument(
        "model", nargs="?", help="a converted model (.tflite, .onnx), or the name of one that ships (that for poses)"
    )
    parser.add_argument(
        "--detector", metavar="MODEL", help="the same that finds people, or faces; default: one person without"
    )
    parser.add_argument("--segmenter", metavar="MODEL", help="the same that finds people's pixels, to blur all others")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: out/web-demo; with --serve one that goes when that ends"
    )
    parser.add_argument(
        "--serve", nargs="?", const="8080", metavar="[HOST:]PORT", help="serve it then, with the headers for threads"
    )
    parser.add_argument("--registry", metavar="URL", help="npm registry (default: npm's configured one, or the public)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Write the folder, say what is in it, and serve it."""
    from edgehr.files import temporary_folder
    from edgehr.live.web_demo import make_folder
    from edgehr.zoo import DEFAULT_MODEL

    with ExitStack() as stack:
        bound = stack.enter_context(_listen(args.serve)) if args.serve else None
        out = args.out or (stack.enter_context(temporary_folder()) / "web-demo" if bound else Path("out/web-demo"))
        bars: dict[str, Any] = {}

        def progress(name: str, done: int, total: int | None) -> None:
            if name not in bars:
                bars[name] = downloads.enter_context(progress_bar(name, None, "bytes"))
            bars[name].update(done, total)

        with ExitStack() as downloads:
            made = make_folder(
                args.model or DEFAULT_MODEL,
                out,
                detector=args.detector,
                segmenter=args.segmenter,
                registry=args.registry,
                progress=progress,
            )
        _print(made, args.json)
        if bound is not None:
            from edgehr.live.web.address import page_url
            from edgehr.live.web_demo.serving import serve_folder

            address = page_url(bound.getsockname()[0], bound, None)
            print(f"serving at {address}", file=sys.stderr if args.json else sys.stdout, flush=True)
            serve_folder(out, bound)


def _listen(address: str) -> Any:
    """Open the socket before all work, so that a port that is taken costs none."""
    import edgehr.live.web_demo.serving  # noqa: F401 - says here and now that aiohttp is missing
    from edgehr.live.web.address import listen, parse_address

    return listen(*parse_address(address))


def _print(made: Any, as_json: bool) -> None:
    runtimes = ", ".join(f"{package.name} {package.version}" for package in made.packages)
    for model in made.models.values():
        if model.is_slow:
            _LOG.warning(
                "%s: INT8 in ONNX takes longer in browsers than float32: convert it with --to tflite, or in fp32",
                model.path,
            )
    if as_json:
        models = {role: {"path": str(each.path), "name": each.card.name} for role, each in made.models.items()}
        print_json({"folder": str(made.path), "bytes": made.bytes, "models": models, "runtimes": runtimes.split(", ")})
        return
    print(f"{made.path} ({made.bytes / 1e6:.1f} MB)")
    for role, model in made.models.items():
        print(f"{role:<10} {model.card.name}, {model.precision} ({model.card.weights.origin} weights)")
    print(f"{'runs on':<10} {runtimes}")
