"""`edgehr export-repository`: models in the form that an inference server reads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.cli.common.arguments import count
from edgehr.cli.common.output import SubParsers, print_json, progress_bar
from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.serving.measure import Arrangement
    from edgehr.serving.plan import Servable

SECONDS = 10


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "export-repository",
        help="write models in the form that an inference server reads",
        description="Copies models, with their descriptions, to where Triton, OpenVINO Model Server or KServe reads "
        "them. Says in the server's configuration how many copies run and how many requests it puts together, as "
        "measured on the CPU here. A version that is there is never overwritten.",
    )
    parser.add_argument("artifacts", type=Path, nargs="+", metavar="ARTIFACT", help=".onnx, .xml, .plan, .tflite ...")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the repository, new or there already")
    parser.add_argument("--for", dest="server", choices=["triton", "ovms", "kserve"], required=True, help="the server")
    parser.add_argument("--name", help="what clients call the model (the file's name without its ending)")
    parser.add_argument("--version", type=count, metavar="N", help="its version (the next one)")
    parser.add_argument("--python", action="store_true", help="triton: edgehr runs the model, in the Python backend")
    parser.add_argument("--gpu", action="store_true", help="instances run on a GPU; nothing is measured")
    parser.add_argument("--instances", type=count, metavar="N", help="copies that run side by side (as measured)")
    parser.add_argument("--batch", type=count, metavar="N", help="requests to put together (as measured)")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, metavar="S", help=f"how long to measure each ({SECONDS}; 0: not)"
    )
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Plan everything, measure, then write."""
    from edgehr.serving.plan import plan
    from edgehr.serving.repository import add, check_names, next_version

    if len(args.artifacts) > 1 and (args.name or args.version):
        raise EdgehrError("--name and --version go with one ARTIFACT")
    planned = [plan(path, args.server, args.name or "", python=args.python) for path in args.artifacts]
    check_names(planned)
    numbers = [next_version(args.out, served, args.version) for served in planned]
    with progress_bar("measuring", len(planned)) as progress:
        arranged = []
        for served in planned:
            arranged.append(_arrange(args, served))
            progress.advance()
    written = []
    for served, version, arrangement in zip(planned, numbers, arranged, strict=True):
        files = add(args.out, served, version, arrangement, gpu=_on_gpu(args, served))
        written.append(_told(served, version, arrangement, files))
    if args.json:
        print_json({"models": written})
        return
    for each in written:
        batch = f", batches of {each['batch']}" if each["batch"] > 1 else ""
        print(f"{each['name']} version {each['version']}, run by {each['backend']}: {each['instances']} at once{batch}")
        for line in each["measured"]:
            print(f"    {line}")
        for file in each["files"]:
            print(f"    {file}")


def _on_gpu(args: argparse.Namespace, served: Servable) -> bool:
    return bool(args.gpu) or served.format == "tensorrt"


def _arrange(args: argparse.Namespace, served: Servable) -> Arrangement:
    from edgehr.serving.measure import Arrangement, arrange
    from edgehr.serving.plan import KSERVE, TRITON

    given = Arrangement(args.instances or 1, 1 if (args.instances or 1) > 1 else None, args.batch or 1)
    if args.batch and served.server != TRITON:
        raise EdgehrError("--batch is for Triton: other servers put no requests together")
    if args.gpu and served.server == KSERVE:
        raise EdgehrError(
            "--gpu is for Triton and OpenVINO Model Server: edgehr runs models on the CPU in KServe's server"
        )
    if args.batch and not served.batches:
        raise EdgehrError(f"{served.path}: takes a fixed batch: --batch goes with models of --batch dynamic")
    if served.most is not None and (args.batch or 1) > served.most:
        raise EdgehrError(f"{served.path}: takes batches of {served.most} at most: --batch {args.batch} is too large")
    batches = served.batches and served.server == TRITON
    asked = args.instances and (args.batch or not batches)
    if asked or args.seconds <= 0 or _on_gpu(args, served):
        return given
    found = arrange(served.path, args.seconds, batches=batches)
    instances = args.instances or found.instances
    batch = args.batch or min(found.batch, served.most or found.batch)
    return Arrangement(instances, 1 if instances > 1 else None, batch, found.measured)


def _told(served: Servable, version: int, arrangement: Arrangement, files: list[Path]) -> dict[str, Any]:
    return {
        "name": served.name,
        "version": version,
        "server": served.server,
        "backend": served.backend,
        "instances": arrangement.instances,
        "threads": arrangement.threads,
        "batch": arrangement.batch,
        "measured": list(arrangement.measured),
        "files": [str(file) for file in files],
    }
