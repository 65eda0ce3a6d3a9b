"""The pipeline: order, newest frames, errors, and threads that end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgehr.errors import EdgehrError
from edgehr.live.pipeline import Closed, Mailbox, run_pipeline
from edgehr.live.predictors.pose import PoseEstimator
from edgehr.live.predictors.pose_sequence import without_duplicates
from edgehr.live.sources import Frame
from edgehr.live.sources.live import LiveSource
from edgehr.live.timing import StageTimes
from edgehr.runtimes import Artifact, Runtime, TensorSpec
from edgehr.runtimes.tensors import Tensors
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.pose.poses import Poses
from edgehr.zoo import get_card

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

CARD = get_card("litehrnet-18-coco-256x192")


class Peaks(Runtime):
    """A runtime that sees the same person in every crop, of a size that leads to the same crop again."""

    backend = "peaks"

    def __init__(self, delay_s: float = 0.0) -> None:
        float32 = np.dtype(np.float32)
        spec = CARD.input
        super().__init__(
            [TensorSpec("image", (None, 3, spec.height, spec.width), float32)],
            [TensorSpec("heatmaps", (None, 17, 64, 48), float32)],
            artifact=Artifact(CARD, "fp32", "ab" * 32),
        )
        self._delay_s = delay_s

    def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        time.sleep(self._delay_s)
        maps = np.zeros((len(inputs["image"]), 17, 64, 48), np.float32)
        for joint in range(17):
            maps[:, joint, 12 + 5 * joint // 2, 16 + joint] = 0.9
        return {"heatmaps": maps}


class Frames:
    """A source of numbered frames."""

    def __init__(self, count: int, kind: str = "video", period_s: float = 0.0, fails_at: int = -1) -> None:
        self.name, self.kind, self.count, self.fps = "numbers", kind, count, 25.0
        self.closed = False
        self._period_s, self._fails_at = period_s, fails_at

    def __iter__(self) -> Iterator[Frame]:
        for number in range(self.count):
            if self.closed:
                return
            if number == self._fails_at:
                raise EdgehrError("the film tore")
            time.sleep(self._period_s)
            yield Frame(f"{number}", np.full((120, 160, 3), number % 256, np.uint8), number, time.monotonic())

    def close(self) -> None:
        self.closed = True


def whole(image: NDArray[Any]) -> Detections:
    """A detector that finds one person in the middle."""
    height, width = image.shape[:2]
    box = np.array([[0.3 * width, 0, 0.7 * width, height]], np.float32)
    return Detections(box, np.ones(1, np.float32))


def test_every_frame_of_a_file_comes_in_order() -> None:
    source = Frames(40)
    results = list(PoseEstimator(Peaks(), detector=whole).stream(source))
    assert [poses.frame.number for poses in results] == list(range(40))
    assert all(len(poses) == 1 and poses.ids[0] == 1 for poses in results)
    assert all((poses.frame.image == poses.frame.number).all() for poses in results)
    assert [poses.frame_number for poses in results] == list(range(40))
    assert [poses.time_s for poses in results] == [number / 25 for number in range(40)]
    assert source.closed


@pytest.mark.parametrize("detector", [whole, None])
def test_results_tell_their_frame_and_its_time(detector: Any) -> None:
    """Of a camera when it was captured; single pictures have no time."""
    with PoseEstimator(Peaks(), detector=detector) as estimator:
        for frame, poses in estimator.results(Frames(3, "live")):
            assert (poses.frame_number, poses.time_s) == (frame.number, frame.time_s)
            assert poses.to_dict()["frame"] == frame.number
        pictures = [poses for _, poses in estimator.results(Frames(3, "images"))]
        assert [(poses.frame_number, poses.time_s) for poses in pictures] == [(0, None), (1, None), (2, None)]
        image = np.zeros((120, 160, 3), np.uint8)
        poses = estimator.sequence().step(image, 12.5, detector(image) if detector else None)
        assert (poses.frame_number, poses.time_s) == (None, 12.5)
        alone = estimator(image)
        assert (alone.frame_number, alone.time_s) == (None, None)
        assert repr(estimator) == "PoseEstimator(litehrnet-18-coco-256x192, Peaks(CPU))"


def test_any_function_of_an_image_can_be_what_predicts() -> None:
    """As a model for another task would: what is detected in some of the frames comes to it, too."""
    results = run_pipeline(
        Frames(6),
        lambda image, time_s, found: (int(image.max()), time_s, found),
        StageTimes(),
        detect=lambda image: f"seen {image.max()}",
        detect_every=3,
    )
    expected = [(n, (n, n / 25, f"seen {n}" if n % 3 == 0 else None)) for n in range(6)]
    assert [(frame.number, result) for frame, result in results] == expected


def test_a_slow_consumer_of_a_live_source_gets_new_frames_and_no_old_ones() -> None:
    def feed(stop: threading.Event, tell: object) -> Iterator[NDArray[np.uint8]]:
        while not stop.wait(0.005):
            yield np.zeros((120, 160, 3), np.uint8)

    source = LiveSource("numbers", feed, print)
    ages, numbers = [], []
    for poses in PoseEstimator(Peaks(), detector=whole).stream(source):
        ages.append(time.monotonic() - poses.frame.time_s)
        numbers.append(poses.frame.number)
        time.sleep(0.05)
        if len(numbers) == 20:
            break
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > 100  # the source ran on at ten times the consumer's speed
    assert max(ages[2:]) < 0.5  # a hundred frames late would be seconds


@pytest.mark.parametrize(("detector", "most"), [(None, 1), (whole, 2)])
def test_no_frame_of_a_live_source_grows_old_while_another_is_worked_on(detector: Any, most: int) -> None:
    """Each would be older by one frame's work when its turn comes. Only the next one to detect people in is fetched."""
    works, goes_on = threading.Event(), threading.Event()

    class Blocks(Peaks):
        def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
            works.set()
            assert goes_on.wait(20)
            return super()._infer(inputs)

    fetched: list[int] = []

    class Noting(Frames):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                fetched.append(frame.number)
                yield frame

    results = PoseEstimator(Blocks(), detector=detector, detect_every=1).stream(Noting(1000, "live"))
    first: list[Any] = []
    consumer = threading.Thread(target=lambda: first.append(next(results)))
    consumer.start()
    assert works.wait(20)
    time.sleep(0.3)
    while_it_works = len(fetched)
    goes_on.set()
    consumer.join()
    results.close()  # type: ignore[attr-defined]
    assert while_it_works == most
    assert len(first) == 1


def test_leaving_the_loop_ends_everything() -> None:
    source = Frames(10_000)
    for poses in PoseEstimator(Peaks(), detector=whole).stream(source):
        if poses.frame.number == 3:
            break
    assert source.closed


def test_an_error_comes_after_the_frames_before_it() -> None:
    results = PoseEstimator(Peaks(), detector=whole).stream(Frames(10, fails_at=5))
    assert [next(results).frame.number for _ in range(5)] == list(range(5))
    with pytest.raises(EdgehrError, match="the film tore"):
        next(results)


def test_an_error_of_the_detector_is_the_caller_s() -> None:
    def blind(image: NDArray[Any]) -> Detections:
        raise EdgehrError("no eyes")

    with pytest.raises(EdgehrError, match="no eyes"):
        list(PoseEstimator(Peaks(), detector=blind).stream(Frames(3)))


def test_the_detector_looks_at_every_nth_frame_and_at_every_single_picture() -> None:
    looked: list[int] = []

    def noting(image: NDArray[Any]) -> Detections:
        looked.append(int(image[0, 0, 0]))
        return whole(image)

    list(PoseEstimator(Peaks(), detector=noting, detect_every=4).stream(Frames(10)))
    assert looked == [0, 4, 8]
    looked.clear()
    results = list(PoseEstimator(Peaks(), detector=noting, detect_every=4).stream(Frames(3, "images")))
    assert looked == [0, 1, 2]
    assert [int(poses.ids[0]) for poses in results] == [-1, -1, -1]  # unrelated pictures: nobody is followed


def test_stages_are_noted() -> None:
    times = StageTimes()
    list(PoseEstimator(Peaks(), detector=whole).stream(Frames(30), times))
    assert {"capture", "detect", "crop", "pose", "decode", "track"} <= set(times.summary())
    assert times.fps > 0


def test_one_image_alone_has_no_identities() -> None:
    estimator = PoseEstimator(Peaks(), detector=whole)
    poses = estimator(np.zeros((120, 160, 4), np.uint8))
    assert poses.ids.tolist() == [-1]
    assert PoseEstimator(Peaks(), detector=lambda image: Detections.none())(np.zeros((9, 9), np.uint8)).ids.size == 0


def test_several_people_go_through_one_inference() -> None:
    batches: list[int] = []

    class Counting(Peaks):
        def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
            batches.append(len(inputs["image"]))
            return super()._infer(inputs)

    def three(image: NDArray[Any]) -> Detections:
        boxes = np.array([[0, 0, 50, 100], [100, 0, 150, 100], [200, 0, 250, 100]], np.float32)
        return Detections(boxes, np.array([0.5, 0.9, 0.7], np.float32))

    assert len(PoseEstimator(Counting(), detector=three)(np.zeros((100, 300, 3), np.uint8))) == 3
    assert len(PoseEstimator(Counting(), detector=three, max_people=2)(np.zeros((100, 300, 3), np.uint8))) == 2
    assert batches == [3, 2]


def test_a_person_cut_off_by_the_edge_is_not_doubled() -> None:
    card = get_card("litehrnet-18-coco-256x192")
    keypoints = np.random.default_rng(1).uniform(0, 100, (1, 17, 2)).astype(np.float32).repeat(2, axis=0)
    scores = np.full((2, 17), 0.8, np.float32)
    keypoints[1, 10:] += 60
    scores[:, 10:] = 0.1  # nobody saw the legs, so each box put them elsewhere
    scores[1] *= 0.9
    poses = Poses(np.zeros((2, 4), np.float32), keypoints, scores)
    (kept,) = without_duplicates(poses, card.spec.keypoints.sigmas).scores
    assert kept[0] == pytest.approx(0.8)


def test_bad_settings_and_models_are_refused() -> None:
    with pytest.raises(EdgehrError, match="detect_every"):
        PoseEstimator(Peaks(), detect_every=0)
    foreign = Peaks()
    foreign.artifact = None
    with pytest.raises(EdgehrError, match="was not converted by edgehr"):
        PoseEstimator(foreign)
    other = Peaks()
    other.artifact = Artifact(get_card("yolox-nano-coco-416x416"), "fp32", "ab" * 32)
    with pytest.raises(EdgehrError, match="not for pose"):
        PoseEstimator(other)


def test_a_mailbox_replaces_or_waits_and_ends() -> None:
    newest: Mailbox[int] = Mailbox(newest=True)
    newest.put(1)
    newest.put(2)
    assert (newest.get(), newest.replaced) == (2, 1)
    waiting: Mailbox[int] = Mailbox(newest=False)
    waiting.put(1)
    thread = threading.Thread(target=waiting.put, args=(2,))
    thread.start()
    assert waiting.get() == 1
    thread.join(5)
    waiting.end()
    assert waiting.get() == 2
    with pytest.raises(Closed):
        waiting.get()
    with pytest.raises(Closed):
        waiting.put(3)
