import csv
import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.files import sha256_file
from edgehr.models.backbones.layers import check_size
from edgehr.tasks.landmarks.spec import LandmarksSpec
from edgehr.tasks.pose.spec import TopDownSpec
from edgehr.tasks.pose.task import PoseTask
from edgehr.zoo import (
    DEFAULT_DETECTOR,
    DEFAULT_MODEL,
    DEFAULT_SEGMENTER,
    all_cards,
    find_card,
    find_weights,
    get_card,
    is_published,
)

# Not top-down heatmaps (bottom-up: ae, cid, dekr); nor is another head (udp-regress).
NOT_SUPPORTED = ("ae_", "cid_", "dekr_")


def pose_cards() -> list[ModelCard]:
    """Those of people, hands, animals, and faces."""
    return [card for card in all_cards() if isinstance(card.spec, TopDownSpec)]


def figures(metrics: str) -> set[float]:
    """The numbers with a decimal point, but for those that belong to a metric's or data set's name (PCK@0.2, v1.0)."""
    return {float(number) for number in re.findall(r"(?<![@v\d.])\d+\.\d+", metrics)}


def test_names_are_unique_and_follow_the_pattern() -> None:
    names = [card.name for card in all_cards()]
    assert len(set(names)) == len(names) > 60
    for card in all_cards():
        assert card.name.endswith(f"-{card.input.height}x{card.input.width}")
        begins = {
            "lite_hrnet": "litehrnet-",
            "hrnet_classifier": "hrnet-",
            "hrnet_ocr": "hrnet-ocr-",
            "hrnet_fcos": "fcos-hrnetv2p-",
            "hrnet_rcnn": ("faster-rcnn-hrnetv2p-", "mask-rcnn-hrnetv2p-", "cascade-"),
        }
        assert card.name.startswith(begins.get(card.architecture, f"{card.architecture}-"))
        check_size(card.input.height, card.input.width)


def test_decoding_follows_the_name() -> None:
    for card in pose_cards():
        words = card.name.split("-")
        expected = next((word for word in ("dark", "udp") if word in words), "msra")
        expected = "hrnet_face" if "official" in words else expected
        assert card.spec.decoding.method == expected, card.name
        assert card.spec.decoding.shift_flipped == (card.spec.decoding.warp == "affine"), card.name


def test_every_supported_checkpoint_of_mmpose_has_its_card(shared: Path) -> None:
    with (shared / "zoo" / "mmpose_hrnet_zoo.tsv").open(newline="") as file:
        published = list(csv.DictReader(file, delimiter="\t"))
    cards = {card.weights.url: card for card in pose_cards() if card.weights.url}
    figures_of: dict[str, set[float]] = defaultdict(set)
    for row in published:
        supported = not row["name"].startswith(NOT_SUPPORTED) and "udp-regress" not in row["name"]
        assert (row["url"] in cards) == supported, row["name"]
        if supported:
            card = cards[row["url"]]
            assert f"{card.input.height}x{card.input.width}" == row["input_size_hxw"]
            assert card.weights.file == row["file"]
            assert card.weights.sha256 == "" or f"-{card.weights.sha256}_" in row["file"]
            figures_of[row["url"]] |= figures(row["metric_yml"]) | figures(row["metric_readme"])
    assert set(figures_of) == set(cards)
    for url, published_figures in figures_of.items():
        assert figures(cards[url].weights.metric) <= published_figures, cards[url].name


def test_published_models_name_their_metric_and_license() -> None:
    for card in all_cards():
        if card.weights.origin == "published":
            assert card.weights.metric, card.name
            assert card.weights.license in ("Apache-2.0", "MIT"), card.name


def test_flip_pairs_swap_left_and_right() -> None:
    for card in pose_cards():
        names = card.spec.keypoints.names
        for first, second in card.spec.keypoints.flip_pairs:
            words = {names[first].lower(), names[second].lower()}
            sided = [word for word in words if "left" in word or "right" in word]
            assert not sided or {w.replace("left", "X").replace("right", "X") for w in words} == {
                sided[0].replace("left", "X").replace("right", "X")
            }, (card.name, words)


def test_hrnet_v2_of_mmpose_upsamples_bilinearly() -> None:
    """As its configs say (`extra`, `upsample`), for hands and faces; the weights fit either way."""
    cards = [card for card in pose_cards() if card.architecture == "hrnetv2"]
    assert {card.category for card in cards} == {"hand", "face"}
    assert {card.parameters["upsampling"] for card in cards} == {"bilinear"}


def test_faces_have_the_landmarks_and_normalizers_of_their_sets() -> None:
    cards = [card for card in all_cards() if isinstance(card.spec, LandmarksSpec)]
    assert len(cards) == 14
    facts = {card.dataset: (card.spec.num_outputs, card.spec.normalizer) for card in cards}
    assert facts == {
        "WFLW": (98, (60, 72)),
        "300W": (68, (36, 45)),
        "300W-LP": (68, (36, 45)),
        "COCO-WholeBody-Face": (68, (36, 45)),
        "COFW": (29, (8, 9)),
        "AFLW": (19, ()),
    }
    for card in cards:
        left, right = (
            [i for i, name in enumerate(card.spec.keypoints.names) if name.startswith(side)]
            for side in ("left", "right")
        )
        order = card.spec.keypoints.flip_indices
        assert sorted(order[i] for i in left) == right, card.name
        middle = set(range(len(order))) - set(left) - set(right)
        assert all(order[i] == i for i in middle), card.name
        assert ModelCard.from_json(card.to_json()) == card
    assert get_card("hrnetv2-w18-wflw-256x256").spec.normalizer_name == "distance of right_eye1 and left_eye1"


@pytest.mark.parametrize(("dataset", "name"), [("wflw", "wflw"), ("300w", "300w"), ("cofw", "cofw"), ("aflw", "aflw")])
def test_right_is_right_in_annotated_faces(dataset: str, name: str, shared: Path) -> None:
    """The person's right is on the left of the picture of a face that looks at the camera."""
    keypoints = get_card(f"hrnetv2-w18-{name}-256x256").spec.keypoints
    file = shared / "data" / "mmpose-samples" / dataset / f"test_{dataset}.json"
    for face in json.loads(file.read_text())["annotations"]:
        x = np.array(face["keypoints"]).reshape(-1, 3)[:, 0]
        apart = [x[keypoints.flip_indices[i]] - x[i] for i, n in enumerate(keypoints.names) if n.startswith("right")]
        assert np.mean(np.array(apart) > 0) > 0.9


def test_the_face_detector_is_opencv_s() -> None:
    card = get_card("yunet-widerface-640x640")
    assert (card.category, card.spec.finds, card.weights.license) == ("face", "face", "MIT")
    assert card.spec.points == ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
    assert len(card.outputs) == 12
    assert len(card.weights.sha256) == 64


def test_coco_is_coco() -> None:
    keypoints = get_card("hrnet-w32-coco-256x192").spec.keypoints
    assert keypoints.names[0] == "nose"
    assert keypoints.names[-1] == "right_ankle"
    assert len(keypoints.skeleton) == 19
    assert keypoints.sigmas[:3] == (0.026, 0.025, 0.025)


def test_the_detector_is_coco_s_and_published_with_a_whole_hash() -> None:
    card = get_card("yolox-nano-coco-416x416")
    assert len(set(card.spec.classes)) == len(card.spec.classes) == 80
    assert card.spec.class_id("person") == 0
    assert (card.spec.classes[16], card.spec.classes[79]) == ("dog", "toothbrush")
    assert len(card.weights.sha256) == 64
    assert card.weights.url.startswith("https://github.com/Megvii-BaseDetection/YOLOX/releases/download/")
    assert card.weights.url.endswith(f"/{card.weights.file}")


def test_the_sample_models_are_marked_as_such() -> None:
    for name in (DEFAULT_MODEL, DEFAULT_SEGMENTER, DEFAULT_DETECTOR):
        assert get_card(name).weights.origin == "sample"
        assert is_published(get_card(name), sha256_file(find_weights(get_card(name))))
    assert sum(card.weights.origin == "sample" for card in all_cards()) == 3


def test_unknown_names_get_suggestions() -> None:
    with pytest.raises(EdgehrError, match=r"did you mean .*hrnet-w32-coco-256x192"):
        get_card("hrnet-w32-coco")
    with pytest.raises(EdgehrError, match="edgehr models"):
        get_card("zzz")


def test_a_card_of_one_s_own(tmp_path: Path) -> None:
    data = {**get_card("litehrnet-18-coco-256x192").to_dict(), "name": "mine-256x192"}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(data))
    assert find_card(str(path)).name == "mine-256x192"
    path.write_text("{}")
    with pytest.raises(EdgehrError, match=r"mine\.json: .*schema"):
        find_card(str(path))
    with pytest.raises(EdgehrError, match="cannot read it"):
        find_card(str(tmp_path / "absent.json"))


# Cards that ruined results in silence, as people wrote them.


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("overlapping_pairs.json", "is in flip_pairs twice"),
        ("text_mean.json", "mean in the model card's InputSpec must be a list whose items are each a finite number"),
        ("zero_sigmas.json", "sigmas must be 17 numbers above 0"),
    ],
)
def test_cards_that_cannot_be_meant_are_refused(name: str, message: str, shared: Path) -> None:
    with pytest.raises(EdgehrError, match=rf"{name}: .*{message}"):
        find_card(str(shared / "faults" / "cards" / name))


def test_a_card_without_pairs_has_no_flip_test(shared: Path) -> None:
    card = find_card(str(shared / "faults" / "cards" / "no_pairs.json"))
    maps = {"heatmaps": np.zeros((1, 17, 64, 48), np.float32)}
    with pytest.raises(EdgehrError, match=r"do not swap left_eye and right_eye.*add \[1, 2\]"):
        PoseTask(card).average_flipped(maps, maps)


def test_mean_and_std_for_pixels_of_0_to_1_are_said(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    find_card(str(shared / "faults" / "cards" / "unit_mean.json"))
    assert "look like those for pixels of 0 to 1" in caplog.text


def test_what_powershell_writes_is_read(shared: Path) -> None:
    assert find_card(str(shared / "faults" / "cards" / "powershell.json")) == get_card(
        "litehrnet-18-wider-naive-coco-256x192"
    )


def test_padding_is_part_of_the_card(shared: Path) -> None:
    card = find_card(str(shared / "faults" / "cards" / "padding.json"))
    assert ModelCard.from_json(card.to_json()).spec.padding == 1.0
    image, box = np.zeros((300, 300, 3), np.uint8), [100, 100, 160, 180]
    assert PoseTask(card).preprocess(image, box)[1].windows.size.tolist() == [[60, 80]]
    usual = get_card("litehrnet-18-wider-naive-coco-256x192")
    assert PoseTask(usual).preprocess(image, box)[1].windows.size.tolist() == [[75, 100]]
