"""Lite-HRNet with all its branches, all kinds of blocks and trained weights, but one module a stage.

How long an export, a build or a quantization takes goes by the number of layers, of which it has less than half.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetensors.numpy import load_file, save_file

from edgehr.card import ModelCard
from edgehr.models.backbones.lite_hrnet import MODULES_PER_STAGE
from edgehr.models.build import build
from edgehr.zoo import get_card

DEPTH = 3  # fusion modules, as 18 and 30 have no other meaning here
MODULES_PER_STAGE[DEPTH] = (1, 1, 1)


def _short(name: str) -> ModelCard:
    card = get_card(name).with_size(128, 96)
    return replace(card, name=card.name.replace("-18", "-short"), parameters={**card.parameters, "depth": DEPTH})


WIDER = _short("litehrnet-18-wider-naive-coco-256x192")
LITE = _short("litehrnet-18-coco-256x192")


def save_weights(card: ModelCard, trained: Path, path: Path) -> None:
    """Write those tensors of a trained Lite-HRNet-18 that the short one has: the first module of each stage.

    What comes out is far from zero, differs from crop to crop, and finds nobody.
    """
    tensors = load_file(trained)
    save_file({key: tensors[key] for key in build(card).state_dict()}, path)
