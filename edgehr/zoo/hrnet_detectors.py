"""Cards of detectors on HRNetV2p, from `data/hrnet_detectors.tsv`.

The facts (address, leading digits of the SHA-256, metric, preprocessing) are from mmdetection 3.3.0 (OpenMMLab,
Apache-2.0): its configurations and model index. Not among them is its HTC, whose heads also take a map of semantic
segmentation.
"""

from __future__ import annotations

from edgehr.card import InputSpec, ModelCard, OutputSpec, WeightsInfo
from edgehr.tasks.detection.spec import DetectionSpec
from edgehr.zoo.detectors import coco_classes
from edgehr.zoo.tables import read_table

SIZE = (800, 1344)  # holds pictures that are wider than high as they were trained on; `--size` sets another
SCALE = (1333, 800)
RGB, BGR = (123.675, 116.28, 103.53), (103.53, 116.28, 123.675)
RGB_STD, BGR_STD = (58.395, 57.12, 57.375), (57.375, 57.12, 58.395)

_FCOS = (
    OutputSpec("scores", "(N, A, C) float, for each of A places: logit of each class"),
    OutputSpec("boxes", "(N, A, 4) float: left, top, right, bottom of the box from the place, in input pixels"),
    OutputSpec("centerness", "(N, A, 1) float: logit of how central the place is in its box"),
)


def hrnet_detector_cards() -> tuple[ModelCard, ...]:
    """List the detectors on HRNetV2p, by name."""
    return tuple(_card(row) for row in read_table("hrnet_detectors.tsv") if row["architecture"] == "hrnet_fcos")


def _card(row: dict[str, str]) -> ModelCard:
    return ModelCard(
        name=row["name"],
        task="detection",
        architecture=row["architecture"],
        parameters={"width": int(row["width"])},
        dataset="COCO",
        # mmdetection feeds FCOS the colors in the order of the files.
        input=InputSpec(*SIZE, "bgr", BGR, BGR_STD),
        outputs=_FCOS,
        spec=DetectionSpec(coco_classes(), (8, 16, 32, 64, 128), pad_normalized=True, round_size=True, scale=SCALE),
        weights=WeightsInfo("published", row["file"], row["url"], row["sha256"], "Apache-2.0", row["metric"]),
        category="person",
    )
