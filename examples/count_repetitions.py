"""Count squats, push-ups or curls of everybody in a video, a camera or a stream.

    python examples/count_repetitions.py artifacts/MODEL.xml squats.mp4 --save counted.mp4
    python examples/count_repetitions.py artifacts/MODEL.xml 0 --exercise curl --detector artifacts/YOLOX.xml

A repetition is a joint that was straight, bends and is straight again. Its angle is measured in the picture, so the
camera should see the movement from the side (curls: from the side or the front). Whoever is out of the picture for more
than a second comes back under another number, and their count starts again.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr import (
    EdgehrError,
    Frame,
    PoseEstimator,
    Poses,
    Sink,
    Source,
    StopRequested,
    draw_label,
    draw_poses,
    open_sinks,
    open_source,
)

MIN_SCORE = 0.3  # score under which a keypoint says nothing
MIN_DURATION_S = 0.4  # a joint that bends and is straight again in less is a keypoint that jumped
FORGET_AFTER_S = 2.0  # the estimator gives a number up after one second


@dataclass(frozen=True)
class Exercise:
    """What is counted.

    Attributes:
        joints: Keypoints of one side, without `left_` or `right_`: the angle is at the middle one.
        bent: Degrees at or under which the joint counts as bent.
        straight: Degrees at or over which it is straight. The band between the two makes jitter and half repetitions
            harmless.
        both: Whether both sides have to bend (as far as both are seen), or either of them.
    """

    joints: tuple[str, str, str]
    bent: float
    straight: float
    both: bool


EXERCISES = {
    "squat": Exercise(("hip", "knee", "ankle"), 110, 155, both=True),  # walking bends one knee at a time
    "push-up": Exercise(("shoulder", "elbow", "wrist"), 100, 150, both=True),
    "curl": Exercise(("shoulder", "elbow", "wrist"), 75, 135, both=False),
}


class RepetitionCounter:
    """Counts the repetitions of one person from the angles of a joint.

    Args:
        exercise: Gives the two angles.
    """

    def __init__(self, exercise: Exercise) -> None:
        self._exercise = exercise
        self._straight_s: float | None = None  # when the joint was last straight, None before that was ever seen
        self._bent = False
        self.count = 0

    def update(self, angle: float | None, time_s: float) -> bool:
        """Take the angle of the next frame.

        Args:
            angle: Degrees; None where the keypoints are not seen, which changes nothing.
            time_s: When the frame was taken.

        Returns:
            Whether this frame completes a repetition.
        """
        if angle is None or (self._straight_s is None and angle < self._exercise.straight):
            return False
        if angle >= self._exercise.straight:
            completed = self._bent and self._straight_s is not None and time_s - self._straight_s >= MIN_DURATION_S
            self._straight_s, self._bent = time_s, False
            self.count += completed
            return completed
        self._bent = self._bent or angle <= self._exercise.bent
        return False


class AngleReader:
    """Reads the angle of an exercise off the keypoints of a model.

    Args:
        exercise: Names the joints.
        names: The model's keypoints, `estimator.keypoints.names`.

    Raises:
        EdgehrError: The model lacks one of them.
    """

    def __init__(self, exercise: Exercise, names: tuple[str, ...]) -> None:
        wanted = [[f"{side}_{joint}" for joint in exercise.joints] for side in ("left", "right")]
        missing = [name for side in wanted for name in side if name not in names]
        if missing:
            raise EdgehrError(f"the model has no keypoint {missing[0]}: counting needs one for bodies")
        self._sides = [[names.index(name) for name in side] for side in wanted]
        self._choose = max if exercise.both else min

    def __call__(self, keypoints: NDArray[np.float32], scores: NDArray[np.float32]) -> float | None:
        """Read the angle that counts.

        Args:
            keypoints: (K, 2) pixels, of one person.
            scores: (K,).

        Returns:
            Degrees, 180 for a straight joint; None where no side is seen whole.
        """
        angles = [joint_angle(keypoints[side]) for side in self._sides if scores[side].min() >= MIN_SCORE]
        return self._choose(angles, default=None)


def joint_angle(points: NDArray[np.float32]) -> float:
    """Measure the angle at the middle one of three points (3, 2): 0 to 180 degrees."""
    one, other = points[0] - points[1], points[2] - points[1]
    cross, dot = one[0] * other[1] - one[1] * other[0], float(one @ other)
    return float(np.degrees(np.arctan2(abs(cross), dot)))


class PeopleCounter:
    """Counters for everybody, by their numbers.

    Args:
        exercise: What is counted.
        names: The model's keypoints.
    """

    def __init__(self, exercise: Exercise, names: tuple[str, ...]) -> None:
        self._exercise, self._angle = exercise, AngleReader(exercise, names)
        self._counters: dict[int, RepetitionCounter] = {}
        self._seen_s: dict[int, float] = {}

    def update(self, poses: Poses, time_s: float) -> list[int]:
        """Take the people of the next frame; returns the numbers of those who completed a repetition."""
        completed = []
        for number, keypoints, scores in zip(poses.ids.tolist(), poses.keypoints, poses.scores, strict=True):
            counter = self._counters.setdefault(number, RepetitionCounter(self._exercise))
            self._seen_s[number] = time_s
            if counter.update(self._angle(keypoints, scores), time_s):
                completed.append(number)
        self._forget(time_s)
        return completed

    def _forget(self, time_s: float) -> None:
        """Drop who left without a repetition, or a camera in a busy street would fill the memory."""
        for number in [number for number, seen_s in self._seen_s.items() if time_s - seen_s > FORGET_AFTER_S]:
            del self._seen_s[number]
            if not self._counters[number].count:
                del self._counters[number]

    def counts(self) -> dict[int, int]:
        """Return the repetitions by the number of the person, those with none included while they are seen."""
        return {number: counter.count for number, counter in self._counters.items()}


def count(source: Source, estimator: PoseEstimator, sink: Sink, exercise: str) -> dict[int, int]:
    """Count until the source ends, the window is closed, or Ctrl-C; every repetition is printed.

    Returns:
        Repetitions by the number of the person.
    """
    if source.kind == "images":
        raise EdgehrError(f"{source.name}: single pictures have no repetitions: give a video, a camera or a stream")
    people = PeopleCounter(EXERCISES[exercise], estimator.keypoints.names)
    started_s: float | None = None
    with closing(estimator.stream(source)) as results:
        try:
            for poses in results:
                time_s = frame_time(poses.frame)
                started_s = time_s if started_s is None else started_s
                for number in people.update(poses, time_s):
                    print(f"{time_s - started_s:7.1f} s  person {number}: {people.counts()[number]}", flush=True)
                draw(poses.frame.image, poses, people.counts())
                sink.write(poses.frame, poses)
        except (KeyboardInterrupt, StopRequested):
            pass  # what was counted and saved so far is the result
    return people.counts()


def frame_time(frame: Frame) -> float:
    """Date a frame, in seconds: by its place in a file, however fast that is read; of a camera, when it was taken."""
    return frame.time_s if frame.position_s is None else frame.position_s


def draw(image: NDArray[Any], poses: Poses, counts: dict[int, int]) -> None:
    """Draw the skeletons and, for whoever is in the picture, the count."""
    draw_poses(image, poses)
    draw_label(image, ["   ".join(f"person {number}: {counts[number]}" for number in poses.ids.tolist())])


def main() -> None:
    """Parse, count, print."""
    parser = argparse.ArgumentParser(description="Count repetitions of an exercise.")
    parser.add_argument("model", type=Path, help="a converted model for bodies")
    parser.add_argument("source", help="video, camera (0, csi:0) or address (rtsp://)")
    parser.add_argument("--exercise", choices=EXERCISES, default="squat")
    parser.add_argument("--detector", type=Path, help="a converted person detector; without it one person is counted")
    parser.add_argument("--save", type=Path, metavar="OUT", help="write a video with skeletons and counts")
    parser.add_argument("--window", action="store_true", help="show the picture; q ends")
    args = parser.parse_args()
    try:
        with (
            closing(open_source(args.source)) as source,
            PoseEstimator(args.model, detector=args.detector) as estimator,
        ):
            sinks = open_sinks(source, args.save, window=args.window)
            try:
                counts = count(source, estimator, sinks, args.exercise)
                saved = sinks.close()
            except BaseException:
                sinks.discard()
                raise
    except EdgehrError as error:
        sys.exit(f"count_repetitions.py: {error}")
    for number, repetitions in counts.items():
        print(f"person {number}: {repetitions} x {args.exercise}")
    for path in saved:
        print(f"saved {path}")


if __name__ == "__main__":
    main()
