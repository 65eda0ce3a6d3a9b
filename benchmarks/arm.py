"""Count instructions, and compare results, of artifacts on an emulated ARM processor.

    python -m benchmarks.arm count FILE... [--emulator ../shared/arm] [--userland FOLDER]
    python -m benchmarks.arm agreement FILE REFERENCE --wheel dist/edgehr-*.whl [--images 20]

An aarch64 userland under QEMU runs the device packages with ARM's own kernels: results are what a board gives, and a
count is exact to 1 % whatever else the machine does. It is no time, but a steady guide between forms of one network.
`count` prints the instructions of one inference on one thread, and their ratio to those of the first file. `agreement`
runs both files on images of COCO val2017, poses in people's true boxes, and prints how similar the results are, as
`edgehr verify` does: OKS, or IoU of boxes or masks. Ten images take some minutes. Where no userland is set up, it says
how, and does nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
CPUS = ("cortex-a76", "cortex-a72")


def main() -> int:
    """Do what the command line asks for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="arm", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--emulator", type=Path, default=ROOT.parent / "shared" / "arm", help="folder of its scripts")
    common.add_argument("--userland", type=Path, default=ROOT / "out" / "arm", help="what its `setup` made")
    common.add_argument("--cpu", choices=CPUS, default=CPUS[0])
    command = commands.add_parser("count", parents=[common])
    command.add_argument("files", type=Path, nargs="+")
    command.set_defaults(run=count)
    command = commands.add_parser("agreement", parents=[common])
    command.add_argument("files", type=Path, nargs=2)
    command.add_argument("--wheel", type=Path, required=True, help="edgehr's, which the emulated Python imports")
    command.set_defaults(run=agreement)
    inside = commands.add_parser("inside")  # what `agreement` runs in the emulator
    inside.add_argument("files", type=Path, nargs=2)
    inside.set_defaults(run=compare)
    for each in (command, inside):
        each.add_argument("--images", type=int, default=20)
        each.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "coco-val2017-people")
    args = parser.parse_args()
    if "emulator" in args and not (args.userland / "root").is_dir():
        print(f"skipped: no userland at {args.userland}; {args.emulator / 'setup'} {args.userland} sets one up (root)")
        return 0
    args.run(args)
    return 0


def count(args: argparse.Namespace) -> None:
    first = 0
    for path in args.files:
        command = [args.emulator / "count", args.userland, path]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CPU": args.cpu}, check=True)
        instructions = int(done.stdout.split()[-1])
        first = first or instructions
        print(f"{path.name:<50} {args.cpu}  {instructions / 1e6:8.1f} M   x{instructions / first:.2f}", flush=True)


def agreement(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        zipfile.ZipFile(args.wheel).extractall(folder)
        command = [args.emulator / "python", args.userland, Path(__file__).resolve(), "inside", *args.files]
        command += ["--images", args.images, "--data", args.data.resolve()]
        env = {**os.environ, "CPU": args.cpu, "PYTHONPATH": str(folder)}
        subprocess.run(list(map(str, command)), env=env, check=True)


def compare(args: argparse.Namespace) -> None:
    import numpy as np

    import edgehr
    from edgehr.evaluation.annotations import Annotations
    from edgehr.evaluation.base import Evaluator

    annotations = Annotations.read(args.data / "person_keypoints.json")
    every = annotations.ground_truth(annotations.images_beside)
    images = every[:: max(len(every) // args.images, 1)][: args.images]
    runtimes = [edgehr.load(path, threads=1) for path in reversed(args.files)]
    print(*runtimes, file=sys.stderr)
    evaluator = Evaluator.for_card(runtimes[0].card)
    similarities: list[float] = []
    for image in images:
        truth, found = (evaluator.predict(runtime, [image])[0] for runtime in runtimes)
        similarities += evaluator.similarities(image, truth, found).tolist()
        print(len(similarities), file=sys.stderr, end="\r", flush=True)
    known = np.array(similarities)[~np.isnan(similarities)]
    print(f"{len(images)} images, {len(known)} results: similar by {known.mean():.4f}, at least {known.min():.4f}")


if __name__ == "__main__":
    sys.exit(main())
