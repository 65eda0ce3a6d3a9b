"""The commands that are killed: what they need, what they write, and when that is whole."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

FRAMES, PICTURES = 30, 6
REMOTE = "remote.safetensors"


@dataclass(frozen=True)
class Output:
    """Files that belong together, the main one first.

    Attributes:
        files: Names under the case's place.
        check: Raises where they are not whole; None where a repeated command writes the same bytes.
    """

    files: tuple[str, ...]
    check: Callable[..., None] | None = None


@dataclass(frozen=True)
class Command:
    """A command line.

    Attributes:
        kind: Its row in the report.
        arguments: Of `edgehr`; `{}` in them is the folder of inputs.
        outputs: What it writes.
        old: What to change in the arguments for another result of the same names; empty where there cannot be one.
        weight: How often it is drawn.
        needs: What has to be installed.
        cached: Whether it keeps results in the cache.
    """

    kind: str
    arguments: str
    outputs: tuple[Output, ...]
    old: tuple[str, str] | tuple[()] = ()
    weight: int = 4
    needs: str = ""
    cached: bool = False

    @property
    def converts(self) -> bool:
        """Tell whether it needs PyTorch."""
        return self.arguments.startswith(("convert", "tune"))

    def line(self, inputs: Path, *, old: bool = False) -> list[str]:
        text = self.arguments.replace(*self.old) if old and self.old else self.arguments
        return [part.replace("{}", str(inputs)) for part in text.split()]


def check_tuned(path: Path) -> None:
    from edgehr.runtimes.formats import describe

    assert describe(path)["run"]


def check_json(path: Path) -> None:
    assert json.loads(path.read_text(encoding="utf-8"))


def check_page(path: Path) -> None:
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")


def check_plan(path: Path, sidecar: Path) -> None:
    from edgehr.runtimes.tensorrt.sidecar import read_plan, read_sidecar

    assert sidecar.is_file()
    assert read_plan(path, read_sidecar(path))


def check_lines(path: Path) -> None:
    numbers = [json.loads(line)["frame"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert numbers == list(range(len(numbers)))


def check_video(path: Path) -> None:
    import cv2

    video = cv2.VideoCapture(str(path))
    assert sum(1 for _ in iter(lambda: video.read()[0], False)) >= 1


def check_picture(path: Path) -> None:
    import cv2

    assert cv2.imread(str(path)) is not None


def check_model(path: Path) -> None:
    """Open a model and run it."""
    import numpy as np

    import edgehr

    with edgehr.load(path) as runtime:
        (spec,) = runtime.inputs
        results = runtime.infer({spec.name: np.ones([size or 1 for size in spec.shape], spec.dtype)})
        assert all(np.isfinite(value).all() for value in results.values())


NETWORK = "{}/narrow.json --weights {}/narrow.safetensors"
INT8 = "--precision int8 --calib {}/pictures --calib-crops 32"
PEOPLE = "--annotations {}/people.json"
ADA = "--compute-capability 8.9"


def _conversions() -> Iterator[Command]:
    for target, suffixes, more in (
        ("onnx", (".onnx",), ""),
        ("openvino", (".xml", ".bin"), ""),
        ("tflite", (".tflite",), ""),
        ("trt-bundle", (".trtbundle",), ""),
        ("tensorrt", (".plan", ".plan.json"), f" {ADA}"),
    ):
        files = tuple(f"work/out/m{suffix}" for suffix in suffixes)
        line = f"convert {NETWORK} --to {target} --out out/m{suffixes[0]}{more}"
        needs = "tensorrt_rtx" if target == "tensorrt" else ""
        model = Output(files, check_plan if target == "tensorrt" else None)
        half = ("--to", "--precision fp16 --to") if target != "tensorrt" else ("8.9", "8.6")
        yield Command(f"convert to {target}", line, (model,), half, 4, needs)
        manifest = Output((f"{files[0]}.calibration.json",))
        other = ("--calib-crops 32", "--calib-crops 33")
        yield Command(f"convert to {target} INT8", f"{line} {INT8}", (model, manifest), other, 3, needs, cached=True)


COMMANDS = (
    *_conversions(),
    Command("fetch", "fetch {}/remote.json", (Output((f"cache/weights/{REMOTE}",)),), weight=12),
    Command(
        "build",
        f"build {{}}/b.trtbundle --out out/b.plan {ADA}",
        (Output(("work/out/b.plan", "work/out/b.plan.json"), check_plan),),
        ("8.9", "8.6"),
        weight=12,
        needs="tensorrt_rtx",
    ),
    Command(
        "tune",
        f"tune {NETWORK.replace(' --weights ', '=')} {PEOPLE} --max-drop 1 --to onnx --precision fp32 --out out",
        (
            Output(("work/out/chosen.tuned",), check_tuned),
            Output(("work/out/journal.json",), check_json),
            Output(("work/out/tune.html",), check_page),
        ),
        ("--max-drop 1", "--max-drop 2"),
        weight=2,
    ),
    Command("eval", f"eval {{}}/m-fp32.onnx {PEOPLE}", (), weight=2),
    Command(
        "report",
        f"report {{}}/m-fp32.onnx {{}}/m-int8.onnx {PEOPLE} --rounds 2 --out out/r.html",
        (Output(("work/out/r.html",), check_page),),
        ("--rounds 2", "--rounds 3"),
        weight=2,
    ),
    Command(
        "demo of a video",
        "demo --model {}/m-fp32.onnx --source {}/clip.avi --save out/v.mp4 --jsonl out/v.jsonl",
        (Output(("work/out/v.mp4",), check_video), Output(("work/out/v.jsonl",), check_lines)),
        ("--save", "--frames 20 --save"),
        weight=10,
    ),
    Command(
        "demo of pictures",
        "demo --model {}/m-fp32.onnx --source {}/few --save out --jsonl out/p.jsonl",
        (
            *(Output((f"work/out/{number:05d}.jpg",), check_picture) for number in range(PICTURES)),
            Output(("work/out/p.jsonl",), check_lines),
        ),
        ("m-fp32", "m-int8"),
        weight=10,
    ),
)


def prepare(folder: Path, commands: Sequence[Command], kept: Path) -> None:
    """Write what the commands need; weights stay in `kept`, as made anew they would differ in their last bits."""
    from edgehr.runtimes.artifact import Artifact
    from edgehr.runtimes.tensorrt.bundle import Bundle
    from edgehr.runtimes.tensorrt.settings import BuildSettings
    from edgehr.zoo import get_card
    from tests.calib import pictures
    from tests.converters.report import small_graphs
    from tests.runtimes.small_models import conv_model

    small_graphs.save(small_graphs.float_model(), folder / "m-fp32.onnx")
    needed = " ".join((*(each.arguments for each in commands), *(part for each in commands for part in each.old)))
    if "m-int8" in needed:
        small_graphs.quantized(folder / "m-fp32.onnx", folder / "m-int8.onnx")
    small_graphs.annotated(folder)
    pictures.folder(folder / "pictures", 40)
    pictures.folder(folder / "few", PICTURES)
    pictures.video(folder / "clip.avi", [pictures.picture(number) for number in range(FRAMES)])
    artifact = Artifact(get_card("litehrnet-18-coco-256x192"), "fp32", "ab" * 32, {"edgehr": "test"})
    Bundle(conv_model(1).SerializeToString(), artifact, BuildSettings()).write(folder / "b.trtbundle")
    (folder / REMOTE).write_bytes(bytes(range(256)) * 4000)
    if "narrow" in needed:
        from tests.models.made_weights import save_made_weights
        from tests.models.narrow_hrnet import CARD

        weights = kept / "narrow.safetensors"
        if not weights.exists():
            save_made_weights(CARD, weights)
        shutil.copy(weights, folder)
        (folder / "narrow.json").write_text(json.dumps(CARD.to_dict()))


@contextmanager
def remote(folder: Path) -> Iterator[None]:
    """Serve the file to fetch, slowly, and write the card that names it."""
    from edgehr.zoo import get_card

    command = [sys.executable, "-m", "tests.campaign.slow_server", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}/{REMOTE}"
            card = get_card("litehrnet-18-coco-256x192")
            digest = hashlib.sha256((folder / REMOTE).read_bytes()).hexdigest()
            card = card.with_weights(replace(card.weights, url=url, file=REMOTE, sha256=digest))
            (folder / "remote.json").write_text(json.dumps(card.to_dict()))
            yield
        finally:
            server.kill()
