"""Cards of segmentation models, from `data/segmenters.tsv` and `data/classes/`.

The facts on published checkpoints (address, leading digits of the SHA-256, metric, the picture's scale) are from
mmsegmentation 1.2.2 (OpenMMLab, Apache-2.0): its configurations and model index; names of classes, palettes and the
values in label images are from its data sets. The person segmenter ships with edgehr; see docs/sample-weights.md.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from edgehr.card import InputSpec, ModelCard, OutputSpec, WeightsInfo
from edgehr.tasks.segmentation.spec import LOGITS, SegmentationSpec
from edgehr.zoo.tables import DATA, read_table

DEFAULT_SEGMENTER = "hrnetv2-w18-small-v1-person-192x192"

_MAPS = OutputSpec(LOGITS, "(N, C, H / 4, W / 4) float: logit of each class at each place")
_HALF = (127.5, 127.5, 127.5)


def segmentation_cards() -> tuple[ModelCard, ...]:
    """List every known segmentation model: the one that ships with edgehr, FCN heads, OCR heads, by name."""
    return tuple(_card(row) for row in read_table("segmenters.tsv"))


@cache
def class_set(name: str) -> dict[str, Any]:
    """Read classes, palette and values in label images from `data/classes/`, by file stem."""
    data = json.loads((DATA / "classes" / f"{name}.json").read_text(encoding="utf-8"))
    return {
        "classes": tuple(data["names"]),
        "palette": tuple(map(tuple, data["palette"])),
        "label_values": tuple(data["label_values"]),
        "ignored_values": tuple(data["ignored_values"]),
    }


def _card(row: dict[str, str]) -> ModelCard:
    size = int(row["height"]), int(row["columns"])
    published = bool(row["url"])
    long, short = (int(side) for side in row["scale"].split("x"))
    return ModelCard(
        name=row["name"],
        task="segmentation",
        architecture=row["architecture"],
        parameters=_parameters(row),
        dataset=row["dataset"],
        input=InputSpec(*size) if published else InputSpec(*size, mean=_HALF, std=_HALF),
        outputs=(_MAPS,),
        spec=SegmentationSpec(fit=row["fit"], scale=(long, short), **class_set(row["classes"])),
        weights=WeightsInfo(
            "published" if published else "sample", row["file"], row["url"], row["sha256"], "Apache-2.0", row["metric"]
        ),
        category="person" if row["classes"] == "person" else "scene",
    )


def _parameters(row: dict[str, str]) -> dict[str, Any]:
    parameters: dict[str, Any] = {"width": int(row["width"])}
    if row["depth"] != "full":
        parameters["depth"] = row["depth"]
    if row["architecture"] == "hrnetv2":  # with the OCR head it is always so
        parameters["upsampling"] = "bilinear"
    if row["padding"] != "symmetric":
        parameters["padding"] = row["padding"]
    return parameters
