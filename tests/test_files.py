import hashlib
from pathlib import Path

import pytest

from edgehr.errors import EdgehrError
from edgehr.files import atomic_write, sha256_file


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
