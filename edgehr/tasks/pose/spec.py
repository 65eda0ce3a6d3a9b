"""TopDownSpec and PoseSpec describe top-down heatmap models, as plain data."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from edgehr.card import ModelCard, TaskSpec
from edgehr.errors import EdgehrError

DECODINGS = ("msra", "dark", "udp", "hrnet_face")
WARPS = ("affine", "udp", "hrnet_face")
PADDING = 1.25  # mmpose's and HRNet's own


@dataclass(frozen=True)
class Decoding:
    """The way from heatmaps to keypoints; `edgehr.tasks.pose.heatmaps` has the methods.

    Attributes:
        method: ``msra`` (quarter offset), ``dark`` (DARK, CVPR 2020), ``udp`` (UDP, CVPR 2020) or ``hrnet_face``
            (the quarter offset of the official HRNet-Facial-Landmark-Detection).
        blur_kernel: Side of the Gaussian that ``dark`` and ``udp`` smooth with, heatmap pixels, odd.
        warp: How the crop was cut in training: ``affine`` (pixel edges), ``udp`` (corner pixel centers) or
            ``hrnet_face`` (whole pixels, as that repository does).
        shift_flipped: In a flip test, move the flipped heatmaps one pixel right before averaging.
    """

    method: str = "msra"
    blur_kernel: int = 11
    warp: str = "affine"
    shift_flipped: bool = False

    def __post_init__(self) -> None:
        if self.method not in DECODINGS:
            raise EdgehrError(f"unknown decoding {self.method!r}: expected one of {', '.join(DECODINGS)}")
        if self.warp not in WARPS:
            raise EdgehrError(f"unknown warp {self.warp!r}: expected one of {', '.join(WARPS)}")
        if self.blur_kernel < 1 or self.blur_kernel % 2 == 0:
            raise EdgehrError(f"blur_kernel must be a positive odd number, got {self.blur_kernel}")


@dataclass(frozen=True)
class KeypointSet:
    """The keypoints of a data set, in the order of the heatmaps.

    Attributes:
        names: K names.
        flip_pairs: Index pairs that swap when the image is mirrored.
        skeleton: Index pairs to draw as limbs.
        sigmas: K per-keypoint constants of OKS (COCO keypoint evaluation), or empty where none are published.
    """

    names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.names)
        if len(set(self.names)) < count:
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise EdgehrError(f"two keypoints are called {twice!r}")
        for pair in (*self.flip_pairs, *self.skeleton):
            if len(pair) != 2 or not all(0 <= index < count for index in pair):
                raise EdgehrError(f"keypoint pair {pair} does not fit {count} keypoints")
        paired = [index for pair in self.flip_pairs for index in pair]
        if len(set(paired)) < len(paired):
            twice = next(self.names[index] for index in paired if paired.count(index) > 1)
            raise EdgehrError(f"{twice} is in flip_pairs twice: every keypoint swaps with one other")
        if self.sigmas and (len(self.sigmas) != count or min(self.sigmas) <= 0):
            raise EdgehrError(f"sigmas must be {count} numbers above 0, one a keypoint, got {list(self.sigmas)}")

    @cached_property
    def flip_indices(self) -> tuple[int, ...]:
        """Give, for each keypoint, the one that takes its place in a mirrored image.

        Raises:
            EdgehrError: A keypoint is left by its name, and does not swap with the right one.
        """
        order = list(range(len(self.names)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        for index, name in enumerate(self.names):
            other = re.sub("left|right", _other_side, name, flags=re.IGNORECASE)
            if other != name and other in self.names and order[index] != self.names.index(other):
                raise EdgehrError(
                    f"the card's flip_pairs do not swap {name} and {other}, so that mirrored images cannot be averaged "
                    f"in: add [{index}, {self.names.index(other)}] and the others, or leave out the flip test"
                )
        return tuple(order)


def _other_side(found: re.Match[str]) -> str:
    """Exchange left and right, in the case in which it is written."""
    word = "right" if found[0].lower() == "left" else "left"
    return word.upper() if found[0].isupper() else word.capitalize() if found[0][0].isupper() else word


@dataclass(frozen=True)
class TopDownSpec(TaskSpec):
    """The keypoints of a network that looks into boxes, and how they are read from its heatmaps.

    Attributes:
        keypoints: What the heatmaps stand for.
        decoding: How a heatmap becomes a keypoint.
        padding: Factor by which a box is enlarged before it is cut out, as in training.
    """

    points: ClassVar[str] = "keypoints"  # what the task calls them

    keypoints: KeypointSet
    decoding: Decoding = Decoding()
    padding: float = PADDING

    def __post_init__(self) -> None:
        if self.padding <= 0:
            raise EdgehrError(f"padding must be above 0 (1 leaves boxes as they are), got {self.padding}")
        if not self.keypoints.names:
            raise EdgehrError(f"the model needs {self.points}, the card names none")

    @property
    def num_outputs(self) -> int:
        """Count the keypoints: a heatmap each."""
        return len(self.keypoints.names)

    @property
    def finds(self) -> str:
        """Say how many keypoints the model finds."""
        return f"{len(self.keypoints.names)} {self.points}"

    @property
    def decoding_name(self) -> str:
        """Name the decoding method."""
        return self.decoding.method

    def lines(self, card: ModelCard) -> list[tuple[str, str]]:
        """Give labels and values for `edgehr inspect`."""
        decoding, names = self.decoding, self.keypoints.names
        return [
            ("layout", f"{card.layout} (image and heatmaps)"),
            ("decoding", f"{decoding.method}, warp {decoding.warp}, blur {decoding.blur_kernel}"),
            ("padding", f"{self.padding:g} times the box"),
            (self.points, f"{len(names)}: {', '.join(names)}"),
        ]


@dataclass(frozen=True)
class PoseSpec(TopDownSpec):
    """The keypoints of people, hands or animals, and how they are read from a network's heatmaps."""


def with_decoding(card: ModelCard, method: str | None = None, warp: str | None = None) -> ModelCard:
    """Return the card of a model for pose or landmarks with another decoding method or warp.

    Raises:
        EdgehrError: It returns no heatmaps, or there is no such method or warp.
    """
    if not isinstance(card.spec, TopDownSpec):
        raise EdgehrError(f"{card.name} returns no heatmaps: decoding and warp go with models for pose or landmarks")
    decoding = card.spec.decoding
    changed = replace(decoding, method=method or decoding.method, warp=warp or decoding.warp)
    return replace(card, spec=replace(card.spec, decoding=changed))
