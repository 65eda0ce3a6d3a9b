"""Damage: files of every kind that edgehr reads, changed by chance, give a line of what is wrong or the right answer.

No case may end, hang (10 s) or fill (2 GB) the process, nor touch a file outside of its folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

from tests.campaign import Case, Draw
from tests.campaign.damage_samples import make_samples
from tests.campaign.graph_mutations import damage_protobuf, damage_tflite
from tests.campaign.mutations import (
    damage,
    damage_json,
    damage_pickle,
    damage_png,
    damage_safetensors,
    damage_segments,
    damage_xml,
    damage_zip,
)
from tests.campaign.worker import Worker

COUNT = 100_000

Structure = Callable[[bytes, Random], bytes]


def _member(name: str, content: bytes, chance: Random) -> bytes:
    """Change a member of an archive by what it is."""
    if name.endswith(".pkl") and chance.random() < 0.9:
        return damage_pickle(content, chance)
    if name.endswith(".json") and chance.random() < 0.9:
        return damage_json(content, chance)
    return damage_protobuf(content, chance) if name.endswith(".onnx") else damage(content, chance)


def _archive(data: bytes, chance: Random) -> bytes:
    return damage_zip(data, chance, _member)


def _segments(data: bytes, chance: Random) -> bytes:
    return damage_segments(data, chance)


# Kind -> how many of a thousand cases, suffixes of the files that are damaged, and what knows their structure.
KINDS: dict[str, tuple[int, tuple[str, ...], Structure | None]] = {
    "card": (110, (".json",), damage_json),
    "description": (40, (".json",), damage_json),
    "keypoints": (90, (".json",), damage_json),
    "detections": (60, ("d.json",), damage_json),
    "objects": (60, (".json",), damage_json),
    "faces": (50, (".json",), damage_json),
    "labels": (20, (".txt",), None),
    "label images": (20, ("truth/1.png",), damage_png),
    "plan": (40, (".plan", ".json"), damage_json),
    "tuned": (30, (".tuned",), damage_json),
    "journal": (20, (".json",), damage_json),
    "measurement": (20, (".json",), damage_json),
    "bench plan": (15, (".json",), damage_json),
    "calibration cache": (20, (".npz",), _archive),
    "pth": (70, (".pth",), _archive),
    "legacy pth": (40, (".pth",), damage_pickle),
    "pickle": (40, (".pkl",), damage_pickle),
    "safetensors": (50, (".safetensors",), damage_safetensors),
    "bundle": (30, (".trtbundle",), _archive),
    "onnx": (20, (".onnx",), damage_protobuf),
    "ir": (20, (".xml", ".bin"), damage_xml),
    "tflite": (20, (".tflite",), damage_tflite),
    "foreign onnx": (20, (".onnx",), damage_protobuf),
    "foreign ir": (15, (".xml", ".bin"), damage_xml),
    "foreign tflite": (20, (".tflite",), damage_tflite),
    "jpg": (15, (".jpg",), _segments),
    "png": (15, (".png",), damage_png),
    "webp": (10, (".webp",), _segments),
    "bmp": (5, (".bmp",), _segments),
    "tiff": (5, (".tiff",), _segments),
    "mp4": (6, (".mp4",), _segments),
    "avi": (4, (".avi",), _segments),
}


@contextmanager
def open_campaign(folder: Path) -> Iterator[Draw]:
    """Make whole files, and give what draws damaged ones."""
    samples = folder / "samples"
    make_samples(samples)
    worker = Worker(folder / "child")
    kinds = list(KINDS)
    weights = [KINDS[kind][0] for kind in kinds]

    def draw(number: int, chance: Random) -> Case:
        kind = chance.choices(kinds, weights)[0]
        way = "structure" if KINDS[kind][2] and chance.random() < 0.5 else "bytes"
        seed = chance.getrandbits(64)
        return Case(f"{kind}, {way}", partial(_run, worker, folder, samples / kind, kind, way, seed))

    try:
        yield draw
    finally:
        worker.stop()


def _run(worker: Worker, folder: Path, sample: Path, kind: str, way: str, seed: int) -> str:
    """Write the damaged file with what belongs beside it, and have it read."""
    chance = Random(seed)  # noqa: S311
    _, suffixes, structure = KINDS[kind]
    given = folder / "given" / way
    shutil.rmtree(folder / "given", ignore_errors=True)
    files = sorted(path for path in sample.rglob("*") if path.is_file() and str(path).endswith(suffixes))
    source = chance.choice(files)
    content, other = source.read_bytes(), chance.choice(files).read_bytes()
    chosen = given / source.relative_to(sample)
    for path in sample.rglob("*"):
        beside = kind not in ("card", "foreign tflite") or path not in files  # of some there are several whole ones
        if path.is_file() and path != source and beside:
            link = given / path.relative_to(sample)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    chosen.parent.mkdir(parents=True, exist_ok=True)
    if way == "structure" and structure is not None and chosen.suffix != ".bin" and chosen.suffix != ".plan":
        changed = structure(content, chance)
    else:
        changed = damage(content, chance, other)
    chosen.write_bytes(changed)
    outcome = worker.run(kind, given, sample)
    return outcome if changed != content else "unchanged"
