"""Read checkpoint files without executing anything in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgehr.errors import CheckpointError

MAX_SHOWN = 4


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint: `.safetensors`, or a PyTorch file with tensors at most wrapped in plain data.

    PyTorch files are read by torch's weights-only unpickler, with NumPy arrays allowed besides (mmpose keeps data set
    descriptions in them); there is no fallback to full unpickling.

    Raises:
        CheckpointError: Missing, empty, truncated or foreign file, or one that needs code to be run.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: the file is empty; download it again")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    # Training frameworks save more around the tensors.
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            break
    if not isinstance(content, dict) or not content:
        raise CheckpointError(f"{path}: holds no state_dict (found {type(content).__name__})")
    others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise CheckpointError(f"{path}: holds entries that are not tensors: {abbreviate(others)}")
    return {str(key): tensor for key, tensor in content.items()}


def abbreviate(names: Sequence[str]) -> str:
    """List the first few names and count the others."""
    more = len(names) - MAX_SHOWN
    return ", ".join(names[:MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        content: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable .safetensors file, truncated or foreign ({error})") from None
    return content


def _read_pickle(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_numpy_globals()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen types here; each means that the file cannot be used
        blocked = _blocked_globals(path, str(error))
        if blocked:
            raise CheckpointError(_conversion_advice(path, blocked)) from None
        with path.open("rb") as file:
            begins = file.read(12)
        raise CheckpointError(
            f"{path}: not a readable PyTorch file, truncated or foreign (it begins with {begins!r})"
        ) from None


def _numpy_globals() -> list[Any]:
    """List what NumPy arrays and numbers are pickled with; none of these runs code of the file's choosing."""
    reconstruct, scalar = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]
    # Files written by NumPy 1 and 2 name the same functions differently.
    names = [(reconstruct, "numpy.core.multiarray._reconstruct"), (scalar, "numpy.core.multiarray.scalar")]
    dtypes = {type(np.dtype(kind)) for kind in (bool, "u1", "i1", "i2", "i4", "i8", "f2", "f4", "f8")}
    return [*names, reconstruct, scalar, np.ndarray, np.dtype, *dtypes]


def _blocked_globals(path: Path, message: str) -> list[str]:
    """Name what the file wants to import beyond the allowed."""
    named = re.findall(r"GLOBAL ([\w.]+)", message)
    try:
        named += torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception:
        return sorted(set(named))  # only zip files can be listed in full; older ones name the first
    allowed = {
        entry[1] if isinstance(entry, tuple) else f"{entry.__module__}.{entry.__qualname__}"
        for entry in _numpy_globals()
    }
    return sorted(set(named) - allowed)


def _conversion_advice(path: Path, blocked: list[str]) -> str:
    """Say why a file was refused, and how to make one that is not."""
    code = (
        "import torch, safetensors.torch as s; c = torch.load('IN', map_location='cpu', weights_only=False); "
        "s.save_file({k: v.contiguous() for k, v in c.get('state_dict', c).items()}, 'OUT.safetensors')"
    )
    return (
        f"{path}: needs more than tensors and was not loaded: it wants to run {abbreviate(blocked)}. If you trust its "
        f'source, convert it once where that code is installed: python -c "{code}"'
    )
