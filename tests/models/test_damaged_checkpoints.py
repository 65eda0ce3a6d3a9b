"""Damaged and hostile checkpoints that random ones found: they cost no memory, and show none that is not theirs."""

from __future__ import annotations

import io
import pickle
import resource
import struct
import zipfile
from pathlib import Path

import pytest
import torch

from edgehr.errors import CheckpointError
from edgehr.models.checkpoints import archive
from edgehr.models.checkpoints.reading import read_checkpoint
from tests.models.little_pose import STATE, assert_loads, assert_refused


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.save({"state_dict": STATE}, tmp_path / "a.pth")
    return tmp_path / "a.pth"


def test_sizes_in_the_list_of_records_are_not_believed(saved: Path) -> None:
    """PyTorch's own reader gave what lay in memory for a record whose size was changed there."""
    content = saved.read_bytes()
    with zipfile.ZipFile(saved) as packed:
        names = [entry.filename.encode() for entry in packed.infolist() if "/data/" in entry.filename]
    for name in names[:6]:
        entry = content.rindex(name) - 46
        assert content[entry : entry + 4] == b"PK\x01\x02"
        for place in (20, 24, 42):  # packed size, size, and where the record begins
            changed = bytearray(content)
            value = struct.unpack_from("<I", content, entry + place)[0]
            struct.pack_into("<I", changed, entry + place, value ^ 64)
            saved.write_bytes(changed)
            assert_refused(saved, "damaged|truncated|not a checkpoint")


def test_a_storage_is_no_larger_than_its_record(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.pth"
    with zipfile.ZipFile(saved) as given, zipfile.ZipFile(path, "w") as made:
        for name in given.namelist():
            made.writestr(name, given.read(name)[: 4 if "/data/" in name else None])
    assert_refused(path, "is not as large as it says")


def test_names_that_are_no_utf_8_are_damage(saved: Path) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[:-400] + content[-400:].replace(b"version", b"\xff\xfersion"))
    assert_refused(saved, "damaged")


def test_compressed_records_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_COMPRESSED", 1000)
    torch.save({"state_dict": STATE}, tmp_path / "a.pth")
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as given,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_LZMA) as made,
    ):
        for name in given.namelist():
            made.writestr(name, given.read(name))
    assert_refused(tmp_path / "b.pth", "compressed records hold")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"Nr\xff\xff\xff\x1f.", id="a place in the memo"),
        pytest.param(b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.", id="a bytearray of a number"),
        pytest.param(b"\x96" + struct.pack("<Q", 1 << 33) + b"abc.", id="the length of a bytearray"),
        pytest.param(b"\x8e" + struct.pack("<Q", 1 << 33) + b"abc.", id="the length of bytes"),
        pytest.param(b")" + b"\x85" * 100_000 + b"}2\x85Ns.", id="tuples in tuples"),
        pytest.param(b"}" + b")" + b"\x85" * 3 + b"cbuiltins\ntuple\n(" + b"]" * 9 + b"tRNs.", id="a tuple of a call"),
    ],
)
def test_an_opcode_takes_no_more_memory_than_its_file(body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x04" + body)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_bytearrays_of_python_are_read(tmp_path: Path) -> None:
    for protocol in (2, 5):
        packed = io.BytesIO()
        torch.save({"state_dict": STATE, "x": bytearray(b"\xff" * 9)}, packed, pickle_protocol=protocol)
        (tmp_path / "a.pth").write_bytes(packed.getvalue())
        assert_loads(tmp_path / "a.pth")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"x": bytearray(9), "w": STATE["head.final_layer.bias"].numpy()}, 2))
    assert read_checkpoint(tmp_path / "a.pkl").tensors
