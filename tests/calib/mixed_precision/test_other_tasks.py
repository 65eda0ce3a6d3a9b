"""What a network for another task than pose loses, by the measure of its own task."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.calib.mixed_precision import accuracy_loss
from edgehr.calib.mixed_precision.accuracy_loss import LossMeter
from edgehr.calib.mixed_precision.search import MaxDrop, search_mixed_precision
from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.passes import equalization
from edgehr.calib.quantizer.simulation import SimulatedNetwork
from edgehr.card import ModelCard
from edgehr.converters.float_blocks import FloatBlocks
from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Evaluator
from edgehr.tasks.base import Task
from edgehr.tasks.segmentation.spec import with_labels
from edgehr.zoo import get_card
from tests.calib.pictures import folder
from tests.calib.small_pose import HEIGHT, WIDTH, calibrated, small_network
from tests.small_classifier import COLORS, color_card
from tests.tasks.segmentation.models import small_card

SEGMENTER = small_card(3, (HEIGHT, WIDTH), fit="stretch")
CLASSIFIER = color_card(HEIGHT)
LANDMARKS = get_card("hrnetv2-w18-cofw-256x256").with_size(HEIGHT, WIDTH)
# Behind the last layer of a classifier; the bias makes it find all classes.
BIAS = np.float32([-38.6, 52.6, -750])
POOLED = (("ReduceMean", {"keepdims": 0}, np.array([2, 3], np.int64)), ("Add", {}, BIAS))
FACE_BOX = (35, 3, 285, 253)  # 200 * 1.25 pixels about the middle of 320x256
NETWORKS: dict[str, SimulatedNetwork] = {}
NAMES_OF_METRICS = {"segmentation": "mIoU", "classification": "top-1", "landmarks": "1 - NME"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("others") / "pictures", 45)


@pytest.fixture(scope="module")
def crops(pictures: Path) -> CalibrationSet:
    return CalibrationSet.of(pictures)


def network_of(card: ModelCard) -> SimulatedNetwork:
    if card.name not in NETWORKS:
        NETWORKS[card.name] = SimulatedNetwork(
            Graph(small_network(card, POOLED if card.task == "classification" else ()))
        )
    return NETWORKS[card.name]


def found_by_float(card: ModelCard, path: Path) -> Any:
    """What the float network finds in a whole picture."""
    task, image = Task.for_card(card), cv2.imread(str(path))
    box = FACE_BOX if task.takes_boxes else [0, 0, image.shape[1], image.shape[0]]
    batch, context = task.preprocess_part(image, np.float32(box))
    return task.postprocess({card.outputs[0].name: network_of(card).run(batch)}, context)


def label_images(pictures: Path, labels: Path) -> Path:
    """Label images of what the float segmenter finds."""
    labels.mkdir()
    for path in sorted(pictures.iterdir()):
        cv2.imwrite(str(labels / f"{path.stem}.png"), found_by_float(SEGMENTER, path).class_map)
    return labels


def class_labels(pictures: Path, path: Path) -> Path:
    """A file of labels of what the float classifier takes pictures for."""
    names = [(each.name, found_by_float(CLASSIFIER, each).best.name) for each in sorted(pictures.iterdir())]
    path.write_text("".join(f"{name} {label}\n" for name, label in names))
    return path


def faces(pictures: Path, path: Path) -> Path:
    """A file of faces in the middle of their pictures, with the landmarks that the float network finds."""
    images, annotations = [], []
    for number, each in enumerate(sorted(pictures.iterdir())):
        (points,) = found_by_float(LANDMARKS, each).points
        listed = np.column_stack([points, np.ones(len(points))]).ravel().tolist()
        images.append({"id": number, "file_name": each.name, "width": 320, "height": 256})
        known: dict[str, Any] = {"id": number + 1, "image_id": number, "category_id": 1, "keypoints": listed}
        # The face is the square of center and scale, as the data sets' own protocol has it, not the bbox.
        annotations.append({**known, "bbox": [9, 9, 9, 9], "center": [160.0, 128.0], "scale": 1.25})
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


@pytest.mark.parametrize("card", [SEGMENTER, CLASSIFIER, LANDMARKS], ids=lambda card: card.task)
def test_without_annotations_the_float_network_is_the_truth(card: ModelCard, crops: CalibrationSet) -> None:
    meter, network = LossMeter(calibrated(crops, card=card)), network_of(card)
    outputs = network.run(meter.inputs)
    meter.set_reference(outputs)
    assert meter.terms.points == NAMES_OF_METRICS[card.task]
    assert meter.truth == "the float network's own results"
    same = meter.measure(outputs)
    assert (same.drop, same.similarity, same.error) == pytest.approx((0, 0, 0))
    noise = np.random.default_rng(0).normal(0, outputs.std(), outputs.shape).astype(np.float32)
    noisy = meter.measure(outputs + noise)
    assert noisy.drop > 0.1
    assert noisy.similarity > 0.1


@pytest.mark.parametrize(
    ("card", "annotate"),
    [(SEGMENTER, label_images), (CLASSIFIER, class_labels), (LANDMARKS, faces)],
    ids=["segmentation", "classification", "landmarks"],
)
def test_with_annotations_they_are(
    card: ModelCard, annotate: Any, pictures: Path, crops: CalibrationSet, tmp_path: Path
) -> None:
    truth = annotate(pictures, tmp_path / "truth")
    if card.task == "landmarks":  # whose boxes are in the file
        file = truth.rename(tmp_path / "faces.json")
        meter = LossMeter(calibrated(CalibrationSet.of(file, pictures, card=card), card=card))
    else:
        meter = LossMeter(calibrated(crops, card=card), truth)
    outputs = network_of(card).run(meter.inputs)
    meter.set_reference(outputs)
    assert meter.truth == "their annotations"
    assert meter.float_accuracy == pytest.approx(1)
    assert meter.measure(outputs).drop == 0
    assert meter.measure(outputs[:, ::-1].copy()).drop > 0.3


def test_the_drop_is_that_of_the_evaluator(pictures: Path, crops: CalibrationSet, tmp_path: Path) -> None:
    truth = label_images(pictures, tmp_path / "labels")
    for path in sorted(truth.iterdir())[::2]:  # so that float is wrong, too
        cv2.imwrite(str(path), np.zeros((256, 320), np.uint8))
    meter = LossMeter(calibrated(crops, card=SEGMENTER), truth)
    outputs = network_of(SEGMENTER).run(meter.inputs)
    meter.set_reference(outputs)
    evaluator, task = Evaluator.for_card(SEGMENTER), Task.for_card(SEGMENTER)
    whole = evaluator.read(truth, pictures)
    looked_at = {crop.tobytes() for crop in meter.inputs}
    chosen, results = [], []
    for image in whole.images:
        batch, context = task.preprocess(image.read())
        if batch[0].tobytes() in looked_at:
            chosen.append(image)
            results.append(task.postprocess({"logits": network_of(SEGMENTER).run(batch)}, context))
    assert len(chosen) == 37
    expected = evaluator.score(replace(whole, images=chosen), results).headline
    assert 0.1 < expected < 0.9
    assert meter.float_accuracy == pytest.approx(expected)


def test_windows_of_a_picture_count_as_one_picture(crops: CalibrationSet) -> None:
    card = small_card(3, (HEIGHT, WIDTH), fit="slide", scale=(128, 64))
    meter = LossMeter(calibrated(crops, card=card))
    assert meter.inputs.shape == (2 * 37, 3, HEIGHT, WIDTH)
    outputs = network_of(card).run(meter.inputs)
    meter.set_reference(outputs)
    assert meter.measure(outputs).drop == 0


def test_labels_in_the_graph_are_made_of_its_logits(crops: CalibrationSet) -> None:
    import onnx
    import onnxruntime as ort

    card = with_labels(SEGMENTER)
    resize = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    end = (
        ("Resize", resize, np.array([1, 3, HEIGHT, WIDTH], np.int64)),
        ("ArgMax", {"axis": 1, "keepdims": 0}, None),
        ("Cast", {"to": onnx.TensorProto.UINT8}, None),
    )
    model = small_network(card, end)
    network = SimulatedNetwork(Graph(model))
    meter = LossMeter(calibrated(crops, card=card), finish=network.finish)
    logits = network.run(meter.inputs)
    assert logits.shape == (37, 3, HEIGHT // 4, WIDTH // 4)
    meter.set_reference(logits)
    assert meter.measure(logits).drop == 0
    assert meter.measure(logits[:, ::-1].copy()).drop > 0.3
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (labels,) = session.run(None, {"image": meter.inputs[:1]})
    assert (network.finish(logits[:1]) == labels).mean() > 0.999


def test_a_segmenter_keeps_blocks_in_float_until_little_is_lost(
    crops: CalibrationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEHR_CACHE", str(tmp_path))
    monkeypatch.setattr(equalization, "STEPS", 20)
    by, model = calibrated(crops, card=SEGMENTER), small_network(SEGMENTER)
    whole = search_mixed_precision(model, by, MaxDrop(99)).all_int8_loss
    assert whole.drop > 0
    found = search_mixed_precision(model, by, MaxDrop(50 * whole.drop))
    assert found.float_blocks
    assert found.loss.drop <= 0.5 * whole.drop
    told = FloatBlocks.of(found)
    assert "points of mIoU" in told.summary
    assert (told.result["metric"], told.result["similarity_name"]) == ("mIoU", "IoU")


def test_large_pictures_are_fewer(crops: CalibrationSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy_loss, "MAX_BYTES", 1)
    assert len(LossMeter(calibrated(crops, card=SEGMENTER)).inputs) <= 32


@pytest.mark.parametrize("card", [SEGMENTER, CLASSIFIER], ids=lambda card: card.task)
def test_annotations_of_other_pictures_are_refused(card: ModelCard, crops: CalibrationSet, tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    if card.task == "classification":
        others = folder(labels / "blue", 2, first=90)
        labels = others.with_name("few.txt")
        labels.write_text("00003.jpg blue\n")
    with pytest.raises(EdgehrError, match=r"does not say what is true of all 37 crops|holds no label images"):
        LossMeter(calibrated(crops, card=card), labels)


def test_pictures_lie_in_folders_of_classes_too(tmp_path: Path) -> None:
    for number, name in enumerate(COLORS):
        folder(tmp_path / name, 15, first=15 * number)
    crops = CalibrationSet.of(tmp_path)
    assert len(crops.crops) == 45
    meter = LossMeter(calibrated(crops, card=CLASSIFIER), tmp_path)
    meter.set_reference(network_of(CLASSIFIER).run(meter.inputs))
    assert meter.truth == "their annotations"
    assert meter.float_accuracy < 1  # the pictures do not look like their folder's name


def test_parts_of_pictures_have_no_annotations_of_their_own(pictures: Path, tmp_path: Path) -> None:
    from edgehr.calib.dataset.finder import Finder

    middle = nullcontext(Finder(lambda image: np.float32([[80, 32, 240, 224]]), "the middle, weights none"))
    crops = CalibrationSet.of(pictures, open_finder=lambda: middle)
    meter = LossMeter(calibrated(crops, card=SEGMENTER))
    task, images = Task.for_card(SEGMENTER), [cv2.imread(str(crop.image)) for crop in crops.crops]
    parts = {task.preprocess(image[32:224, 80:240])[0].tobytes() for image in images}
    assert {batch.tobytes() for batch in meter.inputs} < parts
    with pytest.raises(EdgehrError, match="does not say what is true of all"):
        LossMeter(calibrated(crops, card=SEGMENTER), label_images(pictures, tmp_path / "labels"))


def test_people_are_no_faces(pictures: Path, tmp_path: Path) -> None:
    file = faces(pictures, tmp_path / "faces.json")
    data = json.loads(file.read_text())
    for person in data["annotations"]:
        person["keypoints"] = person["keypoints"][: 3 * 17]
    file.write_text(json.dumps(data))
    with pytest.raises(EdgehrError, match=r"its faces have 17 landmarks, .* finds 29: give faces of the data set"):
        CalibrationSet.of(file, pictures, card=LANDMARKS)
