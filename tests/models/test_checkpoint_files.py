"""Files that are given for checkpoints: harmful, damaged, foreign, or of another program, with advice that works."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import runpy
import shlex
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint
from safetensors.torch import save_file
from torch import nn

from tests.models.little_pose import NAME, STATE, Pose, assert_loads, assert_refused


class Attack:
    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.function, self.arguments


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_named_and_never_run(zipped: bool, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    for attack in (Attack(os.system, f"touch {mark}"), Attack(eval, f"open({str(mark)!r}, 'w')")):
        torch.save({"state_dict": STATE, "meta": attack}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
        assert_refused(tmp_path / "a.pth", r"wants to run (posix\.system|nt\.system|builtins\.eval) .*Nothing was run")
    # What is less plainly an attack is inert.
    torch.save({"state_dict": STATE, "meta": Attack(Path.touch, mark)}, tmp_path / "b.pth")
    assert_loads(tmp_path / "b.pth")
    assert not mark.exists()


def test_a_pickle_cannot_change_what_it_names(tmp_path: Path) -> None:
    for name in (
        "torch._utils\n_rebuild_tensor_v2",
        "torch.nn.modules.linear\nLinear",
        "torch.storage\nUntypedStorage",
    ):
        # BUILD, with the pair of states that sets attributes, on the thing itself and not on one made by it.
        changing = f"\x80\x02c{name}\nN}}U\x04evilK\x01s\x86b.".encode("latin1")
        (tmp_path / "a.pkl").write_bytes(changing)
        assert_refused(tmp_path / "a.pkl", "not a readable PyTorch file")
    assert not hasattr(torch.UntypedStorage, "evil")


class Hidden(nn.Module):
    """A network that pickles as a recipe, without its tensors."""

    def __reduce__(self) -> tuple[object, ...]:
        return Pose, (0,)


def whole(path: Path) -> None:
    torch.save(Hidden(), path)


def wrapped(path: Path) -> None:
    torch.save({"epoch": 3, "config": argparse.Namespace(a=1), "model": Hidden()}, path)


def scripted(path: Path) -> None:
    torch.jit.save(torch.jit.script(Pose(0)), path)


def exported(path: Path) -> None:
    torch.export.save(torch.export.export(Pose(0).eval(), (torch.zeros(1, 3, 8, 8),)), path)


def distributed(path: Path) -> None:
    torch.distributed.checkpoint.state_dict_saver.save({"model": STATE}, checkpoint_id=path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("save", [whole, wrapped, scripted, exported, distributed])
def test_the_command_that_is_advised_makes_a_checkpoint(
    save: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "it's mine.pt2")
    message = assert_refused(tmp_path / "it's mine.pt2", "If you trust its source|if you trust its source")
    program, option, code, *arguments = shlex.split(message[message.index(": python -") + 2 :])
    assert program == "python"
    monkeypatch.setattr(sys, "argv", ["-c", *arguments])
    if option == "-c":
        exec(code, {"__name__": "__main__"})  # noqa: S102 - what our own message says
    else:
        runpy.run_module(code, run_name="__main__")
    assert_loads(Path(arguments[-1]))


def damaged(content: bytes) -> bytes:
    place = content.index(STATE[NAME].numpy().tobytes()[:64]) + 5
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


def archive_of(name: str) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, "x")
        return file.getvalue()


def tar_of(name: str) -> bytes:
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.addfile(tarfile.TarInfo(name))
        return file.getvalue()


def test_files_that_are_no_checkpoints_are_called_by_name(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "whole.pth")
    torch.save(STATE, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    save_file(STATE, tmp_path / "whole.safetensors")
    zipped, legacy, plain = (
        (tmp_path / name).read_bytes() for name in ("whole.pth", "legacy.pth", "whole.safetensors")
    )
    cases = {
        "truncated.pth": (zipped[:3000], "truncated, only its first 3,000 bytes"),
        "damaged.pth": (damaged(zipped), "damaged .Bad CRC-32"),
        "truncated_legacy.pth": (legacy[:3000], "truncated or foreign"),
        "truncated.safetensors": (plain[:2000], "truncated or damaged"),
        "empty.pth": (b"", "is empty"),
        "zeros.pth": (bytes(5000), "zeros"),
        "page.pth": (b"\n<!DOCTYPE html><html>404 not found</html>", "a web page"),
        "denied.pth": (b"<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code></Error>", "a server's error message"),
        "pointer.pth": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        "packed.pth": (b"\x1f\x8b\x08" + bytes(100), "compressed archive"),
        "picture.safetensors": (b"\x89PNG\r\n\x1a\n" + bytes(100), "a picture"),
        "keras.pth": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        "zip.pth": (archive_of("weights/a.pth"), "an archive of weights/a.pth, not a checkpoint"),
        "tar.pth": (tar_of("a.pth"), "a tar archive"),
        "text.pth": (b"hello", "truncated or foreign"),
        "pickle.pth": (pickle.dumps({"a": 1}), "holds no state_dict"),
    }
    for name, (content, said) in cases.items():
        (tmp_path / name).write_bytes(content)
        assert_refused(tmp_path / name, said)
    (tmp_path / "folder").mkdir()
    assert_refused(tmp_path / "folder", "is a folder")
    assert_refused(tmp_path / "absent.pth", "no such checkpoint")


def test_zips_without_checksums_and_compressed_ones_are_read(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(STATE, tmp_path / "a.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert_loads(tmp_path / "a.pth")
    torch.save(STATE, tmp_path / "a.pth")
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as given,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for record in given.infolist():
            packed.writestr(record.filename, given.read(record))
    assert_loads(tmp_path / "b.pth")


@pytest.mark.parametrize("content", [{}, {"state_dict": {}}, [1, 2], {"epoch": 3}])
def test_files_without_weights_are_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    assert_refused(tmp_path / "a.pth", "no state_dict")


def test_a_setting_of_pytorch_that_forbids_reading_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(STATE, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    torch.save(STATE, tmp_path / "b.pth")
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    assert_refused(tmp_path / "a.pth", "unset it")
    assert_loads(tmp_path / "b.pth")
