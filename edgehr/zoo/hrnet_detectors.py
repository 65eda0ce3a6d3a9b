"""Cards of detectors on HRNetV2p, from `data/hrnet_detectors.tsv`.

The facts (address, leading digits of the SHA-256, metric, preprocessing) are from mmdetection 3.3.0 (OpenMMLab,
Apache-2.0): its configurations and model index. Not among them is its HTC, whose heads also take a map of semantic
segmentation.
"""

from __future__ import annotations

from edgehr.card import InputSpec, ModelCard, OutputSpec, WeightsInfo
from edgehr.tasks.detection.spec import COCO_CATEGORIES, DetectionSpec, RegionSpec
from edgehr.zoo.tables import read_table

SIZE = (800, 1344)  # holds pictures that are wider than high as they were trained on; `--size` sets another
SCALE = (1333, 800)
RGB, BGR = (123.675, 116.28, 103.53), (103.53, 116.28, 123.675)
RGB_STD, BGR_STD = (58.395, 57.12, 57.375), (57.375, 57.12, 58.395)

# Of the deltas of each box head; Faster and Mask R-CNN have the first alone.
_BOX_STDS = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))
_STRIDES = {"hrnet_fcos": (8, 16, 32, 64, 128), "hrnet_rcnn": (4, 8, 16, 32, 64)}

_RCNN = (
    OutputSpec("objectness", "(N, A, 1) float, for each of A anchors: logit of an object"),
    OutputSpec("deltas", "(N, A, 4) float: shift of its center in its sides, and logarithms of ratios of sides"),
    *(
        OutputSpec(f"features_{stride}", f"(N, H / {stride}, W / {stride}, 256) float: what regions are pooled from")
        for stride in _STRIDES["hrnet_rcnn"][:4]
    ),
)
_FCOS = (
    OutputSpec("scores", "(N, A, C) float, for each of A places: logit of each class"),
    OutputSpec("boxes", "(N, A, 4) float: left, top, right, bottom of the box from the place, in input pixels"),
    OutputSpec("centerness", "(N, A, 1) float: logit of how central the place is in its box"),
)


def hrnet_detector_cards() -> tuple[ModelCard, ...]:
    """List the detectors on HRNetV2p, by name."""
    return tuple(_card(row) for row in read_table("hrnet_detectors.tsv"))


def _card(row: dict[str, str]) -> ModelCard:
    architecture, stages, masks = row["architecture"], int(row["stages"]), row["masks"] == "1"
    fcos = architecture == "hrnet_fcos"
    heads = {} if fcos else {"stages": stages, "masks": masks}
    return ModelCard(
        name=row["name"],
        task="detection",
        architecture=architecture,
        parameters={"width": int(row["width"]), **heads},
        dataset="COCO",
        # mmdetection feeds FCOS the colors in the order of the files.
        input=InputSpec(*SIZE, "bgr", BGR, BGR_STD) if fcos else InputSpec(*SIZE, "rgb", RGB, RGB_STD),
        outputs=_FCOS if fcos else _RCNN,
        spec=DetectionSpec(
            tuple(COCO_CATEGORIES),
            _STRIDES[architecture],
            pad_normalized=True,
            round_size=True,
            scale=SCALE,
            regions=RegionSpec() if fcos else RegionSpec(_BOX_STDS[:stages], masks=masks),
        ),
        weights=WeightsInfo("published", row["file"], row["url"], row["sha256"], "Apache-2.0", row["metric"]),
        category="person",
    )
