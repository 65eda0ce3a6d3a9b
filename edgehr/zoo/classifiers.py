"""Cards of image classifiers, from `data/classifiers.tsv` and `data/classes/`.

The facts are from mmpretrain's model index and configurations (metric, address, leading digits of the SHA-256;
pictures are resized by its backend `pillow`), from timm's `models/hrnet.py` and results (resize, interpolation, metric,
license) and from the README of HRNet-Image-Classification, which measured with torchvision's transforms. timm's `ms`
weights, and mmpretrain's but for `ssld`, are the authors' own, converted. The names of ImageNet's classes are
torchvision's, their synsets timm's.
"""

from __future__ import annotations

import json
from functools import cache

from edgehr.card import InputSpec, ModelCard, OutputSpec, WeightsInfo
from edgehr.tasks.classification.spec import ClassificationSpec
from edgehr.zoo.tables import DATA, read_table

_LOGITS = OutputSpec("logits", "(N, C) float: of each class; softmax makes probabilities of them")


def classifier_cards() -> tuple[ModelCard, ...]:
    """List every known image classifier, sorted by name."""
    return tuple(_card(row) for row in read_table("classifiers.tsv"))


@cache
def imagenet_classes() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read the names and the synsets of ImageNet-1k's classes, in the order in which networks have them."""
    data = json.loads((DATA / "classes" / "imagenet1k.json").read_text(encoding="utf-8"))
    return tuple(data["names"]), tuple(data["synsets"])


def _card(row: dict[str, str]) -> ModelCard:
    names, synsets = imagenet_classes()
    top5 = f", top-5 {float(row['top5']):g}" if row["top5"] else ""
    side = int(row["size"])
    return ModelCard(
        name=row["name"],
        task="classification",
        architecture="hrnet_classifier",
        parameters={"width": int(row["width"]), "depth": row["depth"]},
        dataset="ImageNet-1k",
        input=InputSpec(side, side),
        outputs=(_LOGITS,),
        spec=ClassificationSpec(
            names, synsets, crop_fraction=float(row["crop_fraction"]), interpolation=row["interpolation"]
        ),
        weights=WeightsInfo(
            "published",
            row["file"],
            row["url"],
            row["sha256"],
            row["license"],
            f"ImageNet-1k val: top-1 {float(row['top1']):g}{top5}",
        ),
        category="image",
    )
