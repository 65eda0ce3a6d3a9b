"""`edgehr build`: a TensorRT plan from a bundle, on the device that will run it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgehr.cli.common.output import SubParsers, print_json
from edgehr.errors import EdgehrError
from edgehr.files import check_writable
from edgehr.runtimes.tensorrt.options import add_tensorrt_options, settings_from_options

if TYPE_CHECKING:
    from edgehr.runtimes.tensorrt.bundle import Bundle


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "build",
        help="build a TensorRT plan from a bundle",
        description="Needs TensorRT, NumPy and cuda-python, but neither PyTorch nor onnx. An .onnx artifact of edgehr "
        "(Q/DQ INT8 too) is taken as well, where the onnx package is installed.",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="written by: edgehr convert MODEL --to trt-bundle")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: the bundle's name with .plan")
    add_tensorrt_options(parser.add_argument_group("TensorRT"))
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Build, write plan and sidecar, and say what was made."""
    from dataclasses import replace

    from edgehr.runtimes.formats import FORMATS
    from edgehr.runtimes.tensorrt.library import choose_library
    from edgehr.runtimes.tensorrt.make import make_plans

    bundles = _read_all(args.bundle)
    bundles = {
        name: replace(each, settings=settings_from_options(each.settings, args)) for name, each in bundles.items()
    }
    bundle = bundles[""]
    path = args.out or args.bundle.with_suffix(".plan")
    suffixes = FORMATS.get("tensorrt").suffixes
    if path.suffix not in suffixes:
        raise EdgehrError(f"{path}: a plan must end in {' or '.join(suffixes)}")
    check_writable(path)  # said now, not after the build
    if bundle.settings.timing_cache:
        check_writable(Path(bundle.settings.timing_cache))
    library, gpu = choose_library(args.trt)
    if not library.is_rtx and not args.compute_capability:
        # A bundle may name the GPUs that TensorRT-RTX is to build for; `tensorrt` builds for the one it is on.
        bundles = {
            name: replace(each, settings=replace(each.settings, compute_capabilities=()))
            for name, each in bundles.items()
        }
    if not args.json:
        print(f"building {bundle.artifact.card.name} with {library} ...", file=sys.stderr, flush=True)
    started = time.perf_counter()
    plans = make_plans(bundles, path, library, gpu)
    seconds = time.perf_counter() - started
    made = plans[""]
    sidecar = made.sidecar
    if args.json:
        print_json(
            {
                "plan": str(path),
                "bytes": sidecar.plan_bytes,
                "seconds": round(seconds, 2),
                "library": sidecar.library,
                "version": sidecar.version,
                "built_on": sidecar.built_on,
                "precisions": dict(sidecar.precisions),
                "precision_source": sidecar.precision_source,
                "layers": made.plan.layers,
                "profiles": dict(sidecar.profiles),
                "parts": {name: str(part.path) for name, part in plans.items() if name},
            }
        )
        return
    listed = ", ".join(f"{count} {name}" for name, count in sidecar.precisions.items())
    print(f"{path} and {path.name}.json")
    for label, value in (
        ("model", f"{bundle.artifact.card.name} ({bundle.artifact.card.weights.origin} weights)"),
        ("built by", f"{library}, {sidecar.built_on}"),
        ("size", f"{sidecar.plan_bytes / 1e6:.1f} MB from {made.plan.layers} layers"),
        ("convolutions", f"{listed} ({sidecar.precision_source})"),
        *((f"profile {name}", " / ".join(map(str, shapes))) for name, shapes in sidecar.profiles.items()),
        *((f"part {name}", part.path.name) for name, part in plans.items() if name),
        *(("warning", warning) for warning in made.plan.warnings[:2]),
        ("time", f"{seconds:.1f} s"),
    ):
        print(f"  {label:<16} {value}")


def _read_all(path: Path) -> dict[str, Bundle]:
    """Read a bundle and those of the further graphs of its model, by name, the main one last under an empty name."""
    from edgehr.runtimes.formats import part_files

    main = _read(path)
    parts = part_files(path, {name: vars(part) for name, part in main.artifact.parts.items()})
    return {**{name: _read(part) for name, part in parts.items()}, "": main}


def _read(path: Path) -> Bundle:
    """Read a bundle, or make one of an ONNX artifact."""
    from edgehr.dependencies import need_packages
    from edgehr.runtimes.formats import find_format
    from edgehr.runtimes.tensorrt.bundle import Bundle

    found = find_format(path)
    if found and found.name == "onnx":
        need_packages("onnx")
        from edgehr.converters.tensorrt.graph import bundle_from_onnx

        return bundle_from_onnx(path)
    if (not found or found.name != "trt-bundle") and path.exists():
        raise EdgehrError(f"{path}: expected a .trtbundle or an .onnx of edgehr")
    return Bundle.read(path)
