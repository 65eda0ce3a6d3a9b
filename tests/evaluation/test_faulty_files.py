"""COCO files as people have them give the right figure, a warning of what was repaired, or a line of what is wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import Annotations
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.detection.evaluator import DetectionEvaluator
from edgehr.notices import warn_once
from edgehr.runtimes import Runtime, load
from edgehr.zoo import get_card

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def faults(shared: Path) -> Path:
    return shared / "faults" / "coco"


@pytest.fixture(autouse=True)
def no_warnings_of_before() -> None:
    warn_once.cache_clear()


@pytest.fixture(scope="module")
def runtime(sample_ir: Path) -> Iterator[Runtime]:
    """The sample model, which runs once for the same crops: most files here lead to the same ones."""
    with load(sample_ir) as runtime, pytest.MonkeyPatch.context() as patch:
        infer, known = runtime.infer, {}

        def infer_once(inputs: Mapping[str, Any]) -> dict[str, Any]:
            key = hashlib.sha256(b"".join(inputs[name].tobytes() for name in sorted(inputs))).digest()
            if key not in known:
                known[key] = infer(inputs)
            return known[key]

        patch.setattr(runtime, "infer", infer_once)
        yield runtime


@pytest.fixture
def ap(shared: Path, runtime: Runtime) -> Callable[..., float]:
    """AP of 100 of the sample model, with one decimal."""
    images = shared / "data" / "coco-val2017-people" / "images"

    def evaluate(annotations: Path, detections: Path | None = None) -> float:
        evaluator = Evaluator.for_card(runtime.card)
        return round(100 * evaluator.evaluate(runtime, evaluator.read(annotations, images, detections)).headline, 1)

    return evaluate


@pytest.mark.slow
def test_what_can_be_read_in_one_way_only_gives_the_right_figure(
    faults: Path, ap: Callable[..., float], caplog: pytest.LogCaptureFixture
) -> None:
    right = {path.name: ap(path) for path in map(faults.joinpath, ("base.json", "single_id1.json"))}
    assert right == {"base.json": 59.8, "single_id1.json": 70.0}
    for name in ("bom.json", "ids_per_image.json", "string_ann_ids.json"):
        assert ap(faults / name) == right["base.json"], name
    assert ap(faults / "single_id0.json") == right["single_id1.json"]
    assert ap(faults / "iscrowd_string.json") == 59.6  # its one crowd is a person here: it is in nobody's annotation
    base = faults / "base.json"
    plain = ap(base, faults / "det" / "ok.json")
    for name in ("ids_string.json", "score_string.json", "wrapped.json", "all_categories.json"):
        assert ap(base, faults / "det" / name) == plain, name
    assert not caplog.messages


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "figure", "warning"),
    [
        ("area_zero.json", 61.9, "68 of 68 people have no usable area, which OKS needs: 0.53 of their box is taken"),
        ("bbox_zero.json", 59.5, "68 of 68 people have no bbox: the extent of their keypoints is taken"),
        ("det/outside.json", 59.9, "1 of 73 boxes are outside their picture and left out"),
        ("det/tiny.json", 59.9, "1 of 73 boxes are empty and left out"),
    ],
)
def test_what_is_repaired_is_said(
    name: str, figure: float, warning: str, faults: Path, ap: Callable[..., float], caplog: pytest.LogCaptureFixture
) -> None:
    assert ap(faults / "base.json", faults / name) == figure if "det/" in name else ap(faults / name) == figure
    assert f"{faults / name}: {warning}" in caplog.messages


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wh_swapped.json", r"872\.jpg: is 621x640 .* annotations are for 640x621 \(width and height are exchanged\)"),
        ("half_size.json", r"872\.jpg: is 621x640 pixels, but its annotations are for 310x320"),
        ("dup_image_id.json", r"images\[1\]: two pictures have the id 872, 000000000872\.jpg and 000000000885\.jpg"),
        ("det/bbox_nan.json", r"entry 0: bbox must be four numbers, got \[nan"),
        ("det/bbox_null.json", "entry 0: bbox must be four numbers, got None"),
        ("det/inf.json", "entry 0: bbox must be four numbers"),
        ("det/score_nan.json", "entry 0: score must be a number, got nan"),
        ("det/empty.json", "none of its boxes"),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, message: str, faults: Path, ap: Callable[..., float]) -> None:
    with pytest.raises(EdgehrError, match=message):
        ap(faults / "base.json", faults / name) if "det/" in name else ap(faults / name)


# Further inputs of the same kinds, on a small file of two people.


@pytest.fixture
def two_people(tmp_path: Path) -> Callable[[Change], Path]:
    keypoints = [20, 20, 2, 40, 60, 1, *[30, 30, 2] * 15]
    people = [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": [15, 15, 30, 50], "keypoints": keypoints, "area": 800.0}
        for n in (1, 2)
    ]
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((80, 100, 3), np.uint8))

    def write(change: Change) -> Path:
        image = {"id": 1, "file_name": "1.png", "width": 100, "height": 80}
        data = {"images": [image], "annotations": json.loads(json.dumps(people)), "categories": []}
        change(data)
        path = tmp_path / "people.json"
        path.write_text(json.dumps(data), encoding="utf-16")
        return path

    return write


def every(field: str, value: Any) -> Change:
    return lambda data: [person.update({field: value}) for person in data["annotations"]]


def image(**fields: Any) -> Change:
    return lambda data: data["images"][0].update(fields)


@pytest.mark.parametrize(
    "change",
    [
        every("id", 0),
        every("id", None),
        every("image_id", "1"),
        every("image_id", 1.0),
        every("iscrowd", False),
        every("iscrowd", "0"),
        every("iscrowd", None),
        every("bbox", ["15", "15", "30", "50"]),
        every("area", "800"),
        every("keypoints", [[20, 20, 2], [40, 60, 1], *[[30, 30, 2]] * 15]),
        every("keypoints", ["20", "20", "2", "40", "60", "1", *["30", "30", "2"] * 15]),
        image(id="1", width="100", height=80.0),
        lambda data: data["images"].append(dict(data["images"][0])),
    ],
)
def test_other_ways_to_write_the_same(
    change: Change, two_people: Callable[[Change], Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = two_people(change)
    annotations = Annotations.read(path)
    assert [person["id"] for person in annotations.data["annotations"]] == [1, 2]
    assert [person["iscrowd"] for person in annotations.data["annotations"]] == [0, 0]
    (sample,) = annotations.ground_truth(path.parent)
    assert sample.boxes.tolist() == [[15, 15, 45, 65]] * 2
    assert sample.areas.tolist() == [800, 800]
    assert sample.size == (100, 80)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("change", "areas", "warning"),
    [
        (every("area", None), [795, 795], "2 of 2 people have no usable area"),
        (every("area", -3), [795, 795], "2 of 2 people have no usable area"),
        (every("area", float("nan")), [795, 795], "2 of 2 people have no usable area"),
        (every("area", 0.08), [795, 795], "2 of 2 people have no usable area"),  # in parts of the picture
        (every("area", 8000), [8000, 8000], "2 of 2 annotations have an area larger than their bbox"),
        (every("bbox", None), [800, 800], "2 of 2 people have no bbox"),
        (every("bbox", [15, 15, 45, 300]), [800, 800], "2 of 2 boxes reach beyond their picture"),
        (every("bbox", [0.15, 0.19, 0.3, 0.6]), [800, 800], "2 of 2 boxes are smaller than a pixel"),
        (every("bbox", [70, 20, 20, 60]), [800, 800], "2 of 2 people have their keypoints outside their bbox"),
        (
            lambda data: data["annotations"][0].update(bbox=[120, 15, 30, 50]),
            [800],
            "1 of 2 people have no box in their picture and count as missed",
        ),
    ],
)
def test_other_things_that_are_said(
    change: Change,
    areas: list[float],
    warning: str,
    two_people: Callable[[Change], Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = two_people(change)
    for _ in range(2):  # it is said once
        samples = Annotations.read(path).ground_truth(path.parent)
    assert [area for sample in samples for area in sample.areas.tolist()] == areas
    (said,) = [text for text in caplog.messages if warning in text]
    assert said.startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("images"), "no lists of images and annotations"),
        (image(width=0), r"images\[0\]: width and height must be above 0"),
        (every("bbox", [120, 15, 30, 50]), "nobody has a box that lies in the picture"),
        (image(height=None), r"images\[0\]: height must be a whole number, got None"),
        (image(file_name=7), r"images\[0\]: file_name must be a text, got 7"),
        (image(file_name="9" * 300), r"999: the annotation file names this image, but it is not there"),
        (image(id="one"), r"images\[0\]: id must be a whole number, got 'one'"),
        (every("image_id", True), "image_id must be a whole number, got True"),
        (every("iscrowd", 2), "iscrowd must be 0 or 1, got 2"),
        (every("bbox", [1, 2, "x", 4]), "bbox must be four numbers"),
        (every("bbox", {"x": 1}), "bbox must be four numbers"),
        (every("keypoints", [1, 2, None] * 17), r"annotations\[0\]: keypoints must be numbers"),
        (every("keypoints", "many"), "keypoints must be x, y, visibility"),
        (lambda data: data["annotations"].append(5), r"annotations\[2\]: must be an object, got 5"),
    ],
)
def test_other_things_that_are_refused(change: Change, message: str, two_people: Callable[[Change], Path]) -> None:
    path = two_people(change)
    with pytest.raises(EdgehrError, match=message):
        [sample.read() for sample in Annotations.read(path).ground_truth(path.parent)]


def test_keypoints_in_another_order_are_refused(two_people: Callable[[Change], Path], sample_card: Any) -> None:
    names = [name.upper().replace("_", " ") for name in sample_card.spec.keypoints.names]
    same = two_people(lambda data: data["categories"].append({"id": 1, "name": "person", "keypoints": names}))
    Evaluator.for_card(sample_card).read(same)
    swapped = [names[0], names[2], names[1], *names[3:]]
    other = two_people(lambda data: data["categories"].append({"id": 1, "name": "person", "keypoints": swapped}))
    with pytest.raises(EdgehrError, match=r"in another order .* number 2 is RIGHT EYE, not left_eye"):
        Evaluator.for_card(sample_card).read(other)


def test_a_picture_annotated_before_its_exif_turn(two_people: Callable[[Change], Path]) -> None:
    """As a phone writes it: 80x100 pixels that every program shows as 100x80."""
    path = two_people(image(file_name="1.jpg"))
    jpeg = cv2.imencode(".jpg", np.zeros((100, 80, 3), np.uint8))[1].tobytes()
    turned = bytes.fromhex("ffe1002245786966000049492a00080000000100120103000100000006000000 00000000".replace(" ", ""))
    (path.parent / "1.jpg").write_bytes(jpeg[:2] + turned + jpeg[2:])
    (sample,) = Annotations.read(path).ground_truth(path.parent)
    assert sample.read().shape == (80, 100, 3)
    (before,) = Annotations.read(two_people(image(file_name="1.jpg", width=80, height=100))).ground_truth(path.parent)
    with pytest.raises(EdgehrError, match=r"is 100x80 pixels, .* for 80x100 .*before its EXIF orientation turned it"):
        before.read()


def test_calibration_takes_no_crops_of_other_sizes(two_people: Callable[[Change], Path]) -> None:
    from edgehr.calib.dataset.calibration_set import CalibrationSet

    with pytest.raises(EdgehrError, match=r"1\.png: is 100x80 pixels, but its annotations are for 200x160"):
        CalibrationSet.of(two_people(image(width=200, height=160)))


def test_held_out_images_of_other_sizes_are_said(two_people: Callable[[Change], Path], tmp_path: Path) -> None:
    from edgehr.calib.dataset.calibration_set import CalibrationSet
    from edgehr.calib.dataset.held_out import refuse_held_out
    from edgehr.calib.dataset.looking import Crop

    (calibrated := tmp_path / "other").mkdir()
    cv2.imwrite(str(calibrated / "a.png"), np.zeros((64, 64, 3), np.uint8))
    calibration = CalibrationSet(calibrated, (Crop(calibrated / "a.png", None),))
    refuse_held_out(calibration, two_people(lambda data: None))
    with pytest.raises(EdgehrError, match=r"1\.png: is 100x80 pixels, but its annotations are for 100x81"):
        refuse_held_out(calibration, two_people(image(height=81)))


def test_detectors_get_the_same_checks(two_people: Callable[[Change], Path], caplog: pytest.LogCaptureFixture) -> None:
    evaluator = DetectionEvaluator(get_card("yolox-nano-coco-416x416"))

    def objects(change: Change) -> Change:
        def both(data: dict[str, Any]) -> None:
            data["categories"] = [{"id": "1", "name": "person"}]
            change(data)

        return both

    dataset = evaluator.read(two_people(objects(every("id", 0))))
    assert [entry["id"] for entry in dataset.truth.data["annotations"]] == [1, 2]
    dataset = evaluator.read(two_people(objects(every("area", 0))))
    assert [entry["area"] for entry in dataset.truth.data["annotations"]] == [1500, 1500]
    with pytest.raises(EdgehrError, match=r"annotations\[0\]: bbox must be four numbers, got None"):
        evaluator.read(two_people(objects(every("bbox", None))))
    with pytest.raises(EdgehrError, match="annotations are for 99x80"):
        [sample.read() for sample in evaluator.read(two_people(objects(image(width=99)))).images]
    assert not caplog.messages
    evaluator.read(two_people(objects(every("bbox", [15, 15, 0, 0]))))
    assert "2 of 2 annotations have an empty bbox and count as missed" in caplog.text
