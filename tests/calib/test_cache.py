"""What calibration runs keep for the next time."""

from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgehr.calib import cache
from edgehr.calib.cache import cached

KEY = {"weights": "ab" * 32, "recipe": {"symmetric": True}, "manifest": "cd" * 32, "size": [256, 192]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path))
    return tmp_path / "calibration"


class Work:
    """Counts how often it is done."""

    def __init__(self, **arrays: Any) -> None:
        self.arrays = arrays or {"/stem/conv.1:0": np.arange(12, dtype=np.float32).reshape(3, 4), "file": np.int64(5)}
        self.done = 0

    def __call__(self) -> dict[str, Any]:
        self.done += 1
        return {name: np.asarray(array) for name, array in self.arrays.items()}


def test_the_second_time_nothing_is_computed() -> None:
    work = Work()
    first, second = cached(KEY, work), cached(dict(reversed(KEY.items())), work)
    assert work.done == 1
    assert list(second) == list(first) == ["/stem/conv.1:0", "file"]
    for name, array in second.items():
        assert array.dtype == first[name].dtype
        assert array.shape == first[name].shape
        assert (array == first[name]).all()


@pytest.mark.parametrize("changed", [{"weights": "ef" * 32}, {"recipe": {}}, {"manifest": ""}, {"size": [192, 256]}])
def test_anything_else_is_computed_anew(changed: dict[str, Any]) -> None:
    work = Work()
    cached(KEY, work)
    cached({**KEY, **changed}, work)
    assert work.done == 2


def test_another_version_of_a_tool_is_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work()
    cached(KEY, work, tools=["pytest"])
    cached(KEY, work)
    monkeypatch.setattr(cache, "version", lambda name: "0.0.1")
    cached(KEY, work, tools=["pytest"])
    assert work.done == 3


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_damaged_file_is_computed_anew_and_mended(share: float, folder: Path) -> None:
    work = Work()
    cached(KEY, work)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert (cached(KEY, work)["file"], work.done) == (5, 2)
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 0xFF
    path.write_bytes(flipped)
    assert cached(KEY, work)["file"] == 5
    assert path.read_bytes() == whole or work.done == 2
    assert cached(KEY, work)["file"] == 5


def test_a_file_of_another_key_is_not_taken(folder: Path) -> None:
    cached(KEY, Work(a=1))
    (path,) = folder.iterdir()
    other = Work(a=2)
    cached({"other": 1}, other)
    (second,) = set(folder.iterdir()) - {path}
    second.write_bytes(path.read_bytes())
    assert cached({"other": 1}, other)["a"] == 2
    assert other.done == 2


def test_nothing_in_a_planted_file_is_executed(folder: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    work = Work(a=1)
    cached(KEY, work)
    (path,) = folder.iterdir()
    with np.load(path) as file:
        kept = dict(file)
    np.savez(path, **{**kept, "array0": np.array([Trap()], object)})
    assert (cached(KEY, work)["a"], work.done) == (1, 2)
    path.write_bytes(pickle.dumps(Trap()))
    assert (cached(KEY, work)["a"], work.done) == (1, 3)
    assert not (tmp_path / "sprung").exists()


def test_what_cannot_be_kept_is_given_with_a_warning(
    folder: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    folder.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert cached(KEY, Work(a=3))["a"] == 3
    assert "not kept for next time" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["calibration"]


def test_objects_are_not_kept(folder: Path) -> None:
    with pytest.raises(TypeError, match="numbers"):
        cached(KEY, Work(a=np.array([{}], object)))
    assert not folder.exists()
