"""Count instructions, and compare results, of artifacts on an emulated ARM processor.

    python -m benchmarks.arm count FILE... [--emulator ../shared/arm] [--userland FOLDER]
    python -m benchmarks.arm agreement FILE REFERENCE --wheel dist/edgehr-*.whl [--people 40]

An aarch64 userland under QEMU runs the device packages with ARM's own kernels: results are what a board gives, and a
count is exact to 1 % whatever else the machine does. It is no time, but a steady guide between forms of one network.
`count` prints the instructions of one inference on one thread, and their ratio to those of the first file. `agreement`
estimates the poses of people of COCO val2017 in their true boxes with both files: mean object keypoint similarity.
Ten people take some minutes. Where no userland is set up, it says how, and does nothing.
"""

from __future__ import annotations

import argparse
import json
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
    command.add_argument("--people", type=int, default=40)
    command.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "coco-val2017-people")
    command.set_defaults(run=agreement)
    command = commands.add_parser("inside")  # what `agreement` runs in the emulator
    command.add_argument("files", type=Path, nargs=2)
    command.add_argument("people", type=Path)
    command.set_defaults(run=compare_people)
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
        people = folder / "people.json"
        people.write_text(json.dumps(some_people(args.data, args.people)))
        command = [args.emulator / "python", args.userland, Path(__file__).resolve(), "inside", *args.files, people]
        env = {**os.environ, "CPU": args.cpu, "PYTHONPATH": str(folder)}
        subprocess.run(list(map(str, command)), env=env, check=True)


def some_people(data: Path, wanted: int) -> list[dict[str, object]]:
    """Choose people who show at least eight keypoints, evenly over the file."""
    annotations = json.loads((data / "person_keypoints.json").read_text())
    names = {image["id"]: image["file_name"] for image in annotations["images"]}
    seen = [each for each in annotations["annotations"] if each["num_keypoints"] >= 8 and not each.get("iscrowd")]
    chosen = seen[:: max(len(seen) // wanted, 1)][:wanted]
    return [
        {"image": str(data / "images" / names[each["image_id"]]), "bbox": each["bbox"], "area": each["area"]}
        for each in chosen
    ]


def compare_people(args: argparse.Namespace) -> None:
    import numpy as np

    import edgehr
    from edgehr.tasks.image.reading import read_image
    from edgehr.tasks.pose.oks import oks

    runtimes = [edgehr.load(path, threads=1) for path in args.files]
    print(*runtimes, file=sys.stderr)
    tasks = [edgehr.Task.for_card(runtime.card) for runtime in runtimes]
    sigmas = tasks[0].spec.keypoints.sigmas  # type: ignore[attr-defined]
    similarities = []
    for person in json.loads(args.people.read_text()):
        x, y, width, height = person["bbox"]
        image = read_image(Path(person["image"]))
        box = [[x, y, x + width, y + height]]
        one, other = (task.predict(runtime, image, box) for task, runtime in zip(tasks, runtimes, strict=True))
        similarities.append(oks(one.keypoints, other.keypoints, [person["area"]], sigmas)[0])
        print(len(similarities), file=sys.stderr, end="\r", flush=True)
    print(f"{len(similarities)} people: mean OKS {np.mean(similarities):.4f}, least {np.min(similarities):.4f}")


if __name__ == "__main__":
    sys.exit(main())
