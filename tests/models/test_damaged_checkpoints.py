"""Damaged and hostile checkpoints that random ones found: they cost no memory, and show none that is not theirs."""

from __future__ import annotations

import io
import pickle
import resource
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from edgehr.errors import CheckpointError
from edgehr.models.checkpoints import archive, inert
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


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype="f4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(3, dtype=">i2"),
        np.zeros((0, 3), "u1"),
        np.array(["ab", "c"]),
        np.array([b"x"]),
        np.array([{1: 2}, None], dtype=object),
        np.float32(2),
        np.str_("x"),
    ],
    ids=lambda value: str(value.dtype),
)
def test_arrays_are_read_as_by_numpy(value: np.ndarray) -> None:
    for protocol in range(5):
        found = inert.load(io.BytesIO(pickle.dumps(value, protocol)))
        assert found.dtype == pickle.loads(pickle.dumps(value, protocol)).dtype  # noqa: S301 - our own
        np.testing.assert_array_equal(found, value)


class Damaged:
    """Pickles as a NumPy array of two numbers with something else inside."""

    def __init__(self, array: object = None, dtype: object = None, name: object = "f4") -> None:
        self._array, self._dtype, self._name = array, dtype, name

    def __reduce__(self) -> tuple[object, ...]:
        make, empty, _ = np.zeros(2, "f4").__reduce__()  # type: ignore[misc]
        return make, empty, self._array or (1, (2,), _Dtype(self._dtype, self._name), False, bytes(8))


class _Dtype:
    def __init__(self, state: object, name: object) -> None:
        self._state, self._name = state, name

    def __reduce__(self) -> tuple[object, ...]:
        return np.dtype, (self._name, False, True), self._state or (3, "<", None, None, None, -1, -1, 0)


def test_whole_arrays_of_the_kind_below_are_read() -> None:
    np.testing.assert_array_equal(inert.load(io.BytesIO(pickle.dumps(Damaged(), 2))), np.zeros(2, "f4"))


@pytest.mark.parametrize(
    "damaged",
    [
        Damaged(dtype=(3, "<", (None, None, None), -1, -1, 0)),  # ended the process
        Damaged(dtype=(3, "<", None, None, None, -1, -1, 63)),  # numbers that pass for objects
        Damaged(dtype=(3, "<", None, None, None, 1 << 40, -1, 0)),
        Damaged(dtype=(3, "<", None, ("a",), {"a": (np.dtype("f4"), 1 << 40)}, -1, -1, 0)),
        Damaged(dtype=(3, 7, None, None, None, -1, -1, 0)),
        Damaged(name="O8", dtype=(3, "|", None, None, None, -1, -1, 63)),  # bytes for objects
        Damaged(name="f4,O"),
        Damaged(name=[("a", "O")]),
        Damaged(array=(1, (3,), np.dtype("f4"), False, bytes(8))),
        Damaged(array=(1, (-2, -1), np.dtype("f4"), False, bytes(8))),
        Damaged(array=(1, (2,), "f4", False, bytes(8))),
        Damaged(array=(1, [2], np.dtype("f4"), False, bytes(8))),
        Damaged(array=((2,), np.dtype("f4"), False, bytes(8))),
        Damaged(array={"shape": (2,)}),
    ],
)
def test_damaged_arrays_never_reach_numpy(damaged: Damaged) -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"NumPy|of a type that no weights have"):
        inert.load(io.BytesIO(pickle.dumps(damaged, 2)))
