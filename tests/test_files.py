import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgehr.errors import EdgehrError
from edgehr.files import atomic_write, check_writable, sha256_file, temporary_folder
from edgehr.unfinished import SCRATCH, finish_moves, remove_leftovers


def test_files_appear_together_and_whole(tmp_path: Path) -> None:
    paths = [tmp_path / "new" / "a.bin", tmp_path / "new" / "a.xml"]
    with atomic_write(*paths) as temporary:
        for file in temporary:
            file.write_text("content")
        assert not any(path.exists() for path in paths)
    assert [path.read_text() for path in paths] == ["content", "content"]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["a.bin", "a.xml"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path) as (temporary,):
            temporary.write_text("half")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgehrError, match="cannot write to"), atomic_write(tmp_path / "file" / "a.onnx"):
        pass


def test_sha256(tmp_path: Path) -> None:
    content = bytes(3_000_000)
    (tmp_path / "a").write_bytes(content)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()


HOLD = """
import sys, time
from pathlib import Path
from edgehr.files import atomic_write
with atomic_write(Path(sys.argv[1])) as (temporary,):
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of writing `tmp_path / "slow.bin"`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "slow.bin")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path, writing: subprocess.Popen[str]) -> None:
    (tmp_path / ".edgehr-settings").mkdir()
    _write(tmp_path / "one.bin")
    (scratch,) = tmp_path.glob(f"{SCRATCH}*")  # of a run that is alive
    assert (scratch / "slow.bin").read_text() == "half"
    writing.kill()
    writing.wait()
    _write(tmp_path / "two.bin")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".edgehr-settings", "one.bin", "two.bin"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_a_folder_that_was_taken_for_a_leftover_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def made_and_taken(path: Path, mode: int = 0o777, **options: Any) -> None:
        mkdir(path, mode, **options)
        if path.name.startswith(SCRATCH):
            made.append(path)
            if len(made) == 1:  # between making and locking
                path.rmdir()

    mkdir = Path.mkdir
    monkeypatch.setattr(Path, "mkdir", made_and_taken)
    with atomic_write(tmp_path / "a.bin") as (temporary,):
        temporary.write_text("whole")
    assert len(made) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


KILLED = """
import os, signal, sys
from pathlib import Path
from edgehr.files import atomic_write
moved, last = [], int(sys.argv[2])

def replace(source, target):
    if not Path(source).name.startswith(".moves"):
        if len(moved) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        moved.append(target)
    really(source, target)

really, os.replace = os.replace, replace
with atomic_write(*(Path(sys.argv[1], name) for name in "abc")) as temporary:
    for file in temporary:
        file.write_text("new")
"""


@pytest.fixture(params=[0, 1, 2])
def killed(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """What three files are to hold in the end whose writer was killed after so many were moved."""
    for name in "abc":
        (tmp_path / name).write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(request.param)], check=False)
    assert done.returncode == -9
    contents = [(tmp_path / name).read_text() for name in "abc"]
    assert contents == ["new"] * request.param + ["old"] * (3 - request.param)
    return "new" if request.param else "old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_who_reads_finds_all_files_of_a_killed_run_or_none(tmp_path: Path, killed: str) -> None:
    finish_moves(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys("abc", killed)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_who_writes_next_finishes_it_as_well(tmp_path: Path, killed: str) -> None:
    _write(tmp_path / "other")
    assert (tmp_path / "other").read_text() == "whole"
    (tmp_path / "other").unlink()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys("abc", killed)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_what_others_have_put_there_since_is_not_mixed(tmp_path: Path, killed: str) -> None:
    for name in "abc":
        (tmp_path / name).unlink()
        (tmp_path / name).write_text("later")
    finish_moves(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys("abc", "later")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
@pytest.mark.parametrize("content", ["", "[1]", "[" * 100_000, "null", '{"a": 1, "b": null}', None])
def test_what_a_stranger_has_made_moves_nothing(tmp_path: Path, content: str | None) -> None:
    folder = tmp_path / "models"
    scratch = folder / f"{SCRATCH}x"
    scratch.mkdir(parents=True)
    for file in (tmp_path / "out", folder / "a", scratch / "b"):
        file.write_text("mine")
    if content is None:
        about = (folder / "a").stat()
        moved = [about.st_ino, about.st_mtime_ns, about.st_size]
        content = json.dumps({"a": moved, "../../out": [0, 0, 0], "../a": moved})
    (scratch / ".moves").write_text(content)
    finish_moves(folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "models", "out"]


def test_a_signal_between_two_moves_does_not_part_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_text("old")
    replace, moved = os.replace, []

    def interrupted(source: Path, target: Path) -> None:
        replace(source, target)
        if target in paths:
            moved.append(target)
            if len(moved) == 1:
                raise KeyboardInterrupt

    def write() -> None:
        with atomic_write(*paths) as temporary:
            for file in temporary:
                file.write_text("new")

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys("abc", "new")


def test_a_signal_while_the_temporary_folder_is_made_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, mode: int = 0o777, **options: Any) -> None:
        mkdir(path, mode, **options)
        if path.name.startswith(SCRATCH):
            raise KeyboardInterrupt

    mkdir = Path.mkdir
    monkeypatch.setattr(Path, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check_writable(tmp_path / "a.bin")
    assert not any(tmp_path.iterdir())


def test_a_signal_while_the_temporary_folder_is_removed_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def interrupted(path: Path, ignore_errors: bool = False) -> None:
        asked.append(path)
        if len(asked) == 1:
            raise KeyboardInterrupt
        rmtree(path, ignore_errors)

    rmtree = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check_writable(tmp_path / "a.bin")
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_temporary_folders_of_killed_runs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    remove_leftovers.cache_clear()
    left = tmp_path / f"{SCRATCH}abc"
    left.mkdir()
    (left / "in.onnx").write_text("large")
    with temporary_folder() as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert not any(tmp_path.iterdir())


def _write(path: Path) -> None:
    """Write as another process would, which has not looked for leftovers yet."""
    remove_leftovers.cache_clear()
    with atomic_write(path) as (temporary,):
        temporary.write_text("whole")
