"""Damaged files of several kinds that random ones found: one line, or what is damaged counts as missing."""

from __future__ import annotations

import json
import resource
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgehr.calib.cache import cached
from edgehr.card import ModelCard
from edgehr.errors import ArtifactError, EdgehrError
from edgehr.evaluation.coco_file import as_number
from edgehr.evaluation.dataset import file_in
from edgehr.evaluation.label_images import _read_values
from edgehr.runtimes import Artifact, load
from edgehr.runtimes.artifact import is_file_name
from edgehr.runtimes.tensorrt.sidecar import Sidecar
from edgehr.tasks.image.reading import read_image
from edgehr.tune.journal import Journal
from edgehr.zoo import get_card
from tests.runtimes.small_tflite import doubling

ARTIFACT = Artifact(get_card("litehrnet-18-coco-256x192"), "fp32", "ab" * 32, {"edgehr": "test"})


@pytest.mark.parametrize(
    "change", [{"tools": 5}, {"tools": {"edgehr": 1}}, {"precision": 3}, {"recipe": []}, {"form": None}]
)
def test_descriptions_hold_texts(change: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="description is damaged"):
        Artifact.from_json(json.dumps({**json.loads(ARTIFACT.to_json()), **change}))


@pytest.mark.parametrize("read", [Artifact.from_json, Sidecar.from_json])
def test_json_that_is_nested_deeply_is_damage(read: object) -> None:
    with pytest.raises(ArtifactError):
        read("[" * 100_000)  # type: ignore[operator]


def test_names_of_files_beside_a_file() -> None:
    for name in ("", "..", "../a", "/a", "a/b", "a\0b", None, 5):
        assert not is_file_name(name)
    assert is_file_name("a.b.onnx")
    with pytest.raises(ArtifactError, match="plain file name"):
        replace(ARTIFACT, parts={}).from_json(
            json.dumps({**json.loads(ARTIFACT.to_json()), "parts": {"a": {"file": "", "sha256": "0"}}})
        )


def test_damaged_results_of_a_search_count_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    Journal(path).write("race", {"a": 1}, {"ms": 2.5})
    assert Journal(path).find("race", {"a": 1}) == {"ms": 2.5}
    text = path.read_text()
    for changed in (text.replace("2.5", "9.5"), text.replace('"result"', '"other"'), text.replace('"sha256"', '"x"')):
        path.write_text(changed)
        assert Journal(path).find("race", {"a": 1}) is None
    key = next(iter(json.loads(text)["entries"]))
    for entry in (None, "x", [], 5):
        path.write_text(json.dumps({"schema": 1, "entries": {key: entry}}))
        assert Journal(path).find("race", {"a": 1}) is None


def test_a_damaged_header_of_numpy_counts_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path))
    made = {"x": np.arange(3.0)}
    cached({"a": 1}, lambda: made)
    (path,) = (tmp_path / "calibration").iterdir()
    whole = path.read_bytes()
    for damaged in (whole.replace(b"'descr'", b"'''escr"), whole[:-100], b"", whole.replace(b"NUMPY", b"NUMPX")):
        path.write_bytes(damaged)
        np.testing.assert_array_equal(cached({"a": 1}, lambda: made)["x"], made["x"])


def test_numbers_that_no_integer_holds_are_none() -> None:
    for value in (10**30, -(10**400), "1" + "0" * 400, float("inf"), float("nan"), True, None):
        assert as_number(value) is None
    assert as_number("-7") == -7


def test_pictures_that_annotations_name_lie_in_their_folder(tmp_path: Path) -> None:
    assert file_in(tmp_path, "a/b.jpg") == tmp_path / "a" / "b.jpg"
    assert file_in(tmp_path, str(tmp_path / "a.jpg")) == tmp_path / "a.jpg"
    assert file_in(Path("/"), "/etc/a.jpg") == Path("/etc/a.jpg")
    for name in ("../a.jpg", "/etc/a.jpg", "a/../../b.jpg"):
        with pytest.raises(EdgehrError, match="--images"):
            file_in(tmp_path, name)


def png(path: Path, change: tuple[int, bytes]) -> Path:
    cv2.imwrite(str(path), np.zeros((40, 30), np.uint8))
    content = bytearray(path.read_bytes())
    content[change[0] : change[0] + len(change[1])] = change[1]
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "change",
    [
        pytest.param((33, struct.pack(">I", 0x65F93302)), id="length of a chunk"),
        pytest.param((16, struct.pack(">II", 30_000, 30_000)), id="width and height"),
    ],
)
def test_a_small_picture_takes_little_memory(change: tuple[int, bytes], tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (read_image, _read_values):
        with pytest.raises(EdgehrError, match=r"a\.png: not (an image|a label image) that OpenCV reads"):
            read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


def test_numbers_of_threads_that_no_machine_has(tmp_path: Path) -> None:
    path = doubling(tmp_path / "a.tflite", artifact=ARTIFACT)
    for threads in (0, -1, 1025, 2**31, 2**40):
        with pytest.raises(EdgehrError, match="threads must be 1 to 1024"):
            load(path, threads=threads)


def test_every_message_is_one_line() -> None:
    assert str(ArtifactError("a\nb.onnx: no such file")) == "a\\nb.onnx: no such file"


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("input", "height", 2**31),
        ("spec", "strides", [2**70, 16, 32]),
        ("spec", "strides", [1] * 1000),
        ("weights", "file", "a\0b"),
    ],
)
def test_cards_ask_for_no_more_than_a_machine_has(part: str, name: str, value: object) -> None:
    card = get_card("rtmdet-nano-person-320x320").to_dict()
    with pytest.raises(EdgehrError, match=r"must be (at most|positive|a plain)"):
        ModelCard.from_dict({**card, part: {**card[part], name: value}})
