"""Read checkpoint files: every tensor in them, by its place, whatever else training has saved around them."""

from __future__ import annotations

import io
import os
import pickle
import shlex
import subprocess
import tarfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgehr.errors import CheckpointError, first_line
from edgehr.files import foreign_kind
from edgehr.models.checkpoints import inert
from edgehr.models.checkpoints.archive import load_archive
from edgehr.models.checkpoints.inert import StandIn

MAX_SHOWN = 4
# Deeper than any network is nested.
_MAX_DEPTH = 100


@dataclass
class Checkpoint:
    """Holds what was found in a checkpoint.

    Attributes:
        path: Its file.
        tensors: Every tensor by its place: the keys that lead to it, joined by points, as in `state_dict.conv1.weight`.
            Of a network that was pickled whole, the places are those that its state dict would have.
        others: Objects that were not loaded, by place: what the file calls their classes.
        by_mmengine: Whether MMEngine wrote it.
    """

    path: Path
    tensors: dict[str, Tensor] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    by_mmengine: bool = False


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint: `.safetensors`, or what `torch.save` or `pickle` wrote, told apart by content.

    Nothing that the file names is imported or run: what is no tensor is stood in for (`inert`).

    Raises:
        CheckpointError: It is missing, empty, truncated or foreign, is meant to harm, or has no tensors.
    """
    content = _read(path)
    meta = content.get("meta") if isinstance(content, dict) else None
    found = Checkpoint(path)
    found.by_mmengine = isinstance(content, dict) and (
        "message_hub" in content or (isinstance(meta, dict) and "mmengine_version" in meta)
    )
    _collect(content, "", found, set(), 0)
    if not found.tensors:
        raise CheckpointError(_without_tensors(path, content, found))
    return found


def abbreviate(names: Sequence[str]) -> str:
    """List the first few names, on one line whatever is in them, and count the others."""
    more = len(names) - MAX_SHOWN
    shown = [name if name.isprintable() else ascii(name) for name in names[:MAX_SHOWN]]
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def check_is_file(path: Path) -> None:
    """Raise CheckpointError where there is no file, but nothing or a folder."""
    if path.is_dir():
        raise CheckpointError(_folder_advice(path))
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")


def _read(path: Path) -> Any:
    check_is_file(path)
    try:
        kind = foreign_kind(path)
        with path.open("rb") as file:
            begins = file.read(16)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read it: {error.strerror}") from None
    if kind:
        raise CheckpointError(f"{path}: {kind}")
    # A safetensors file begins with the length of its JSON header.
    if begins[8:9] == b"{":
        return _read_safetensors(path)
    try:
        if begins.startswith(b"PK\x03\x04"):
            return _read_zip(path)
        if tarfile.is_tarfile(path):  # its members would be unpacked
            raise CheckpointError(f"{path}: a tar archive: unpack it and give the checkpoint in it")
        return _read_pickle(path)
    except inert.AttackError as error:
        raise CheckpointError(
            f"{path}: wants to run {error} when it is loaded, which no checkpoint needs: it may be meant to harm. "
            "Nothing was run; do not open it with anything else, and get it from its author again"
        ) from None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        content: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, KeyError) as error:
        raise CheckpointError(
            f"{path}: not a readable .safetensors file, truncated or damaged ({first_line(error)})"
        ) from None
    return content


def _read_zip(path: Path) -> Any:
    """Read an archive; refuses those that hold no checkpoint."""
    with _broken_as_error(path):
        whole = zipfile.is_zipfile(path)  # the list of what is in it stands at its end
    if not whole:
        raise CheckpointError(
            f"{path}: truncated, only its first {path.stat().st_size:,} bytes are here: copy or download it again"
        )
    with _broken_as_error(path), zipfile.ZipFile(path) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        if "constants.pkl" in names:
            code = "torch.save(torch.jit.load(IN, map_location='cpu').state_dict(), OUT)"
            raise CheckpointError(_advice(path, "is a TorchScript program", code))
        if "archive_format" in names:
            raise CheckpointError(
                _advice(path, "is a program of torch.export", "torch.save(dict(torch.export.load(IN).state_dict), OUT)")
            )
        if "data.pkl" not in names:
            raise CheckpointError(
                f"{path}: an archive of {abbreviate(archive.namelist()) or 'nothing'}, not a checkpoint: unpack it and "
                "give the checkpoint in it"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch to its own code
            return load_archive(archive)


@contextmanager
def _broken_as_error(path: Path) -> Iterator[None]:
    try:
        yield
    except (CheckpointError, inert.AttackError):
        raise
    except Exception as error:  # zipfile, its decompressors and what unpickles raise a dozen types
        raise CheckpointError(f"{path}: damaged ({first_line(error)}): copy or download it again") from None


def _read_pickle(path: Path) -> Any:
    try:
        # A name that ends in .safetensors would tell PyTorch more than the content does.
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # of PyTorch to its own code
            return inert.load_torch(file)
    except inert.AttackError:
        raise
    except Exception as error:  # torch raises a dozen types here; each means that the file cannot be used
        forced = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
        if forced in os.environ and "pickle_module" in str(error):
            raise CheckpointError(f"{path}: {forced} is set, which PyTorch takes amiss here: unset it") from None
        content = _read_plain_pickle(path)
        if content is None:
            raise CheckpointError(
                f"{path}: not a readable PyTorch file, truncated or foreign ({first_line(error)})"
            ) from None
        return content


def _read_plain_pickle(path: Path) -> Any:
    """Read what `pickle.dump` wrote, as Detectron2's `.pkl`; None for anything else."""
    content = path.read_bytes()
    if content[:1] != b"\x80" or not content.endswith(pickle.STOP):
        return None
    try:
        return inert.load(io.BytesIO(content), encoding="latin1")
    except inert.AttackError:
        raise
    except Exception:  # a broken pickle raises anything
        return None


def _collect(value: Any, place: str, found: Checkpoint, seen: set[int], depth: int) -> None:
    """Put the tensors of a value into `found`, each container once."""
    if isinstance(value, Tensor) and not value.is_nested:
        found.tensors[place] = value
    elif type(value) is np.ndarray and value.dtype.kind in "fiub" and value.itemsize <= 8:
        found.tensors[place] = torch.from_numpy(np.array(value, value.dtype.newbyteorder("=")))
    elif isinstance(value, (dict, list, tuple, StandIn, Tensor)):
        if id(value) in seen or depth > _MAX_DEPTH:
            return
        seen.add(id(value))
        if isinstance(value, Tensor):
            found.others[place] = "a nested tensor"
            return
        if isinstance(value, StandIn):
            found.others[place] = value.origin
        for key, item in _items(value):
            _collect(item, _join(place, key), found, seen, depth + 1)


def _join(place: str, key: Any) -> str:
    return f"{place}.{key}" if place and key != "" else f"{place}{key}"


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    bodies = [body for body in (value.state, *value.arguments) if isinstance(body, dict)]
    module = next((body for body in bodies if "_modules" in body and "_parameters" in body), None)
    if module is None:
        # Slots make the state a pair of dictionaries.
        states = value.state if isinstance(value.state, tuple) else (value.state,)
        return [*(("", each) for each in (*states, *value.arguments)), *value.entries.items()]
    unsaved = module.get("_non_persistent_buffers_set", ())
    parts = {
        **_mapping(module["_parameters"]),
        **{name: each for name, each in _mapping(module.get("_buffers")).items() if name not in unsaved},
        **_mapping(module["_modules"]),
    }
    return list(parts.items())


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def _without_tensors(path: Path, content: Any, found: Checkpoint) -> str:
    """Say what a file without tensors is."""
    if not found.others:
        return f"{path}: holds no state_dict (found {type(content).__name__})"
    needed = abbreviate(sorted(set(found.others.values())))
    entries = content if isinstance(content, dict) else {}
    # A key goes into a command, so nothing but a plain word may.
    networks = [key for key, each in entries.items() if isinstance(each, StandIn) and str(key).isidentifier()]
    networks.sort(key=lambda key: key not in ("ema", "model_ema", "model", "net", "network"))
    if not networks and not isinstance(content, StandIn):
        return f"{path}: holds no state_dict, only objects of {needed}"
    network = f"c['{networks[0]}']" if networks else "c"
    code = f"c = torch.load(IN, map_location='cpu', weights_only=False); torch.save({network}.state_dict(), OUT)"
    return _advice(path, f"holds no tensors that can be read without running its code, but objects of {needed}", code)


def _advice(path: Path, what: str, code: str) -> str:
    """Say what a file is, and the command that makes a checkpoint of it.

    Args:
        path: The file.
        what: What it is.
        code: Python that reads IN and writes OUT.
    """
    code = code.replace("IN", "sys.argv[1]").replace("OUT", "sys.argv[2]")
    files = _quoted(path, path.with_name(f"{path.stem}-weights.pth"))
    return (
        f"{path}: {what}. If you trust its source, save its weights once where the code that it needs is installed: "
        f'python -c "import sys, torch; {code}" {files}'
    )


def _quoted(*paths: Path) -> str:
    """Write paths as a shell takes them."""
    words = [str(path) for path in paths]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _folder_advice(path: Path) -> str:
    if (path / ".metadata").is_file():
        files = _quoted(path, path.with_name(f"{path.name}-weights.pth"))
        return (
            f"{path}: is a folder of torch.distributed.checkpoint; if you trust its source, make one file of it: "
            f"python -m torch.distributed.checkpoint.format_utils dcp_to_torch {files}"
        )
    return f"{path}: is a folder; give the checkpoint file itself"
