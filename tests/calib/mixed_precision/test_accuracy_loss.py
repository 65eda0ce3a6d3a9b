"""What a network loses, and on which people that is measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.calib.mixed_precision.accuracy_loss import LossMeter
from edgehr.calib.quantize import read_crops
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import Annotations
from edgehr.tasks.base import Task
from edgehr.zoo import get_card
from tests.calib.pictures import MIDDLE, folder, picture, video
from tests.calib.small_pose import CARD, calibrated, small_pose


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("judge") / "pictures", 45)


@pytest.fixture(scope="module")
def network() -> SimulatedNetwork:
    return SimulatedNetwork(Graph(small_pose()))


def annotated(pictures: Path, network: SimulatedNetwork, path: Path, shift: float = 0.0) -> Path:
    """A COCO file of people who fill their pictures, with the keypoints that the float network finds in them."""
    images, people = [], []
    task = Task.for_card(CARD)
    for number, (crop, image) in enumerate(CalibrationSet.of(pictures).pictures()):
        height, width = image.shape[:2]
        batch, context = task.preprocess(image, [[0, 0, width, height]])
        (found,) = task.postprocess({"heatmaps": network.run(batch)}, context).keypoints
        points = np.column_stack([found + shift, np.full(17, 2)]).ravel().tolist()
        images.append({"id": number, "file_name": crop.image.name, "width": width, "height": height})
        known: dict[str, Any] = {"id": number + 1, "image_id": number, "category_id": 1, "keypoints": points}
        people.append({**known, "bbox": [0, 0, width, height], "area": 0.5 * width * height})
    path.write_text(json.dumps({"images": images, "annotations": people}))
    return path


def test_it_looks_at_crops_that_no_step_of_the_recipe_reads(pictures: Path) -> None:
    by = calibrated(CalibrationSet.of(pictures))
    meter = LossMeter(by)
    assert meter.evaluated_on == "37 calibration crops that nothing is fitted on"
    read = {crop.tobytes() for crop in read_crops(by.crops, CARD, by.recipe.max_crops)}
    assert not read & {crop.tobytes() for crop in meter.inputs}


def test_of_a_video_too(tmp_path: Path) -> None:
    clip = video(tmp_path / "clip.avi", [picture(number) for number in range(60)])
    by = calibrated(CalibrationSet.of(clip, max_crops=45, open_finder=MIDDLE))
    meter = LossMeter(by)
    assert len(meter.inputs) == 37
    read = {crop.tobytes() for crop in read_crops(by.crops, CARD, by.recipe.max_crops)}
    assert not read & {crop.tobytes() for crop in meter.inputs}


def test_where_too_few_are_left_all_are_looked_at_and_it_says_so(pictures: Path) -> None:
    by = calibrated(CalibrationSet.of(pictures))
    meter = LossMeter(replace(by, recipe=replace(by.recipe, fit_crops=30)))
    assert len(meter.inputs) == 45
    assert meter.evaluated_on.startswith("45 calibration crops that layers are fitted on too")


def test_without_annotations_the_float_network_is_the_truth(pictures: Path, network: SimulatedNetwork) -> None:
    meter = LossMeter(calibrated(CalibrationSet.of(pictures)))
    maps = network.run(meter.inputs)
    meter.set_reference(maps)
    assert meter.truth == "the float network's own results"
    same = meter.measure(maps)
    assert (same.drop, same.similarity, same.error) == pytest.approx((0, 0, 0))
    noisy = meter.measure(maps + np.random.default_rng(0).normal(0, maps.std(), maps.shape).astype(np.float32))
    assert noisy.error == pytest.approx(maps.var() / np.square(maps).mean(), rel=0.05)
    assert noisy.drop > 0.1
    assert noisy.similarity > 0.1


def test_with_annotations_they_are(pictures: Path, network: SimulatedNetwork, tmp_path: Path) -> None:
    file = annotated(pictures, network, tmp_path / "people.json")
    meter = LossMeter(calibrated(CalibrationSet.of(file, images=pictures)))
    maps = network.run(meter.inputs)
    meter.set_reference(maps)
    assert meter.truth == "their annotations"
    assert meter.float_accuracy == pytest.approx(1)
    assert meter.measure(maps).drop == 0
    assert meter.measure(maps[:, ::-1].copy()).drop > 0.5  # every keypoint where another one is

    worse = LossMeter(calibrated(CalibrationSet.of(annotated(pictures, network, file, shift=12), images=pictures)))
    worse.set_reference(maps)
    assert worse.float_accuracy < 0.9
    assert worse.measure(maps).drop == 0  # the same people are found as badly as in float
    assert worse.key != meter.key


def test_annotations_of_other_keypoints_are_no_truth(pictures: Path, network: SimulatedNetwork, tmp_path: Path) -> None:
    file = annotated(pictures, network, tmp_path / "people.json")
    data = json.loads(file.read_text())
    for person in data["annotations"]:
        person["keypoints"] = person["keypoints"][:15]
    file.write_text(json.dumps(data))
    assert LossMeter(calibrated(CalibrationSet.of(file, images=pictures))).truth == "the float network's own results"


def test_keypoints_without_oks_constants_are_refused(pictures: Path) -> None:
    keypoints = replace(CARD.spec.keypoints, sigmas=())
    card = replace(CARD, spec=replace(CARD.spec, keypoints=keypoints))
    with pytest.raises(EdgehrError, match="no OKS constants"):
        LossMeter(replace(calibrated(CalibrationSet.of(pictures)), card=card))


def test_a_network_that_sees_nobody_is_refused(pictures: Path, network: SimulatedNetwork) -> None:
    meter = LossMeter(calibrated(CalibrationSet.of(pictures)))
    with pytest.raises(EdgehrError, match=r"scores no keypoint above 0\.2 in the 37 calibration crops"):
        meter.set_reference(np.minimum(network.run(meter.inputs), 0))


def test_people_are_listed_in_the_order_of_their_boxes(
    pictures: Path, network: SimulatedNetwork, tmp_path: Path
) -> None:
    file = annotated(pictures, network, tmp_path / "people.json")
    data = json.loads(file.read_text())
    second = {**data["annotations"][0], "id": 99, "bbox": [10, 20, 30, 40]}
    outside = {**second, "id": 98, "bbox": [-50, 0, 40, 40]}
    data["annotations"] += [outside, second]
    file.write_text(json.dumps(data))
    annotations = Annotations.read(file)
    assert [person["bbox"] for person in annotations.people()[0]] == [data["annotations"][0]["bbox"], second["bbox"]]
    assert annotations.ground_truth(pictures)[0].boxes[1].tolist() == [10, 20, 40, 60]


def test_outputs_of_a_detector_are_told_apart_in_a_row(pictures: Path) -> None:
    by = calibrated(CalibrationSet.of(pictures))
    fcos = get_card("fcos-hrnetv2p-w18-1x-coco-800x1344").with_size(64, 64)
    meter = LossMeter(replace(by, card=fcos))
    random, shapes = np.random.default_rng(0), Task.for_card(fcos).output_shapes()
    outputs = {name: random.normal(-3, 2, (len(meter.inputs), *shape)).astype("f4") for name, shape in shapes.items()}
    outputs["boxes"] = np.exp(outputs["boxes"] + 5)
    meter.set_reference(np.concatenate([values.reshape(len(values), -1) for values in outputs.values()], axis=1))
    first = {name: values[:1] for name, values in outputs.items()}
    wanted = meter._evaluator.task.postprocess(first, meter._contexts[0][0])
    assert len(wanted) > 5
    np.testing.assert_array_equal(meter._float_results[0].boxes, wanted.boxes)

    faster = get_card("faster-rcnn-hrnetv2p-w18-1x-coco-800x1344").with_size(64, 64)
    with pytest.raises(EdgehrError, match="consists of several graphs"):
        LossMeter(replace(by, card=faster))
