"""Options of TensorRT's builder, shared by `convert` and `build`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgehr.runtimes.tensorrt.settings import BuildSettings


def add_tensorrt_options(parser: argparse.ArgumentParser) -> None:
    """Add the builder's options to a command; each is None unless given."""
    group = parser.add_argument_group("TensorRT")
    group.add_argument(
        "--trt", choices=["tensorrt", "tensorrt_rtx"], help="which one builds (default: what suits here)"
    )
    group.add_argument("--profile", type=parse_profile, metavar="MIN,OPT,MAX", help="batches of a dynamic model: 1,1,8")
    group.add_argument("--workspace", type=int, metavar="MIB", help="limit of scratch memory")
    group.add_argument("--optimization-level", type=int, metavar="0-5", help="0 builds fast, 5 searches long")
    group.add_argument("--timing-cache", metavar="FILE", help="keep kernel timings from build to build")
    group.add_argument("--version-compatible", action="store_true", default=None, help="for later versions too")
    group.add_argument("--hardware-compatible", action="store_true", default=None, help="for all GPUs from Ampere on")
    group.add_argument("--dla-core", type=int, metavar="N", help="use this DLA core of a Jetson")
    group.add_argument(
        "--compute-capability",
        action="append",
        metavar="X.Y",
        help="build for this GPU without having one (tensorrt_rtx; may be repeated)",
    )


def parse_profile(text: str) -> tuple[int, int, int]:
    """`1,4,8` as (1, 4, 8)."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not MIN,OPT,MAX: 1,4,8 for example")
    return int(parts[0]), int(parts[1]), int(parts[2])


def given_options(args: argparse.Namespace) -> list[str]:
    """The builder's options that were given."""
    first = ("trt", "profile", "workspace", "optimization_level", "timing_cache", "version_compatible")
    names = (*first, "hardware_compatible", "dla_core", "compute_capability")
    return [f"--{name.replace('_', '-')}" for name in names if getattr(args, name) is not None]


def with_options(settings: BuildSettings, args: argparse.Namespace) -> BuildSettings:
    """Settings with the options that were given; raises EdgehrError where they do not fit each other."""
    given = {
        "workspace_mib": args.workspace,
        "optimization_level": args.optimization_level,
        "timing_cache": args.timing_cache,
        "version_compatible": args.version_compatible,
        "hardware_compatible": args.hardware_compatible,
        "dla_core": args.dla_core,
        "compute_capabilities": tuple(args.compute_capability) if args.compute_capability else None,
    }
    if args.profile:
        given |= dict(zip(("min_batch", "opt_batch", "max_batch"), args.profile, strict=True))
    return replace(settings, **{name: value for name, value in given.items() if value is not None})
