import numpy as np

from edgehr.live.drawing import draw_label, draw_poses
from edgehr.live.drawing.poses import LEFT, MIDDLE, RIGHT, sides
from edgehr.tasks.pose.poses import Poses
from edgehr.zoo import get_card, list_models

KEYPOINTS = get_card("litehrnet-18-coco-256x192").spec.keypoints


def poses(score: float) -> Poses:
    points = np.zeros((1, 17, 2), np.float32)
    points[0, :, 0] = np.where(np.array(sides(KEYPOINTS)) == "left", 150, 50)
    points[0, :, 1] = np.linspace(20, 180, 17)
    return Poses(np.array([[0, 0, 200, 200]], np.float32), points, np.full((1, 17), score, np.float32))


def color_at(score: float, name: str) -> np.ndarray:
    image = np.zeros((200, 200, 3), np.uint8)
    drawn = poses(score)
    draw_poses(image, drawn, KEYPOINTS)
    x, y = drawn.keypoints[0, KEYPOINTS.names.index(name)].round().astype(int)
    return image[y, x]


def test_sides_have_their_colors() -> None:
    assert np.abs(color_at(1, "left_wrist").astype(int) - LEFT).max() <= 2
    assert np.abs(color_at(1, "right_wrist").astype(int) - RIGHT).max() <= 2
    assert np.abs(color_at(1, "nose").astype(int) - MIDDLE).max() <= 2


def test_confidence_shows() -> None:
    sure, unsure = color_at(1, "left_wrist").astype(int), color_at(0.35, "left_wrist").astype(int)
    assert np.ptp(sure) > 1.5 * np.ptp(unsure)  # fades to gray
    assert (color_at(0.1, "left_wrist") == 0).all()  # and is left out


def test_points_far_outside_or_many_people_do_no_harm() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    far = poses(1)
    wild = Poses(far.boxes, far.keypoints * 1e12 - 1e9, far.scores)
    draw_poses(image, wild, KEYPOINTS)
    draw_poses(image, Poses(far.boxes[:0], far.keypoints[:0], far.scores[:0]), KEYPOINTS)
    draw_poses(image[:2, :2].copy(), far, KEYPOINTS)


def test_sides_are_known_for_every_keypoint_set_with_left_and_right() -> None:
    for card in list_models("pose"):
        found = sides(card.spec.keypoints)
        for first, second in card.spec.keypoints.flip_pairs:
            both = {found[first], found[second]}
            named = any("left" in card.spec.keypoints.names[i].lower() for i in (first, second))
            assert not named or both == {"left", "right"}, (card.name, card.spec.keypoints.names[first])


def test_labels_fit_small_pictures() -> None:
    for size in ((40, 60), (480, 640), (2000, 1000)):
        image = np.full((*size, 3), 200, np.uint8)
        draw_label(image, ["a long line that names a model and its weights", "second"])
        assert (image != 200).any()


def test_a_long_line_of_a_label_is_broken_and_stays_inside() -> None:
    line = "   ".join(f"stage{number} 100.0/200.0" for number in range(12))
    image = np.zeros((540, 960, 3), np.uint8)
    draw_label(image, [line])
    assert not image[:, -4:].any()
    written = np.flatnonzero(image.any(axis=(1, 2)))
    assert np.ptp(written) > 25  # more than one row


def test_people_who_are_followed_are_labeled() -> None:
    without, labeled = np.zeros((300, 300, 3), np.uint8), np.zeros((300, 300, 3), np.uint8)
    drawn = poses(1)
    draw_poses(without, drawn, KEYPOINTS)
    draw_poses(labeled, Poses(drawn.boxes, drawn.keypoints, drawn.scores, np.array([12])), KEYPOINTS)
    rows, columns = np.nonzero((without != labeled).any(axis=2))
    assert len(rows)
    assert rows.max() < 60  # over the box, kept inside the picture
    assert abs(columns.mean() - 100) < 10
