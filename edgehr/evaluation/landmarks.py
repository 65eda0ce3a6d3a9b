"""The evaluator of face landmarks: normalized mean error (NME), failure rate and AUC, and agreement by NME.

The error of a landmark is its distance from the annotated one, divided by the face's normalizer: the distance of the
outer corners of the eyes for WFLW, 300W, COFW and COCO-WholeBody, the size of the box for AFLW. NME is the mean over
all labeled landmarks, as mmpose has it; where every face has all of them, as in these sets, it is the mean over faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Agreement, Evaluator, Metrics
from edgehr.evaluation.dataset import Dataset, ImageSample
from edgehr.evaluation.face_annotations import Face, read_faces
from edgehr.evaluation.terms import Terms
from edgehr.plain_data import without_nan
from edgehr.tasks.landmarks.landmarks import Landmarks
from edgehr.tasks.landmarks.spec import LandmarksSpec

# The NME from which a face counts as failed, and to which AUC goes: the field's usual one.
FAILED = 0.1

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LandmarkMetrics(Metrics):
    """Errors of landmarks.

    Attributes:
        nme: Normalized mean error, 0 for none; NaN where nothing is evaluated.
        failure_rate: Share of the faces whose own NME is above 0.1.
        auc: Area under the cumulative distribution of the faces' errors up to 0.1, in parts of the largest one.
        faces: Faces that were evaluated.
        images: Images they are in.
    """

    decimals: ClassVar[int] = 2

    nme: float
    failure_rate: float
    auc: float
    faces: int
    images: int

    @property
    def figures(self) -> dict[str, float]:
        """Give the figures by the field's names."""
        return {"NME": self.nme, f"FR@{FAILED:g}": self.failure_rate, f"AUC@{FAILED:g}": self.auc}

    @property
    def accuracy(self) -> float:
        """Return 1 - NME, at least 0, which rises with accuracy."""
        return max(1 - self.nme, 0.0) if self.nme == self.nme else self.nme

    @property
    def counted(self) -> str:
        """Say how many faces were evaluated."""
        return f"{self.faces} faces in {self.images} images"


@dataclass(frozen=True)
class LandmarkAgreement(Agreement):
    """Two models' agreement on faces.

    Attributes:
        nme: NME of the second model's landmarks with the first's taken for the truth; NaN where nothing is compared.
        faces: Faces compared.
        left_out: Faces in which the first model puts the landmarks of the normalizer into one place, or sees nothing.
        errors: The metric with the first's landmarks as the truth; None where it was not asked for.
    """

    nme: float
    faces: int
    left_out: int
    errors: LandmarkMetrics | None = None

    @property
    def similarity(self) -> float:
        """Return 1 - NME, at least 0."""
        return max(1 - self.nme, 0.0) if self.nme == self.nme else self.nme

    @property
    def metric(self) -> LandmarkMetrics | None:
        """Return the metric with the first model's landmarks as the truth."""
        return self.errors

    @property
    def rows(self) -> list[list[object]]:
        """Give NME, and the similarity that limits are set on."""
        left = f"; {self.left_out} left out, in which A has no such distance" if self.left_out else ""
        faces = f"{self.faces} faces, A's landmarks as the truth{left}"
        return [["NME", f"{100 * self.nme:.3f} %", faces], ["1 - NME", f"{self.similarity:.4f}", ""]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; NaN, which JSON lacks, becomes None."""
        return {**without_nan(vars(self)), "errors": None if self.errors is None else self.errors.to_dict()}


class LandmarksEvaluator(Evaluator):
    """Judges networks for face landmarks on annotated faces.

    Args:
        card: A card of task ``landmarks``.
    """

    terms = Terms(
        metric="NME",
        points="1 - NME",
        similarity="1 - NME",
        similarity_meaning="1 - NME of its landmarks with the first's.",
        relative_meaning="NME, the truth being the first's landmarks.",
        sample="face",
        samples="faces",
        drawn="landmarks",
    )
    blindness = "sees no landmark"

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self._spec = card.spec_as(LandmarksSpec)

    def read(
        self, annotations: Path, images: Path | None = None, detections: Path | None = None, max_samples: int = 0
    ) -> Dataset:
        """Read a file of faces as mmpose has them, see `edgehr.evaluation.face_annotations`; see `Evaluator.read`."""
        if detections:
            raise EdgehrError(f"{detections}: NME is defined in annotated boxes: leave detections out")
        samples, faces = read_faces(annotations, self.card, images, max_samples)
        return Dataset(samples, faces, str(annotations), "ground truth")

    def annotated(self, annotations: Path, images: Path | None = None) -> list[ImageSample]:
        """Give the images with the boxes of their faces; see `Evaluator.annotated`."""
        return read_faces(annotations, self.card, images)[0]

    def check_comparable(self, other: ModelCard) -> None:
        """Refuse a model of another task or of other landmarks."""
        super().check_comparable(other)
        if self._spec.keypoints.names != other.spec_as(LandmarksSpec).keypoints.names:
            raise EdgehrError(f"{self.card.name} and {other.name} find other landmarks: they cannot be compared")

    def score(self, dataset: Dataset, results: Sequence[Landmarks]) -> LandmarkMetrics:
        """Compute NME, failure rate and AUC."""
        faces: dict[int, list[Face]] = dataset.truth
        errors = []
        for image, found in zip(dataset.images, results, strict=True):
            for points, face in zip(found.points, faces[image.image_id], strict=True):
                errors.append(_errors(points, face.points[:, :2], face.points[:, 2] > 0, face.unit))
        return _metrics(errors, len(dataset.images))

    def of_crops(self, source: Path, images: Path | None, crops: Sequence[ImageSample]) -> Dataset | None:
        """Find each crop's face by image and box; see `Evaluator.of_crops`."""
        samples, faces = read_faces(source, self.card, images)
        known = {
            (sample.path, tuple(box.tolist())): face
            for sample in samples
            for box, face in zip(sample.boxes, faces[sample.image_id], strict=True)
        }
        found = [known.get((crop.path, tuple(crop.boxes[0].tolist()))) for crop in crops]
        truth = {crop.image_id: [face] for crop, face in zip(crops, found, strict=True) if face}
        return Dataset(list(crops), truth, str(source), "ground truth") if len(truth) == len(crops) else None

    def similarities(self, image: ImageSample, first: Landmarks, second: Landmarks) -> NDArray[np.float64]:
        """Compute 1 - NME, at least 0, of the second model's landmarks with the first's for each face."""
        means = [errors.mean() if len(errors) else np.nan for errors in self._between(first, second)]
        return np.clip(1 - np.array(means, np.float64), 0, None)

    def agreement(
        self,
        images: Sequence[ImageSample],
        first: Sequence[Landmarks],
        second: Sequence[Landmarks],
        *,
        with_metric: bool = True,
    ) -> LandmarkAgreement:
        """Compare the landmarks that two models found in the same boxes."""
        errors = [each for pair in zip(first, second, strict=True) for each in self._between(*pair)]
        known = [each for each in errors if len(each)]
        metrics = _metrics(known, len(images))
        left_out = len(errors) - len(known)
        return LandmarkAgreement(metrics.nme, len(known), left_out, metrics if with_metric and known else None)

    def draw_pair(
        self, image: ImageSample, number: int, first: Landmarks, second: Landmarks, colors: tuple[str, str]
    ) -> NDArray[np.uint8]:
        """Draw the landmarks of both models for a face over each other."""
        from edgehr.evaluation.keypoints.pictures import draw_skeletons

        face = slice(number, number + 1)
        return draw_skeletons(image.read(), (first[face], second[face]), self._spec.keypoints, colors)

    def _between(self, first: Landmarks, second: Landmarks) -> list[Floats]:
        """Measure the errors of the second model with the first as the truth, none where it gives no normalizer."""
        pair = list(self._spec.normalizer)
        found = []
        for number in range(len(first)):
            points, seen, box = first.points[number], first.scores[number] > 0, first.boxes[number]
            unit = (
                float(np.linalg.norm(points[pair[0]] - points[pair[1]])) if pair else float((box[2:] - box[:2]).max())
            )
            usable = unit > 0 and (not pair or seen[pair].all())
            found.append(_errors(second.points[number], points, seen & usable, unit or 1.0))
        return found


def _errors(points: NDArray[np.float32], truth: NDArray[Any], counted: NDArray[np.bool_], unit: float) -> Floats:
    """Measure the distances of the landmarks that count, in units."""
    errors: Floats = np.linalg.norm(points[counted].astype(np.float64) - truth[counted], axis=1) / unit
    return errors


def _metrics(errors: Sequence[Floats], images: int) -> LandmarkMetrics:
    if not errors:
        return LandmarkMetrics(float("nan"), float("nan"), float("nan"), 0, images)
    means = np.array([each.mean() for each in errors])
    return LandmarkMetrics(
        nme=float(np.concatenate(errors).mean()),
        failure_rate=float((means > FAILED).mean()),
        auc=float(np.clip(1 - means / FAILED, 0, None).mean()),
        faces=len(errors),
        images=images,
    )
