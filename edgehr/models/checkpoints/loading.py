"""Checkpoint files: read without executing anything in them, renamed to this package's keys, checked key by key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgehr.errors import CheckpointError

SHOWN_KEYS = 4
# Only counts training steps; inference never reads it and files from before PyTorch 0.4.1 lack it.
UNUSED = re.compile(r"(^|\.)num_batches_tracked$")


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
    return _state_dict(path, content)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a checkpoint into a network; every key must be there, known and of the right shape.

    Raises:
        CheckpointError: The file cannot be read, or its keys do not fit: missing, unexpected and mis-shaped ones are
            listed.
    """
    expected = {key: tensor for key, tensor in network.state_dict().items() if not UNUSED.search(key)}
    state = rename_keys(read_checkpoint(path))
    state = {key: tensor for key, tensor in state.items() if not UNUSED.search(key)}
    problems = [
        _listed("missing", sorted(set(expected) - set(state))),
        _listed("unexpected", sorted(set(state) - set(expected))),
        _listed(
            "mis-shaped",
            [
                f"{key} {tuple(state[key].shape)} for {tuple(tensor.shape)}"
                for key, tensor in expected.items()
                if key in state and state[key].shape != tensor.shape
            ],
        ),
    ]
    found = "; ".join(problem for problem in problems if problem)
    if found:
        matching = len(set(expected) & set(state))
        hint = "" if matching > len(expected) // 2 else " (is this a checkpoint of another network?)"
        raise CheckpointError(f"{path}: does not fit the network{hint}: {found}")
    not_finite = [key for key, tensor in state.items() if not torch.isfinite(tensor).all()]
    if not_finite:
        raise CheckpointError(f"{path}: not finite: {_shown(not_finite)}")
    network.load_state_dict({key: tensor.float() for key, tensor in state.items()}, strict=False)


def rename_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give every key the name it has in mmpose 1.x, which this package's networks use.

    Known sources: mmpose 1.x; mmpose 0.x and the official Lite-HRNet (`keypoint_head.`); the official
    deep-high-resolution-net (no prefix); each also as saved from DataParallel (`module.`).
    """
    if state and all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    if any(key.startswith("backbone.") for key in state):
        return {_rename_mmpose(key): tensor for key, tensor in state.items()}
    return {_rename_official(key): tensor for key, tensor in state.items()}


def _rename_mmpose(key: str) -> str:
    key = re.sub(r"^keypoint_head\.", "head.", key)
    # mmpose 0.x puts the extra convolution of HRNetV2 heads and the last layer into one Sequential.
    key = re.sub(r"^head\.final_layer\.([01])\.", r"head.conv_layers.\1.", key)
    return re.sub(r"^head\.final_layer\.3\.", "head.final_layer.", key)


def _rename_official(key: str) -> str:
    return f"head.{key}" if key.startswith("final_layer.") else f"backbone.{key}"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        content: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable .safetensors file, truncated or foreign ({error})") from None
    return content


def _numpy_globals() -> list[Any]:
    """What NumPy arrays and scalars of numbers are pickled with; none of these runs code of the file's choosing."""
    reconstruct, scalar = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]
    # Files written by NumPy 1 and 2 name the same functions differently.
    names = [(reconstruct, "numpy.core.multiarray._reconstruct"), (scalar, "numpy.core.multiarray.scalar")]
    dtypes = {type(np.dtype(kind)) for kind in (bool, "u1", "i1", "i2", "i4", "i8", "f2", "f4", "f8")}
    return [*names, reconstruct, scalar, np.ndarray, np.dtype, *dtypes]


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


def _blocked_globals(path: Path, message: str) -> list[str]:
    """Names that the file wants to import beyond the allowed ones."""
    named = re.findall(r"GLOBAL ([\w.]+)", message)
    try:
        named += torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception:
        return sorted(set(named))  # only zip files can be listed in full; older ones name the first
    allowed = {entry[1] if isinstance(entry, tuple) else _qualified(entry) for entry in _numpy_globals()}
    return sorted(set(named) - allowed)


def _qualified(entry: Any) -> str:
    return f"{entry.__module__}.{entry.__qualname__}"


def _conversion_advice(path: Path, blocked: list[str]) -> str:
    code = (
        "import torch, safetensors.torch as s; c = torch.load('IN', map_location='cpu', weights_only=False); "
        "s.save_file({k: v.contiguous() for k, v in c.get('state_dict', c).items()}, 'OUT.safetensors')"
    )
    return (
        f"{path}: needs more than tensors and was not loaded: it wants to run {_shown(blocked)}. If you trust its "
        f'source, convert it once where that code is installed: python -c "{code}"'
    )


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    """Find the tensors in what a training framework saved around them."""
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            break
    if not isinstance(content, dict) or not content:
        raise CheckpointError(f"{path}: holds no state_dict (found {type(content).__name__})")
    others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise CheckpointError(f"{path}: holds entries that are not tensors: {_shown(others)}")
    return {str(key): tensor for key, tensor in content.items()}


def _listed(kind: str, keys: list[str]) -> str:
    return f"{len(keys)} {kind}: {_shown(keys)}" if keys else ""


def _shown(keys: list[str]) -> str:
    more = len(keys) - SHOWN_KEYS
    return ", ".join(keys[:SHOWN_KEYS]) + (f" and {more} more" if more > 0 else "")
