"""HRNet with all its branches, half as wide as W32 and as short as the smallest one that is published."""

from __future__ import annotations

from dataclasses import replace

from edgehr.card import ModelCard
from edgehr.zoo import get_card

CARD: ModelCard = replace(
    get_card("hrnet-w32-coco-256x192").with_size(128, 96),
    name="hrnet-w16-small-v1-coco-128x96",
    parameters={"width": 16, "depth": "small_v1"},
)
