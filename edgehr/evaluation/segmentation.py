"""The evaluator of segmentation: mean IoU on images with label images, and agreement of two models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.evaluation.base import Agreement, Evaluator, Metrics, Progress
from edgehr.evaluation.dataset import Dataset, ImageSample
from edgehr.evaluation.label_images import LabelMap, label_files
from edgehr.evaluation.terms import Terms
from edgehr.opencv import cv2
from edgehr.plain_data import without_nan
from edgehr.runtimes.base import Runtime
from edgehr.tasks.image.reading import image_files_within
from edgehr.tasks.segmentation.segmentation import Segmentation
from edgehr.tasks.segmentation.spec import SegmentationSpec
from edgehr.tasks.segmentation.task import SegmentationTask

_WIDTHS = (6, 2)  # of the outlines of two models over each other, pixels

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class SegmentationMetrics(Metrics):
    """Metrics of class maps, 0 to 1, over the pixels that have a true class.

    Attributes:
        miou: Mean intersection over union of the classes that are in the truth or in the results.
        mean_accuracy: Mean share of a class's pixels that are found, over the classes in the truth.
        pixel_accuracy: Share of all pixels that are right.
        classes: Their names.
        ious: IoU of each class; NaN for one that is neither in the truth nor in the results.
        pixels: How many pixels have a true class.
        images: How many images were evaluated.
    """

    miou: float
    mean_accuracy: float
    pixel_accuracy: float
    classes: tuple[str, ...]
    ious: tuple[float, ...]
    pixels: int
    images: int

    @classmethod
    def of(cls, confusion: Counts, classes: tuple[str, ...], images: int) -> SegmentationMetrics:
        """Compute them from a confusion matrix (C, C), truth by result."""
        right, truth, found = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
        with np.errstate(invalid="ignore"):
            ious, recalls = right / (truth + found - right), right / truth
        miou, accuracy = (float(each[~np.isnan(each)].mean()) if truth.any() else np.nan for each in (ious, recalls))
        total = int(truth.sum())
        share = float(right.sum() / total) if total else np.nan
        return cls(miou, accuracy, share, classes, tuple(ious.tolist()), total, images)

    @property
    def figures(self) -> dict[str, float]:
        """Give mean IoU, mean accuracy of classes, and accuracy of pixels."""
        return {"mIoU": self.miou, "mAcc": self.mean_accuracy, "pixel accuracy": self.pixel_accuracy}

    @property
    def counted(self) -> str:
        """Say how many pixels were evaluated."""
        pixels = f"{self.pixels / 1e6:.1f} million" if self.pixels >= 1e6 else f"{self.pixels}"
        return f"{pixels} pixels in {self.images} images"

    @property
    def details(self) -> dict[str, float]:
        """Give the IoU of each class."""
        return dict(zip(self.classes, self.ious, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; NaN, which JSON lacks, becomes None."""
        figures = {"miou": self.miou, "mean_accuracy": self.mean_accuracy, "pixel_accuracy": self.pixel_accuracy}
        return {
            **without_nan(figures),
            "iou": without_nan(self.details),
            "pixels": self.pixels,
            "images": self.images,
        }


@dataclass(frozen=True)
class SegmentationAgreement(Agreement):
    """Two models' agreement on the classes of pixels.

    Attributes:
        iou: Mean over the images of the mean IoU of the classes that either model finds there, 0 to 1.
        same: Share of all pixels to which both give the same class, 0 to 1.
        relative: Metrics with the first model's classes as the truth; None where they were not asked for.
        images: How many images were compared.
    """

    iou: float
    same: float
    relative: SegmentationMetrics | None
    images: int

    @property
    def similarity(self) -> float:
        """Return the mean IoU."""
        return self.iou

    @property
    def metric(self) -> SegmentationMetrics | None:
        """Return the metrics with the first model's classes as the truth."""
        return self.relative

    @property
    def rows(self) -> list[list[object]]:
        """Give mean IoU of images, the share of equal pixels and, where it was asked for, mean IoU of all pixels."""
        rows: list[list[object]] = [
            ["mean IoU", f"{self.iou:.4f}", f"mean over {self.images} images of the classes that A or B finds"],
            ["same class", f"{100 * self.same:.2f} %", "of all pixels"],
        ]
        if self.relative is not None:
            rows.append(["mIoU", f"{100 * self.relative.miou:.1f}", "of all pixels, with A's classes as the truth"])
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; NaN, which JSON lacks, becomes None."""
        relative = None if self.relative is None else self.relative.to_dict()
        return {**without_nan(vars(self)), "relative": relative}


@dataclass(frozen=True)
class _Truth:
    """The label image of each image, by its number, and what its values mean."""

    files: dict[int, Path]
    labels: LabelMap


class SegmentationEvaluator(Evaluator):
    """Judges segmentation models on a folder of images and a folder of label images of the same names.

    Args:
        card: A card of task ``segmentation``.
    """

    terms = Terms(
        metric="mIoU",
        points="mIoU",
        similarity="IoU",
        similarity_meaning="Mean IoU of the classes that it or the first finds in an image.",
        relative_meaning="mIoU of all pixels, the truth being the first's classes.",
        sample="image",
        samples="images",
        drawn="outlines of classes",
    )

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self.task: SegmentationTask
        self._classes = card.spec_as(SegmentationSpec).classes

    def read(
        self, annotations: Path, images: Path | None = None, detections: Path | None = None, max_samples: int = 0
    ) -> Dataset:
        """Find the images of a folder and their label images.

        Args:
            annotations: The folder of label images; see `edgehr.evaluation.label_images`.
            images: The folder of images; by default `images` beside the other.
            detections: None: there are no boxes.
            max_samples: Stop after so many images; 0 takes all.

        Raises:
            EdgehrError: A folder is missing or empty, or an image has no label image.
        """
        if detections:
            raise EdgehrError(f"{detections}: {self.card.name} looks at whole images: leave detections out")
        if not annotations.is_dir():
            raise EdgehrError(f"{annotations}: no such folder of label images")
        root = images or annotations.parent / "images"
        files = image_files_within(root)[: max_samples or None]
        labels = label_files(files, root, annotations)
        samples = [ImageSample.with_boxes(number, path, []) for number, path in enumerate(files)]
        truth = _Truth(dict(enumerate(labels)), LabelMap.of(self.task.spec, annotations))
        return Dataset(samples, truth, str(annotations))

    def check_comparable(self, other: ModelCard) -> None:
        """Refuse a model of another task or with other classes."""
        super().check_comparable(other)
        if self._classes != other.spec_as(SegmentationSpec).classes:
            raise EdgehrError(f"{self.card.name} and {other.name} know other classes: they cannot be compared")

    def predict(
        self, runtime: Runtime, images: Sequence[ImageSample], *, flip: bool = False, progress: Progress | None = None
    ) -> list[Segmentation]:
        """Segment images and keep the classes alone; see `Evaluator.predict`."""
        found = []
        for image in images:
            found.append(self.task.predict(runtime, image.read(), flip=flip).without_maps())
            if progress:
                progress(1)
        return found

    def score(self, dataset: Dataset, results: Iterable[Segmentation]) -> SegmentationMetrics:
        """Compute mean IoU and the rest over the pixels of all images."""
        total = self._no_counts()
        for image, result in zip(dataset.images, results, strict=True):
            total += self._against_truth(dataset.truth, image, result)
        return SegmentationMetrics.of(total, self._classes, len(dataset.images))

    def score_as_they_come(self, dataset: Dataset, results: Iterable[Segmentation]) -> SegmentationMetrics:
        """Compare image by image, with one class map in memory."""
        return self.score(dataset, results)

    def similarities(self, image: ImageSample, first: Segmentation, second: Segmentation) -> NDArray[np.float64]:
        """Compute the mean IoU of the classes that either model finds in an image: (1,)."""
        confusion = _confusion(first.class_map, second.class_map, len(self._classes))
        return np.array([SegmentationMetrics.of(confusion, self._classes, 1).miou])

    def agreement(
        self,
        images: Sequence[ImageSample],
        first: Sequence[Segmentation],
        second: Sequence[Segmentation],
        *,
        with_metric: bool = True,
    ) -> SegmentationAgreement:
        """Compare the classes that two models found in the same images."""
        total, ious = self._no_counts(), []
        for one, two in zip(first, second, strict=True):
            confusion = _confusion(one.class_map, two.class_map, len(self._classes))
            ious.append(SegmentationMetrics.of(confusion, self._classes, 1).miou)
            total += confusion
        whole = SegmentationMetrics.of(total, self._classes, len(images))
        mean = float(np.mean(ious)) if ious else np.nan
        return SegmentationAgreement(mean, whole.pixel_accuracy, whole if with_metric and ious else None, len(images))

    def draw_pair(
        self, image: ImageSample, number: int, first: Segmentation, second: Segmentation, colors: tuple[str, str]
    ) -> NDArray[np.uint8]:
        """Draw the outlines of both models' classes over each other; see `Evaluator.draw_pair`."""
        drawn = image.read().copy()
        scale = max(max(drawn.shape[:2]) / 640, 1)
        for found, color, width in zip((first, second), colors, _WIDTHS, strict=True):
            blue_green_red = tuple(int(color[start : start + 2], 16) for start in (5, 3, 1))
            for name in found.present:
                outlines, _ = cv2.findContours(found.mask(name).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
                cv2.drawContours(drawn, outlines, -1, blue_green_red, max(round(width * scale / 2), 1), cv2.LINE_AA)
        return drawn

    def _no_counts(self) -> Counts:
        return np.zeros((len(self._classes),) * 2, np.int64)

    def _against_truth(self, truth: _Truth, image: ImageSample, result: Segmentation) -> Counts:
        found = result.class_map
        labels = truth.labels.read(truth.files[image.image_id], self.card, (found.shape[0], found.shape[1]))
        seen = labels >= 0
        return _confusion(labels[seen], found[seen], len(self._classes))


def _confusion(truth: NDArray[Any], found: NDArray[Any], classes: int) -> Counts:
    """Count pixels by their true class and the one found: (C, C)."""
    if truth.shape != found.shape:
        raise EdgehrError(f"class maps of {truth.shape} and {found.shape} pixels cannot be compared")
    pairs = truth.astype(np.int64).ravel() * classes + found.ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).astype(np.int64)
