"""Segmentation: the result of the segmentation task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError, TensorError
from edgehr.tasks.coco import category_ids, encoded_mask, mask_runs
from edgehr.tasks.result import TaskResult, supervision_library
from edgehr.tasks.segmentation.spec import BACKGROUND, class_id

if TYPE_CHECKING:
    import supervision

Color = tuple[int, int, int]
LISTED = 5  # classes, by `repr`


@dataclass(frozen=True)
class ClassMaps:
    """What a model says of each class at each pixel, made when it is asked for.

    Attributes:
        of: Makes the (H, W) float32 map of a class by its number.
        classes: How many there are.
        normalized: Whether the maps are probabilities; else they are logits, of which a softmax is taken.
    """

    of: Callable[[int], NDArray[np.float32]]
    classes: int
    normalized: bool = False

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return map(self.of, range(self.classes))

    def most_likely(self) -> NDArray[Any]:
        """Find the most likely class of each pixel, of several equal ones the first: (H, W) uint8 or uint16."""
        planes = iter(self)
        best = next(planes).copy()
        labels = np.zeros(best.shape, label_type(self.classes))
        for number, plane in enumerate(planes, 1):
            better = plane > best
            np.copyto(best, plane, where=better)
            labels[better] = number
        return labels

    def probability(self, number: int) -> NDArray[np.float32]:
        """Compute how likely a class is at each pixel: (H, W) float32, 0 to 1."""
        wanted = self.of(number)
        if self.normalized:
            return np.clip(wanted, 0, 1)
        total = np.ones_like(wanted)
        with np.errstate(over="ignore"):  # an infinite sum is a probability of 0
            for other in range(self.classes):
                if other != number:
                    total += np.exp(self.of(other) - wanted)
        probability: NDArray[np.float32] = np.reciprocal(total)
        return probability


@dataclass(frozen=True, repr=False)
class Segmentation(TaskResult):
    """The class of each pixel of one image.

    Attributes:
        class_map: (H, W) uint8 or, for more than 256 classes, uint16: the number of each pixel's class.
        classes: Their names, by number.
        palette: Their colors, red, green and blue, 0 to 255.
        maps: What the model says of each class; None for a model that returns nothing but the classes.
        frame_number: See `TaskResult`, as for `time_s`.

    Raises:
        TensorError: The map is of another type or shape, or holds numbers of no class.
    """

    class_map: NDArray[Any]
    classes: tuple[str, ...]
    palette: tuple[Color, ...]
    maps: ClassMaps | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        found = self.class_map
        if found.ndim != 2 or found.dtype not in (np.uint8, np.uint16):
            raise TensorError(f"a class map must be (H, W) uint8 or uint16, got {found.dtype} {found.shape}")
        if len(self.palette) != len(self.classes):
            raise TensorError(f"{len(self.classes)} classes need as many colors, got {len(self.palette)}")
        if self.pixels.size > len(self.classes):
            raise TensorError(f"the class map holds {found.max()}, but there are {len(self.classes)} classes")

    @cached_property
    def pixels(self) -> NDArray[np.int64]:
        """Count the pixels of each class: (C,) int64."""
        return np.bincount(self.class_map.ravel(), minlength=len(self.classes)).astype(np.int64)

    @property
    def present(self) -> tuple[str, ...]:
        """List the classes that are in the image, the largest first, without the background."""
        return tuple(self.classes[number] for number in self._present_ids())

    @property
    def areas(self) -> dict[str, float]:
        """Tell which share of the image each class in it takes, 0 to 1, the largest first; with the background."""
        order = np.argsort(-self.pixels, kind="stable")
        return {self.classes[i]: float(self.pixels[i] / self.class_map.size) for i in order if self.pixels[i]}

    def __len__(self) -> int:
        """Count the classes that are in the image, without the background."""
        return len(self.present)

    def __repr__(self) -> str:
        height, width = self.class_map.shape
        shares = [f"{name} {share:.0%}" for name, share in self.areas.items()]
        more = [f"{len(shares) - LISTED} more"] if len(shares) > LISTED else []
        return self._described(f"{width}x{height} pixels", *shares[:LISTED], *more)

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Tell which pixels are of a class: (H, W) bool; raises EdgehrError for a class that the model has not."""
        mask: NDArray[np.bool_] = self.class_map == class_id(self.classes, name)
        return mask

    def probability(self, name: str) -> NDArray[np.float32]:
        """Tell how likely a class is at each pixel: (H, W) float32, 0 to 1; computed at each call.

        Raises:
            EdgehrError: The model has no such class, or returns classes only.
        """
        number = class_id(self.classes, name)
        if self.maps is None:
            raise EdgehrError(
                "the model returns classes only, without probabilities: use mask(), or convert it without argmax"
            )
        return self.maps.probability(number)

    def without_maps(self) -> Segmentation:
        """Return the classes alone, which take less memory."""
        return replace(self, maps=None)

    def to_dict(self, *, masks: bool = True) -> dict[str, Any]:
        """Convert to plain JSON types: ``{"size": [height, width], "classes": [{"name", "area", "rle"}, ...]}``.

        Args:
            masks: Add the mask of each class as COCO has it: ``{"size": [height, width], "counts": [...]}``, lengths of
                runs of pixels outside and inside of it in turn, column by column, beginning with one outside.

        Where they are known, ``frame`` and ``time_s`` (seconds) are there too.
        """
        size = list(self.class_map.shape)
        found = [
            {
                "name": name,
                "area": round(self.areas[name], 6),
                **({"rle": {"size": size, "counts": mask_runs(self.mask(name)).tolist()}} if masks else {}),
            }
            for name in self.present
        ]
        return {**self._when(), "size": size, "classes": found}

    def to_rows(self) -> list[dict[str, Any]]:
        """Convert to flat rows, one a class in the image but the background, as ``pandas.DataFrame`` takes them.

        Returns:
            Rows of ``frame`` and ``time_s`` (seconds; both only where they are known), ``class_id``, ``name``,
            ``pixels`` and ``area`` (share of the image, 0 to 1), the largest first.
        """
        return [
            {
                **self._when(),
                "class_id": number,
                "name": self.classes[number],
                "pixels": int(self.pixels[number]),
                "area": round(float(self.pixels[number] / self.class_map.size), 6),
            }
            for number in self._present_ids()
        ]

    def to_coco(self, image_id: int, categories: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
        """Write as COCO results, one entry a class in the image but the background.

        Args:
            image_id: The image's id in the COCO file.
            categories: The category id of each class name there; None for COCO's own (person 1 to toothbrush 90).
                Classes without one are left out.

        Returns:
            Entries of ``image_id``, ``category_id``, ``segmentation`` (compressed run-length encoding), ``bbox`` (x, y,
            width, height; pixels) and ``score``: 1, as a class map does not say how certain it is.

        Raises:
            EdgehrError: None of the classes has a category.
        """
        ids = category_ids(self.classes, categories)
        entries = []
        for number in filter(ids.__contains__, self._present_ids()):
            encoded, box = encoded_mask(self.class_map == number)
            entries.append(
                {"image_id": image_id, "category_id": ids[number], "segmentation": encoded, "bbox": box, "score": 1.0}
            )
        return entries

    def to_supervision(self) -> supervision.Detections:
        """Convert to ``supervision.Detections`` with a mask for each class in the image but the background.

        ``class_id`` and ``data["class_name"]`` tell which; ``confidence`` is None.

        Raises:
            MissingDependencyError: supervision is not installed.
        """
        library, numbers = supervision_library(), self._present_ids()
        masks = np.zeros((len(numbers), *self.class_map.shape), np.bool_)
        for mask, number in zip(masks, numbers, strict=True):
            np.equal(self.class_map, number, out=mask)
        return library.Detections(
            xyxy=library.mask_to_xyxy(masks).astype(np.float32).reshape(-1, 4),
            mask=masks,
            class_id=np.array(numbers, np.int64),
            data={"class_name": np.array(self.present, np.str_)},
        )

    def _present_ids(self) -> list[int]:
        """List the numbers of the classes in the image, the largest first, without the background."""
        order = np.argsort(-self.pixels, kind="stable").tolist()
        return [number for number in order if self.pixels[number] and self.classes[number] != BACKGROUND]


def label_type(classes: int) -> Any:
    """Choose the type of class maps for so many classes."""
    return np.uint8 if classes <= 256 else np.uint16
