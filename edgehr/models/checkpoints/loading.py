"""Load checkpoints into networks, checked key by key."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import nn

from edgehr.errors import CheckpointError
from edgehr.models.checkpoints.key_mappings import rename_keys
from edgehr.models.checkpoints.reading import abbreviate, read_checkpoint

# Only counts training steps; inference never reads it and files from before PyTorch 0.4.1 lack it.
UNUSED = re.compile(r"(^|\.)num_batches_tracked$")


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a checkpoint into a network; every key must be there, known and of the right shape.

    Raises:
        CheckpointError: The file cannot be read, or its keys do not fit: missing, unexpected and mis-shaped ones are
            listed.
    """
    expected = {key: tensor for key, tensor in network.state_dict().items() if not UNUSED.search(key)}
    state = rename_keys(read_checkpoint(path))
    state = {key: tensor for key, tensor in state.items() if not UNUSED.search(key)}
    problems = {
        "missing": sorted(set(expected) - set(state)),
        "unexpected": sorted(set(state) - set(expected)),
        "mis-shaped": [
            f"{key} {tuple(state[key].shape)} for {tuple(tensor.shape)}"
            for key, tensor in expected.items()
            if key in state and state[key].shape != tensor.shape
        ],
    }
    found = "; ".join(f"{len(keys)} {kind}: {abbreviate(keys)}" for kind, keys in problems.items() if keys)
    if found:
        matching = len(set(expected) & set(state))
        hint = "" if matching > len(expected) // 2 else " (is this a checkpoint of another network?)"
        raise CheckpointError(f"{path}: does not fit the network{hint}: {found}")
    not_finite = [key for key, tensor in state.items() if not torch.isfinite(tensor).all()]
    if not_finite:
        raise CheckpointError(f"{path}: not finite: {abbreviate(not_finite)}")
    network.load_state_dict({key: tensor.float() for key, tensor in state.items()}, strict=False)
