"""Calibration sets: from folders, annotated people and videos."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.assets import photographs
from edgehr.calib.dataset.calibration_set import MIN_CROPS, CalibrationSet
from edgehr.calib.dataset.finder import Finder, OpenFinder, detector, open_detector, single_person
from edgehr.calib.dataset.sources import POOL, sample_evenly
from edgehr.errors import EdgehrError
from edgehr.files import sha256_file
from edgehr.live.predictors.detectors import FaceDetector
from edgehr.runtimes import load
from edgehr.spread.models import SentModel
from edgehr.tasks.base import Task
from edgehr.tasks.detection.spec import FACE
from edgehr.tasks.image.reading import read_image
from edgehr.zoo import get_card
from tests.calib.pictures import MIDDLE, folder, middle, picture, video

CARD = get_card("litehrnet-18-coco-256x192")
NOBODY = partial(nullcontext, Finder(lambda image: np.zeros((0, 4), np.float32), "nobody"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("calibration") / "pictures", 50)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return video(tmp_path_factory.mktemp("calibration") / "clip.avi", [picture(seed) for seed in range(40)])


def test_a_folder_gives_whole_images(pictures: Path) -> None:
    chosen = CalibrationSet.of(pictures, max_crops=40)
    assert len({crop.image for crop in chosen.crops}) == 40
    assert all(crop.box is None and crop.frame is None for crop in chosen.crops)
    assert (chosen.found_by, str(chosen)) == ("whole images", "40 crops of 40 images of pictures")
    assert len(CalibrationSet.of(pictures).crops) == 50


def test_a_folder_with_a_detector_gives_its_people(pictures: Path) -> None:
    chosen = CalibrationSet.of(pictures, max_crops=40, open_finder=MIDDLE)
    assert {crop.box for crop in chosen.crops} == {(80.0, 32.0, 240.0, 224.0)}
    assert chosen.manifest["boxes"] == "the middle, weights none"


def test_the_choice_does_not_depend_on_the_file_system_and_is_the_same_again(pictures: Path, tmp_path: Path) -> None:
    other = tmp_path / "pictures"
    other.mkdir()
    for path in sorted(pictures.iterdir(), key=lambda path: path.name[::-1]):  # another order of creation
        shutil.copy(path, other)
    first, again, elsewhere = (CalibrationSet.of(path, max_crops=40) for path in (pictures, pictures, other))
    assert first.sha256 == again.sha256 == elsewhere.sha256
    assert [crop.image.name for crop in first.crops] == [crop.image.name for crop in elsewhere.crops]
    assert CalibrationSet.of(pictures, max_crops=39).sha256 != first.sha256


def test_people_are_taken_by_their_boxes_from_all_images_first(shared: Path) -> None:
    source = shared / "data" / "coco-train2017-people" / "person_keypoints.json"
    chosen = CalibrationSet.of(source, max_crops=120)
    assert len({crop.image for crop in chosen.crops[:100]}) == 100
    assert len({crop.image for crop in chosen.crops}) == 100
    annotated = {
        (image["file_name"], *(round(side, 2) for side in (x, y, x + w, y + h)))
        for image in json.loads(source.read_text())["images"]
        for person in json.loads(source.read_text())["annotations"]
        if person["image_id"] == image["id"]
        for x, y, w, h in [person["bbox"]]
    }
    inside = [
        (crop.image.name, *(round(side, 2) for side in crop.box or ()))
        for crop in chosen.crops
        if crop.box and crop.box[0] > 0 and crop.box[1] > 0  # those at a border were clipped to it
    ]
    assert len(inside) > 80
    assert len([crop for crop in inside if crop in annotated]) > 0.9 * len(inside)
    assert CalibrationSet.of(source, source.parent / "images", max_crops=120).sha256 == chosen.sha256
    assert len(chosen.fingerprints) == 100


def test_larger_people_of_an_image_come_before_smaller_ones(shared: Path) -> None:
    source = shared / "data" / "coco-train2017-people" / "person_keypoints.json"
    seen: dict[Path, float] = {}
    for crop in CalibrationSet.of(source).crops:
        assert crop.box is not None
        area = (crop.box[2] - crop.box[0]) * (crop.box[3] - crop.box[1])
        assert area <= seen.get(crop.image, np.inf)
        seen[crop.image] = area


def test_a_video_gives_people_of_its_frames_in_the_order_of_time(clip: Path) -> None:
    chosen = CalibrationSet.of(clip, max_crops=35, open_finder=MIDDLE)
    frames = [crop.frame for crop in chosen.crops]
    assert len(frames) == 35
    assert frames == sorted(set(frames), key=lambda number: number or 0)
    entry = chosen.manifest["crops"][0]
    assert entry == {"image": "clip.avi", "sha256": sha256_file(clip), "frame": frames[0], "box": chosen.crops[0].box}
    capture = cv2.VideoCapture(str(clip))
    raw = [capture.read()[1] for _ in range(40)]
    for crop, image in chosen.pictures():
        assert crop.frame is not None
        assert (image == raw[crop.frame]).all()


def test_frames_that_hardly_differ_count_once(tmp_path: Path) -> None:
    still = [picture(seed // 3) for seed in range(120)]  # each picture stands for three frames
    noise = np.random.default_rng(0)
    frames = [np.clip(image + noise.normal(0, 3, image.shape), 0, 255).astype(np.uint8) for image in still]
    chosen = CalibrationSet.of(video(tmp_path / "still.avi", frames), open_finder=MIDDLE)
    assert len(chosen.crops) == 40
    assert len({(crop.frame or 0) // 3 for crop in chosen.crops}) == 40


def test_batches_are_what_the_runtime_would_be_given(pictures: Path, clip: Path) -> None:
    for chosen in (
        CalibrationSet.of(pictures, max_crops=3, open_finder=MIDDLE),
        CalibrationSet.of(clip, max_crops=3, open_finder=MIDDLE),
    ):
        for layout in ("nchw", "nhwc"):
            card = CARD.with_layout(layout)
            batches = list(chosen.batches(card))
            expected = [Task.for_card(card).preprocess(image, [crop.box])[0] for crop, image in chosen.pictures()]
            assert len(batches) == len(expected) == 3
            assert all((batch == crop).all() for batch, crop in zip(batches, expected, strict=True))
    filled = next(iter(CalibrationSet.of(pictures, max_crops=3).batches(CARD, size=4)))
    assert filled.shape == (4, 3, 256, 192)
    assert (filled == filled[:1]).all()
    first = CalibrationSet.of(pictures, max_crops=1)
    whole = Task.for_card(CARD).preprocess(read_image(first.crops[0].image), [0, 0, 320, 256])[0]
    assert (next(iter(first.batches(CARD))) == whole).all()


def test_the_manifest_changes_with_content_box_and_finder(pictures: Path, tmp_path: Path) -> None:
    whole, people = CalibrationSet.of(pictures), CalibrationSet.of(pictures, open_finder=MIDDLE)
    other = CalibrationSet.of(pictures, open_finder=partial(nullcontext, Finder(middle, "the middle, weights other")))
    changed = Path(shutil.copytree(pictures, tmp_path / "pictures"))
    cv2.imwrite(str(changed / "00007.jpg"), picture(7), [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert len({one.sha256 for one in (whole, people, other, CalibrationSet.of(changed))}) == 4


def test_the_manifest_file_has_the_hash_that_the_model_carries(pictures: Path, tmp_path: Path) -> None:
    chosen = CalibrationSet.of(pictures, max_crops=5)
    assert chosen.manifest_path(tmp_path / "model.tflite") == tmp_path / "model.tflite.calibration.json"
    assert hashlib.sha256(chosen.manifest_file()).hexdigest() == chosen.sha256
    entries = json.loads(chosen.manifest_file())["crops"]
    assert [entry["image"] for entry in entries] == [crop.image.name for crop in chosen.crops]
    assert entries[0] == {"image": entries[0]["image"], "sha256": sha256_file(chosen.crops[0].image), "box": None}


def test_of_many_images_some_of_every_part_are_looked_at() -> None:
    chosen = sample_evenly(range(10_000), POOL)
    assert len(set(chosen)) == POOL
    assert all(place // 100 for place in np.histogram(chosen, 10, (0, 10_000))[0])
    # Pictures of 100 cameras in turn: all of them are seen.
    assert len({number % 100 for number in chosen}) == 100
    assert sample_evenly([1, 2], 5) == [1, 2]


def test_of_more_people_than_can_be_looked_at_the_largest_of_each_image_stay(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgehr.calib.dataset.sources.POOL", 60)
    images = [{"id": n, "file_name": f"{n:05d}.jpg", "width": 320, "height": 256} for n in range(50)]
    people = [
        {"id": 2 * n + k, "image_id": n, "category_id": 1, "bbox": box, "area": 1, "keypoints": [1, 1, 2] * 17}
        for n in range(50)
        for k, box in enumerate(([100, 60, 100, 100], [10, 10, 200, 200]))
    ]
    source = tmp_path / "people.json"
    source.write_text(json.dumps({"images": images, "annotations": people}))
    boxes = [crop.box for crop in CalibrationSet.of(source, pictures, max_crops=30).crops]
    assert set(boxes) == {(10.0, 10.0, 210.0, 210.0)}
    boxes = [crop.box for crop in CalibrationSet.of(source, pictures, max_crops=60).crops]
    assert boxes.count((100.0, 60.0, 200.0, 160.0)) <= 10


def refused(message: str, source: Path, **options: Any) -> None:
    with pytest.raises(EdgehrError, match=message) as caught:
        CalibrationSet.of(source, **options)
    assert len(str(caught.value).splitlines()) == 1
    assert str(source) in str(caught.value)


def test_too_few_different_crops_are_refused(tmp_path: Path) -> None:
    few = folder(tmp_path / "few", MIN_CROPS - 1)
    refused(f"holds 31 different crops .31 in 31 .* needs at least {MIN_CROPS}", few)
    for number in range(20):
        shutil.copy(few / "00000.jpg", few / f"copy{number}.jpg")
    refused("holds 31 different crops .51 in 51", few)
    cv2.imwrite(str(few / "new.jpg"), picture(1000))
    assert len(CalibrationSet.of(few).crops) == MIN_CROPS


def test_what_is_no_calibration_set_is_refused(pictures: Path, clip: Path, tmp_path: Path) -> None:
    refused("not there; calibration takes a folder", tmp_path / "absent")
    refused("holds no images", Path(shutil.copytree(clip.parent, tmp_path / "videos")))
    refused("calibration takes a folder", next(pictures.iterdir()))
    refused("nobody was found in any of its 50 ", pictures, open_finder=NOBODY)
    refused("nobody was found in any of its 40 ", clip, open_finder=NOBODY)
    refused("needs a detector, or the pose model", clip)
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    refused("cannot open this video", tmp_path / "broken.mp4", open_finder=MIDDLE)
    (tmp_path / "some.json").write_text("{}")
    refused("not a COCO file", tmp_path / "some.json")
    refused("its people have boxes", tmp_path / "some.json", open_finder=MIDDLE)
    refused("holds no images .*; give .*some.json if that is its COCO keypoint file", tmp_path)


def test_a_video_that_changed_meanwhile_is_refused(clip: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(clip, tmp_path))
    chosen = CalibrationSet.of(copy, open_finder=MIDDLE)
    video(copy, [picture(seed) for seed in range(4)])
    with pytest.raises(EdgehrError, match=r"frame 4 of this video cannot be decoded any more"):
        list(chosen.batches(CARD))


@pytest.mark.slow
def test_the_detector_finds_the_people_of_a_video(shared: Path, detector_ir: Path) -> None:
    source = shared / "data" / "video" / "people.mp4"
    chosen = CalibrationSet.of(source, open_finder=partial(open_detector, SentModel(str(detector_ir), {}), threads=1))
    assert len(chosen.crops) >= MIN_CROPS
    assert {crop.frame for crop in chosen.crops} == set(range(5))
    assert re.search(r"detector yolox-nano-coco-416x416, weights sha256 [0-9a-f]{64}", chosen.manifest["boxes"])
    assert len(list(chosen.batches(CARD))) == len(chosen.crops)


def test_a_face_detector_finds_faces_in_boxes_as_data_sets_have_them(yunet_ir: Path) -> None:
    portrait = read_image(photographs()[0])
    with load(yunet_ir) as runtime:
        finder = detector(runtime, FACE)
        (box,) = finder.find(portrait)
        assert box[2] - box[0] == pytest.approx(box[3] - box[1])  # square, from the eyebrows to the chin
        (found,) = FaceDetector(runtime)(portrait).boxes
        assert box[1] > found[1]
        with pytest.raises(EdgehrError, match="person"):
            detector(runtime)


@pytest.mark.slow
def test_the_pose_model_itself_finds_one_person_in_each_frame(shared: Path, sample_ir: Path, tmp_path: Path) -> None:
    """A real player moves through the picture in colored light, and the crop follows."""
    original = shared / "data" / "video" / "posetrack.mp4"
    frame = cv2.VideoCapture(str(original)).read()[1]
    rng = np.random.default_rng(0)
    lights = 0.4 + 0.9 * rng.random((48, 3))
    frames = [np.clip(np.roll(frame, 6 * step, axis=1) * light, 0, 255) for step, light in enumerate(lights)]
    source = video(tmp_path / "walk.avi", [image.astype(np.uint8) for image in frames])
    with load(sample_ir, threads=1) as runtime:
        chosen = CalibrationSet.of(source, open_finder=lambda: nullcontext(single_person(runtime)))
        assert chosen.manifest["boxes"].startswith("single person by litehrnet-18-wider-naive")
        with pytest.raises(EdgehrError, match="holds 3 different crops"):  # five frames of one scene
            CalibrationSet.of(original, open_finder=lambda: nullcontext(single_person(runtime)))
    assert len({crop.frame for crop in chosen.crops}) == len(chosen.crops) >= MIN_CROPS
    drift = [(crop.box[0] + crop.box[2]) / 2 - 6 * crop.frame for crop in chosen.crops if crop.box and crop.frame]
    assert np.ptp(drift) < 40


@pytest.mark.parametrize("finder", [None, MIDDLE])
def test_what_is_no_picture_is_left_out_and_said(
    finder: OpenFinder | None, pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clean = CalibrationSet.of(pictures, max_crops=40, open_finder=finder)
    mixed = tmp_path / "pictures"
    shutil.copytree(pictures, mixed)
    (mixed / "._00003.jpg").write_bytes(b"\0\5\x16\7 of macOS")
    (mixed / "00003b.jpg").write_bytes(b"")
    (mixed / "00003c.jpg").write_bytes(b"not a picture")
    (mixed / "Thumbs.db").write_bytes(b"of Windows")
    assert CalibrationSet.of(mixed, max_crops=40, open_finder=finder).sha256 == clean.sha256
    assert caplog.messages == [
        f"{mixed}: 1 hidden file(s), as ._00003.jpg, are left out",
        *(f"{mixed / name}: not an image that OpenCV reads; it is left out" for name in ("00003b.jpg", "00003c.jpg")),
    ]


def test_names_that_are_not_utf8(pictures: Path, tmp_path: Path) -> None:
    other = tmp_path / "caf\udce9"
    try:
        shutil.copytree(pictures, other)
    except OSError:
        pytest.skip("this file system has no such names")
    (other / "00003.jpg").rename(other / "00003\udcff.jpg")
    chosen = CalibrationSet.of(other, max_crops=40)
    manifest = json.loads(chosen.manifest_file())
    names = {crop["image"] for crop in CalibrationSet.of(pictures, max_crops=40).manifest["crops"]}
    assert {crop["image"].replace("\udcff", "") for crop in manifest["crops"]} == names
