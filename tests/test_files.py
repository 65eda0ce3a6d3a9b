import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgehr import files
from edgehr.errors import EdgehrError
from edgehr.files import SCRATCH, atomic_write, sha256_file


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

    def made_and_taken(**options: Any) -> str:
        made.append(Path(mkdtemp(**options)))
        if len(made) == 1:  # between making and locking
            made[0].rmdir()
        return str(made[-1])

    mkdtemp = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", made_and_taken)
    with atomic_write(tmp_path / "a.bin") as (temporary,):
        temporary.write_text("whole")
    assert len(made) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def _write(path: Path) -> None:
    """Write as another process would, which has not looked for leftovers yet."""
    files._remove_leftovers.cache_clear()
    with atomic_write(path) as (temporary,):
        temporary.write_text("whole")
