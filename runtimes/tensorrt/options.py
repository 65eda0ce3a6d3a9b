"""Options of TensorRT's builder on the command line, for `edgehr convert` and `edgehr build`."""

from __future__ import annotations

import argparse
from dataclasses import replace

from edgehr.runtimes.tensorrt.settings import BuildSettings


def add_tensorrt_options(group: argparse._ActionsContainer) -> list[argparse.Action]:
    """Add the builder's options to a group of a command's options, and return them; each is None unless given."""
    add = group.add_argument
    return [
        add("--trt", choices=["tensorrt", "tensorrt_rtx"], help="which one builds (default: what suits here)"),
        add("--profile", type=parse_profile, metavar="MIN,OPT,MAX", help="batches of a dynamic model: 1,1,8"),
        add("--workspace", type=int, metavar="MIB", help="limit of scratch memory"),
        add("--optimization-level", type=int, metavar="0-5", help="0 builds fast, 5 searches long"),
        add("--timing-cache", metavar="FILE", help="keep kernel timings from build to build"),
        add("--version-compatible", action="store_true", default=None, help="for later versions too"),
        add("--hardware-compatible", action="store_true", default=None, help="for all GPUs from Ampere on"),
        add("--dla-core", type=int, metavar="N", help="use this DLA core of a Jetson"),
        add(
            "--compute-capability",
            action="append",
            metavar="X.Y",
            help="build for this GPU without having one (tensorrt_rtx; may be repeated)",
        ),
    ]


def parse_profile(text: str) -> tuple[int, int, int]:
    """Parse `1,4,8` as (1, 4, 8)."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not MIN,OPT,MAX: 1,4,8 for example")
    return int(parts[0]), int(parts[1]), int(parts[2])


def settings_from_options(settings: BuildSettings, args: argparse.Namespace) -> BuildSettings:
    """Change settings by the options that were given; raises EdgehrError where they do not fit each other."""
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
