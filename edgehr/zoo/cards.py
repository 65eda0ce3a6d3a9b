"""Cards from the tables in `data/`.

`models.tsv` has one line a pose model: facts as mmpose 1.x publishes them (its configs, model index and READMEs), and
the sample model that ships with edgehr. The other tasks have tables and modules of their own beside this one.
"""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path
from typing import Any

from edgehr.card import InputSpec, ModelCard, OutputSpec, WeightsInfo
from edgehr.errors import EdgehrError
from edgehr.files import read_json
from edgehr.tasks.pose.spec import Decoding, PoseSpec
from edgehr.zoo.classifiers import classifier_cards
from edgehr.zoo.detectors import detector_cards
from edgehr.zoo.hrnet_detectors import hrnet_detector_cards
from edgehr.zoo.keypoint_sets import keypoint_set
from edgehr.zoo.landmarks import landmarks_cards
from edgehr.zoo.segmenters import segmentation_cards
from edgehr.zoo.tables import read_table

DEFAULT_MODEL = "litehrnet-18-wider-naive-coco-256x192"

_HEATMAPS = OutputSpec("heatmaps", "(N, K, H / 4, W / 4) float: how likely each keypoint is at each place")


@cache
def all_cards() -> tuple[ModelCard, ...]:
    """List every known model: for pose, sorted by name, then the other tasks'."""
    poses = tuple(_card(row) for row in read_table("models.tsv"))
    return (
        poses
        + landmarks_cards()
        + detector_cards()
        + hrnet_detector_cards()
        + classifier_cards()
        + segmentation_cards()
    )


def get_card(name: str) -> ModelCard:
    """Look a model up by its exact name.

    Raises:
        EdgehrError: There is none; the message offers near names.
    """
    for card in all_cards():
        if card.name == name:
            return card
    near = difflib.get_close_matches(name, [card.name for card in all_cards()], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "see them all with: edgehr models"
    raise EdgehrError(f"unknown model {name!r}: {hint}")


def find_card(name_or_file: str) -> ModelCard:
    """Look up a known model by name, or read a user's own card in a `.json` file.

    Raises:
        EdgehrError: Unknown name, or a file that is not a card.
    """
    if not name_or_file.endswith(".json"):
        return get_card(name_or_file)
    path = Path(name_or_file)
    data = read_json(path)
    try:
        return ModelCard.from_dict(data)
    except EdgehrError as error:
        raise EdgehrError(f"{path}: {error}") from None


def list_models(*words: str) -> list[ModelCard]:
    """List the cards of the known models that match all words, as `edgehr models` does.

    Args:
        words: A category (``body``, ``wholebody``, ``hand``, ``animal``, ``fashion``, ``face``, ``person`` for
            detectors, ``image`` for classifiers), or a part of a name, task, data set, architecture, decoding or origin
            of weights. Without words, all models.
    """
    categories = {card.category for card in all_cards()}
    found = []
    for card in all_cards():
        facts = (card.name, card.task, card.architecture, card.dataset, card.spec.decoding_name, card.weights.origin)
        text = " ".join(facts).lower()
        if all(word == card.category if word in categories else word in text for word in map(str.lower, words)):
            found.append(card)
    return found


# Keypoint set -> what it is on; the others are on the body.
_CATEGORIES = {
    "coco_wholebody": "wholebody",
    "coco_wholebody_hand": "hand",
    "rhd2d": "hand",
    "ap10k": "animal",
    "animalpose": "animal",
    "animalkingdom": "animal",
    "deepfashion_full": "fashion",
    "deepfashion_lower": "fashion",
    "deepfashion_upper": "fashion",
}


def _card(row: dict[str, str]) -> ModelCard:
    return ModelCard(
        name=row["name"],
        task="pose",
        architecture=row["architecture"],
        parameters=_parameters(row["architecture"], row["variant"]),
        dataset=row["dataset"],
        input=InputSpec(int(row["height"]), int(row["width"])),
        outputs=(_HEATMAPS,),
        spec=PoseSpec(
            keypoint_set(row["keypoints"]),
            Decoding(row["decoding"], int(row["blur_kernel"]), row["warp"], row["shift_flipped"] == "1"),
        ),
        weights=_weights(row),
        category=_CATEGORIES.get(row["keypoints"], "body"),
    )


def _parameters(architecture: str, variant: str) -> dict[str, Any]:
    number, _, kind = variant.partition("-")
    if architecture == "lite_hrnet":
        return {"depth": int(number), "variant": kind.replace("-", "_") or "lite"}
    # mmpose's configs for HRNetV2 upsample bilinearly where branches are fused, those for HRNet by nearest neighbors.
    return {"width": int(number), **({"upsampling": "bilinear"} if architecture == "hrnetv2" else {})}


def _weights(row: dict[str, str]) -> WeightsInfo:
    origin = "published" if row["url"] else "sample" if row["file"] else "user"
    terms = "" if origin == "user" else "Apache-2.0"
    return WeightsInfo(origin, row["file"], row["url"], row["sha256"], terms, row["metric"])
