"""Load checkpoints into networks, checked key by key."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from edgehr.errors import CheckpointError
from edgehr.models.checkpoints.choosing import choose, wanted_tensors
from edgehr.models.checkpoints.reading import Checkpoint, abbreviate, read_checkpoint


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a checkpoint into a network; every key must be there, known and of the right shape.

    Raises:
        CheckpointError: The file cannot be read, or its keys do not fit: missing, unexpected and mis-shaped ones are
            listed; or their values are not real numbers.
    """
    checkpoint = read_checkpoint(path)
    wanted = wanted_tensors(network.state_dict())
    choice = choose(checkpoint, wanted)
    tensors = {name: checkpoint.tensors[place] for name, place in choice.places.items()}
    unloaded = _unloaded(checkpoint, wanted, tensors, choice.prefix)
    problems = {
        "missing": sorted(set(wanted) - set(tensors) - set(choice.zeros)),
        "unexpected": sorted(choice.unexpected),
        "mis-shaped": [
            f"{name} {tuple(tensors[name].shape)} for {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in tensors and tensors[name].shape != tensor.shape
        ],
    }
    found = "; ".join(f"{len(keys)} {kind}: {abbreviate(keys)}" for kind, keys in problems.items() if keys)
    if unloaded:
        raise CheckpointError(f"{path}: holds no plain tensors but {abbreviate(unloaded)}: save plain tensors")
    if found:
        only_shapes = not problems["missing"] and not problems["unexpected"]
        hint = _other_outputs(wanted, tensors) if only_shapes else ""
        if len(tensors) <= len(wanted) // 2:
            hint = " (is this a checkpoint of another network?)"
        raise CheckpointError(f"{path}: does not fit the network{hint}: {found}")
    real = {name: _real(path, choice.places[name], tensor) for name, tensor in tensors.items()}
    not_finite = [choice.places[name] for name, tensor in real.items() if not torch.isfinite(tensor).all()]
    if not_finite:
        raise CheckpointError(f"{path}: not finite: {abbreviate(not_finite)}")
    network.load_state_dict({**{name: torch.zeros_like(wanted[name]) for name in choice.zeros}, **real}, strict=False)


def _other_outputs(wanted: dict[str, Tensor], tensors: dict[str, Tensor]) -> str:
    """Say so where nothing is amiss but how many outputs the last layers make: by the list of classes, say."""
    pairs = [
        (tensor.shape, tensors[name].shape) for name, tensor in wanted.items() if tensors[name].shape != tensor.shape
    ]
    counts = {(asked[0], made[0]) for asked, made in pairs if asked[1:] == made[1:]}
    if len(counts) != 1 or any(asked[1:] != made[1:] for asked, made in pairs):
        return ""
    ((asked, made),) = counts
    return f" (the card asks for {asked} outputs, keypoints or classes, the checkpoint makes {made})"


def _unloaded(checkpoint: Checkpoint, wanted: dict[str, Tensor], tensors: dict[str, Tensor], prefix: str) -> list[str]:
    """List objects of other classes that stand where tensors are wanted."""
    places = [prefix + name for name in wanted if name not in tensors]
    return [f"{place} ({checkpoint.others[place]})" for place in places if place in checkpoint.others]


def _real(path: Path, place: str, tensor: Tensor) -> Tensor:
    """Return the values of a tensor as dense float32.

    Raises:
        CheckpointError: It has none, or they are no real numbers.
    """
    if tensor.is_meta:
        raise CheckpointError(f"{path}: {place} has no values: it was saved from the meta device, without its weights")
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if not tensor.is_floating_point():
        raise CheckpointError(f"{path}: {place} is {str(tensor.dtype).removeprefix('torch.')}, not real numbers")
    return tensor.float()
