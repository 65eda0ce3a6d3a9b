"""Repetitions: the counter on angles made up, the program on videos."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from edgehr.errors import EdgehrError
from edgehr.tasks.pose.poses import Poses
from edgehr.zoo import get_card
from tests.examples.puppet import write_curls

NAMES = get_card("litehrnet-18-coco-256x192").spec.keypoints.names
FPS = 25.0


@pytest.fixture(scope="module")
def example(load_example: Callable[[str], ModuleType]) -> ModuleType:
    return load_example("count_repetitions")


def swings(count: int, low: float, high: float = 175.0, seconds: float = 2.0) -> list[float]:
    """Angles of a joint that bends to `low` and back, `count` times."""
    phase = np.linspace(0, 2 * np.pi * count, round(count * seconds * FPS) + 1)
    return list((high + low) / 2 + (high - low) / 2 * np.cos(phase))


def counted(example: ModuleType, angles: Iterable[float | None], exercise: str = "squat") -> int:
    counter = example.RepetitionCounter(example.EXERCISES[exercise])
    for number, angle in enumerate(angles):
        counter.update(angle, number / FPS)
    return int(counter.count)


@pytest.mark.parametrize("exercise", ["squat", "push-up", "curl"])
def test_every_full_repetition_counts_once(example: ModuleType, exercise: str) -> None:
    assert counted(example, swings(12, low=60), exercise) == 12
    assert counted(example, swings(5, low=70, seconds=0.9), exercise) == 5


def test_half_repetitions_do_not_count(example: ModuleType) -> None:
    assert counted(example, swings(6, low=125)) == 0  # never deep enough
    assert counted(example, swings(6, low=60, high=145)) == 0  # never straight again
    assert counted(example, [*swings(3, low=60), *swings(4, low=125), *swings(2, low=60)]) == 5


def test_jitter_around_a_threshold_does_not_count(example: ModuleType) -> None:
    rng = np.random.default_rng(0)
    noisy = np.array(swings(10, low=80)) + rng.normal(0, 5, 501)
    assert counted(example, noisy) == 10
    bent, straight = example.EXERCISES["squat"].bent, example.EXERCISES["squat"].straight
    for level in (bent, straight):
        assert counted(example, [170.0, *(level + rng.normal(0, 6, 500)), 170.0]) <= 1


def test_a_keypoint_that_jumps_for_a_moment_does_not_count(example: ModuleType) -> None:
    angles = [170.0] * 100
    angles[30:33], angles[60] = [40.0] * 3, 20.0
    assert counted(example, angles) == 0


def test_frames_without_the_joint_change_nothing(example: ModuleType) -> None:
    angles: list[float | None] = list(swings(8, low=70))
    for start in range(5, len(angles), 9):
        angles[start : start + 4] = [None] * 4
    assert counted(example, angles) == 8
    assert counted(example, [None] * 50) == 0


def test_whoever_comes_into_the_picture_bent_has_not_done_a_repetition(example: ModuleType) -> None:
    assert counted(example, [80.0] * 20 + [170.0] * 20) == 0


@pytest.mark.parametrize(
    ("points", "degrees"),
    [
        ([[0, 0], [0, 10], [0, 20]], 180),
        ([[0, 0], [0, 10], [10, 10]], 90),
        ([[0, 0], [0, 10], [0, 0]], 0),
        ([[5, 5], [5, 5], [5, 5]], 0),
        ([[0, 0], [10, 0], [0, 10]], 45),
    ],
)
def test_the_angle_is_that_at_the_middle_point(example: ModuleType, points: list[list[float]], degrees: float) -> None:
    assert example.joint_angle(np.array(points, np.float32)) == pytest.approx(degrees, abs=1e-4)


def person(left: float, right: float, score: float = 0.9) -> Poses:
    """Somebody with these angles at the knees."""
    points = np.zeros((1, len(NAMES), 2), np.float32)
    for side, angle in (("left", left), ("right", right)):
        hip, knee, ankle = (NAMES.index(f"{side}_{joint}") for joint in ("hip", "knee", "ankle"))
        points[0, knee] = 0, 100
        points[0, ankle] = 100 * np.sin(np.radians(angle)), 100 - 100 * np.cos(np.radians(angle))
        points[0, hip] = 0, 0
    return Poses(np.zeros((1, 4), np.float32), points, np.full((1, len(NAMES)), score, np.float32), np.array([1]))


def read(example: ModuleType, poses: Poses, exercise: str = "squat") -> float | None:
    angle: float | None = example.AngleReader(example.EXERCISES[exercise], NAMES)(poses.keypoints[0], poses.scores[0])
    return angle


def test_both_knees_must_bend_for_a_squat_as_far_as_both_are_seen(example: ModuleType) -> None:
    walking = person(left=90, right=170)
    assert read(example, walking) == pytest.approx(170, abs=0.1)
    walking.scores[0, NAMES.index("right_knee")] = 0.1  # from the side one leg hides the other
    assert read(example, walking) == pytest.approx(90, abs=0.1)
    assert read(example, person(90, 90, score=0.1)) is None


def test_people_are_counted_apart_and_forgotten(example: ModuleType) -> None:
    people = example.PeopleCounter(example.EXERCISES["squat"], NAMES)

    def frame(angles: dict[int, float]) -> Poses:
        each = [person(angle, angle) for angle in angles.values()]
        stacked = [np.concatenate([getattr(p, part) for p in each]) for part in ("boxes", "keypoints", "scores")]
        return Poses(*stacked, np.array(list(angles)))

    fast, slow = swings(6, low=80, seconds=1.0), swings(2, low=80, seconds=3.0)
    completed = [
        number
        for index, (one, other) in enumerate(zip(fast, slow, strict=True))
        for number in people.update(frame({7: one, 3: other, 9: 170.0}), index / FPS)
    ]
    assert (completed.count(7), completed.count(3)) == (6, 2)
    assert people.counts() == {7: 6, 3: 2, 9: 0}
    people.update(frame({12: 170.0}), 60.0)  # all others are long gone; only what they did is kept
    assert people.counts() == {7: 6, 3: 2, 12: 0}


def test_a_model_without_the_joints_is_refused(example: ModuleType) -> None:
    with pytest.raises(EdgehrError, match="no keypoint left_hip: counting needs one for bodies"):
        example.AngleReader(example.EXERCISES["squat"], ("nose", "left_eye"))


@pytest.fixture(scope="module")
def curls(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    """Two curls and, between them, a half one."""
    photograph, annotated = _somebody_with_a_hanging_arm(shared / "data" / "coco-val2017-people")
    out = tmp_path_factory.mktemp("curls") / "curls.mp4"
    elbow, wrist = (annotated[NAMES.index(name)] for name in ("left_elbow", "left_wrist"))
    write_curls(photograph, elbow, wrist, [-140, -90, -140], out)
    return out


def _somebody_with_a_hanging_arm(people: Path) -> tuple[Path, list[tuple[float, float]]]:
    labels = json.loads((people / "person_keypoints.json").read_text())
    image = next(image for image in labels["images"] if image["file_name"] == "000000239537.jpg")
    label = max((a for a in labels["annotations"] if a["image_id"] == image["id"]), key=lambda a: a["area"])
    return people / "images" / image["file_name"], [tuple(label["keypoints"][i : i + 2]) for i in range(0, 51, 3)]


@pytest.fixture
def count(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    """Run the program in this process: what it prints, line by line."""

    def run(*arguments: object) -> list[str]:
        monkeypatch.setattr("sys.argv", ["count_repetitions.py", *map(str, arguments)])
        example.main()
        printed = capfd.readouterr()
        assert printed.err == ""
        return printed.out.splitlines()

    return run


def assert_two_curls(lines: list[str], curls: Path, saved: Path) -> None:
    *repetitions, total, written = lines
    assert [line.split("s  ")[1] for line in repetitions] == [f"person 1: {number}" for number in (1, 2)]
    times = [float(line.split()[0]) for line in repetitions]
    assert np.all(np.abs(np.array(times) - [1.7, 5.5]) < 0.4)  # seconds of the video, not of the computation
    assert (total, written) == ("person 1: 2 x curl", f"saved {saved}")
    assert frames_of(saved) == frames_of(curls) > 90


@pytest.mark.slow
def test_the_program_counts_what_was_done_in_a_video(
    run_example: Callable[..., Any], sample_ir: Path, curls: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "counted.mp4"
    done = run_example("count_repetitions.py", sample_ir, curls, "--exercise", "curl", "--save", saved)
    assert (done.returncode, done.stderr) == (0, "")
    assert_two_curls(done.stdout.splitlines(), curls, saved)


@pytest.mark.slow
def test_it_counts_the_same_with_a_detector(
    count: Callable[..., list[str]], sample_ir: Path, detector_ir: Path, curls: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "counted.mp4"
    lines = count(sample_ir, curls, "--exercise", "curl", "--save", saved, "--detector", detector_ir)
    assert_two_curls(lines, curls, saved)


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "people"), [("people.mp4", 3), ("posetrack.mp4", 1)])
def test_people_who_walk_and_run_do_no_squats(
    count: Callable[..., list[str]], sample_ir: Path, detector_ir: Path, shared: Path, clip: str, people: int
) -> None:
    lines = count(sample_ir, shared / "data/video" / clip, "--detector", detector_ir)
    assert len(lines) >= people
    assert all(line.endswith(": 0 x squat") for line in lines)


@pytest.mark.slow
def test_what_cannot_be_counted_is_refused_in_one_line(
    count: Callable[..., list[str]], sample_ir: Path, detector_ir: Path, curls: Path, tmp_path: Path
) -> None:
    from edgehr.assets import photographs

    for arguments, says in (
        ((sample_ir, photographs()[0]), "single pictures have no repetitions"),
        ((detector_ir, curls), "not for pose"),
        ((sample_ir, tmp_path / "nothing.mp4"), "no such image, folder or video"),
    ):
        with pytest.raises(SystemExit) as caught:
            count(*arguments)
        message = str(caught.value)
        assert message.startswith("count_repetitions.py: ")
        assert says in message
        assert "\n" not in message


def frames_of(video: Path) -> int:
    capture = cv2.VideoCapture(str(video))
    count = 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count
