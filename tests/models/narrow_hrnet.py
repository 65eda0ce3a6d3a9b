"""HRNet with all its branches, half as wide as W32 and as short as the smallest one that is published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from edgehr.card import ModelCard
from edgehr.models.build import build
from edgehr.zoo import get_card

CARD: ModelCard = replace(
    get_card("hrnet-w32-coco-256x192").with_size(128, 96),
    name="hrnet-w16-small-v1-coco-128x96",
    parameters={"width": 16, "depth": "small_v1"},
)


def save_weights(path: Path, card: ModelCard = CARD) -> None:
    """Write a checkpoint, always the same, with values that neither vanish nor grow from layer to layer."""
    random = np.random.default_rng(0)

    def values(key: str, shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) > 1:
            return random.standard_normal(shape) * np.sqrt(1.6 / np.prod(shape[1:]))
        if key.endswith(("bias", "running_mean")):
            return 0.1 * random.standard_normal(shape)
        return random.uniform(*((0.7, 1.3) if key.endswith("running_var") else (0.4, 0.8)), shape)

    state = build(card).state_dict()
    tensors = {key: tuple(tensor.shape) for key, tensor in state.items() if not key.endswith("num_batches_tracked")}
    save_file({key: np.asarray(values(key, shape), np.float32) for key, shape in tensors.items()}, path)
