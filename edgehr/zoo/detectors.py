"""Cards of detectors, from `data/detectors.tsv`: models that are published as finished ONNX graphs.

The facts on YOLOX are from its repository (Megvii-BaseDetection/YOLOX, Apache-2.0): address and metric from
`demo/ONNXRuntime/README.md`, input and output from `demo/ONNXRuntime/onnx_inference.py` and
`yolox/data/data_augment.py`, classes from `yolox/data/datasets/coco_classes.py`. Megvii publishes no hash: the one in
the table is of the release's file (3,659,407 bytes) as independent public projects record it. Another export of the
same weights, with the same answers, goes around under other names; the table knows it too. What is neither converts
(`--weights`) as weights of the user's.

The facts on RTMDet are from mmpose's projects/rtmpose (Apache-2.0), which published the weights
(`rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e.pth`), and from the pipeline that lies beside its ONNX export:
input size, colors, mean and standard deviation. Its weights ship with edgehr, in half precision, as a model that runs
as it is; the hash in the table is the export's.

The facts on YuNet are from OpenCV Zoo (`models/face_detection_yunet`, MIT) and from how OpenCV's FaceDetectorYN feeds
and reads it. The address is of the commit at which public projects record the file of this hash. It takes any size that
divides by 32; the card's is the one that the authors evaluate with, and `--size` sets another.
"""

from __future__ import annotations

from functools import cache

from edgehr.card import InputSpec, ModelCard, OutputSpec, WeightsInfo
from edgehr.tasks.detection.spec import DetectionSpec
from edgehr.zoo.tables import read_table

DEFAULT_DETECTOR = "rtmdet-nano-person-320x320"

_MEANINGS = {
    "rtmdet": {
        "": "(N, A, 4 + C) float, for each of A places: distances to the left, upper, right and lower side of a box in "
        "units of the place's stride, logit of each class"
    },
    "yolox": {
        "": "(N, A, 5 + C) float, for each of A places: box center and logarithm of its size in units of the place's "
        "stride, probability of an object, probability of each class"
    },
    "yunet": {
        "cls": "(N, A, 1) float, for each of A places of this stride: probability of a face",
        "obj": "(N, A, 1) float: probability of an object",
        "bbox": "(N, A, 4) float: box center and logarithm of its size, in strides",
        "kps": "(N, A, 10) float: x, y of five points, in strides",
    },
}


def detector_cards() -> tuple[ModelCard, ...]:
    """List every known detector, sorted by name."""
    return tuple(_card(row) for row in read_table("detectors.tsv"))


@cache
def other_exports(name: str) -> tuple[str, ...]:
    """Compute the SHA-256 of files that hold a model's published weights in another graph than the published file's."""
    rows = {row["name"]: row["other_exports"] for row in read_table("detectors.tsv")}
    return tuple(filter(None, rows.get(name, "").split(",")))


def _card(row: dict[str, str]) -> ModelCard:
    mean, std = (tuple(float(value) for value in row[name].split(",")) for name in ("mean", "std"))
    return ModelCard(
        name=row["name"],
        task="detection",
        architecture=row["architecture"],
        parameters={"variant": row["variant"]} if row["variant"] else {},
        dataset=row["dataset"],
        input=InputSpec(int(row["height"]), int(row["width"]), row["color"], mean, std, row["input"]),
        outputs=tuple(OutputSpec(name, _meaning(row["architecture"], name)) for name in row["output"].split(",")),
        spec=DetectionSpec(
            classes=tuple(row["classes"].split(",")),
            strides=tuple(int(stride) for stride in row["strides"].split(",")),
            letterbox=int(row["letterbox"]),
            points=tuple(filter(None, row["points"].split(","))),
        ),
        weights=WeightsInfo(
            "published" if row["url"] else "sample",
            row["file"],
            row["url"],
            row["sha256"],
            row["license"],
            row["metric"],
        ),
        category=row["category"],
    )


def _meaning(architecture: str, output: str) -> str:
    meanings = _MEANINGS[architecture]
    return meanings.get(output.split("_")[0]) or meanings[""]
