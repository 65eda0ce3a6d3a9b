"""What a simulated network loses on calibration crops that nothing of it was fitted on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.crops import FEWEST_CROPS
from edgehr.calib.quantize import Calibrated, places_read
from edgehr.calib.sources import crop_box, kind_of, spread
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import Annotations, PeopleImage
from edgehr.evaluation.keypoint_agreement import agreement, check_comparable
from edgehr.evaluation.keypoint_ap import KEYPOINT_THRESHOLD, as_results, score
from edgehr.tasks import Poses, Task
from edgehr.tasks.pose.task import PoseContext

MOST_JUDGED = 300  # crops: more only take longer


@dataclass(frozen=True)
class Loss:
    """What a network loses against the float one.

    Attributes:
        ap: AP, 0 to 1, by which it is lower, of the truth that `Judge.truth` names; negative where it is higher.
        oks: 1 less the mean OKS of its keypoints with the float network's.
        error: Mean square of the difference of the heatmaps, over the mean square of the float network's.
    """

    ap: float
    oks: float
    error: float


class Judge:
    """Compares networks with the float one on the same crops, decoded as the card says.

    Attributes:
        inputs: (N, 3, H, W) the crops.
        truth: What AP is measured against, in words.
        people: N, and whether a step of quantization looked at them, in words.
        float_ap: AP of the float network, 0 to 1; 1 where its own keypoints are the truth.
    """

    def __init__(self, by: Calibrated) -> None:
        """Read the crops.

        Args:
            by: The calibration set and the recipe that the network is quantized with. Crops that the recipe leaves are
                taken, 300 at most; where these are fewer than 32, all are.

        Raises:
            EdgehrError: The card's keypoints have no OKS constants, or a crop cannot be read.
        """
        check_comparable(by.card, by.card)
        self._card = by.card
        self._task = Task.for_card(by.card)
        self._truth: list[dict[str, Any]] = []
        places = self._choose(by)
        known = _annotated(by)
        batches: list[NDArray[np.float32]] = []
        self._contexts: list[PoseContext] = []
        self._images: list[PeopleImage] = []
        for place, (crop, pixels) in enumerate(by.crops.pictures()):
            if place not in places:
                continue
            box = np.array([crop_box(crop, pixels)], np.float32)
            batch, context = self._task.preprocess(pixels, box)
            image = PeopleImage.with_boxes(len(batches), crop.image, box)  # everybody counts as an image
            if person := known.get((crop.image, tuple(box[0].tolist()))):
                self._truth.append({**person, "id": len(batches) + 1, "image_id": len(batches)})
                image = replace(image, areas=np.array([person["area"]], np.float32))
            batches.append(batch)
            self._contexts.append(context)
            self._images.append(image)
        self.inputs: NDArray[np.float32] = np.concatenate(batches)
        if len(self._truth) < len(self._images):
            self._truth = []
        self._reference: NDArray[np.float32] | None = None
        self.float_ap = 1.0

    def _choose(self, by: Calibrated) -> set[int]:
        used = set(places_read(by.crops, by.recipe.crops))
        rest = [place for place in range(len(by.crops.crops)) if place not in used]
        kind = "that nothing is fitted on"
        if len(rest) < FEWEST_CROPS:
            rest, kind = list(range(len(by.crops.crops))), "that layers are fitted on too: more would tell more"
        chosen = set(spread(rest, MOST_JUDGED))
        self.people = f"{len(chosen)} calibration crops {kind}"
        return chosen

    @property
    def truth(self) -> str:
        """What AP is measured against, in words."""
        return "their annotations" if self._truth else "the float network's own keypoints"

    @property
    def key(self) -> dict[str, Any]:
        """What a loss depends on besides the network and the calibration set, in JSON types."""
        truth = json.dumps(self._truth, sort_keys=True).encode()
        decoding = asdict(self._card.decoding)
        return {"people": self.people, "truth": hashlib.sha256(truth).hexdigest(), "decoding": decoding}

    def set_reference(self, maps: NDArray[np.float32]) -> None:
        """Give the float network's heatmaps (N, K, h, w) for `inputs`, before anything else is compared.

        Raises:
            EdgehrError: It sees nobody in them, so that nothing can be lost.
        """
        self._reference = maps
        self._float_poses = self._decode(maps)
        if not any((poses.scores > KEYPOINT_THRESHOLD).any() for poses in self._float_poses):
            raise EdgehrError(
                f"{self._card.name}: the float network scores no keypoint above {KEYPOINT_THRESHOLD:g} in the "
                f"{self.people}, so a drop cannot be measured: calibrate on pictures of people, or leave out --max-drop"
            )
        if self._truth:
            self.float_ap = self._ap(self._float_poses)

    def loss(self, maps: NDArray[np.float32]) -> Loss:
        """What another network's heatmaps for `inputs` lose."""
        if self._reference is None:
            raise ValueError("there is nothing to compare with")
        poses = self._decode(maps)
        alike = agreement(self._card, self._images, self._float_poses, poses, with_ap=not self._truth)
        ap = self._ap(poses) if self._truth else (alike.ap.ap if alike.ap else float("nan"))
        error = float(np.square(maps - self._reference).mean() / np.square(self._reference).mean())
        return Loss(self.float_ap - ap, 1 - alike.oks, error)

    def _decode(self, maps: NDArray[np.float32]) -> list[Poses]:
        name = self._card.outputs[0].name
        return [
            self._task.postprocess({name: one[None]}, context)
            for one, context in zip(maps, self._contexts, strict=True)
        ]

    def _ap(self, poses: list[Poses]) -> float:
        described = {
            "images": [{"id": image.image_id} for image in self._images],
            "annotations": self._truth,
            "categories": [{"id": self._truth[0]["category_id"], "name": "evaluated"}],
        }
        results: list[dict[str, Any]] = []
        for image, found in zip(self._images, poses, strict=True):
            results += as_results(found, self._card, image, self._truth[0]["category_id"])
        return score(described, results, self._card).ap


def _annotated(by: Calibrated) -> dict[tuple[Any, tuple[float, ...]], dict[str, Any]]:
    """Annotations by image and box; none where there are none that this model's keypoints can be compared with."""
    source = by.crops.source
    if kind_of(source) != "annotations":
        return {}
    annotations = Annotations.read(source)
    if annotations.keypoints != len(by.card.keypoints.names):
        return {}
    found, people = {}, annotations.people()
    for image in annotations.ground_truth(by.crops.images or annotations.images_beside):
        for box, person in zip(image.boxes, people[image.image_id], strict=True):
            found[image.path, tuple(box.tolist())] = person
    return found
