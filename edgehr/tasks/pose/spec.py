"""PoseSpec: what the pose task has to know of a model, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgehr.card import ModelCard, TaskSpec
from edgehr.errors import EdgehrError

DECODINGS = ("msra", "dark", "udp")
WARPS = ("affine", "udp")


@dataclass(frozen=True)
class Decoding:
    """The way from heatmaps to keypoints; `edgehr.tasks.pose.heatmaps` has the methods.

    Attributes:
        method: ``msra`` (quarter offset), ``dark`` (DARK, CVPR 2020) or ``udp`` (UDP, CVPR 2020).
        blur_kernel: Side of the Gaussian that ``dark`` and ``udp`` smooth with, heatmap pixels, odd.
        warp: How the crop was cut in training: ``affine`` (pixel edges) or ``udp`` (corner pixel centers).
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
        for pair in (*self.flip_pairs, *self.skeleton):
            if len(pair) != 2 or not all(0 <= index < count for index in pair):
                raise EdgehrError(f"keypoint pair {pair} does not fit {count} keypoints")
        if self.sigmas and len(self.sigmas) != count:
            raise EdgehrError(f"{len(self.sigmas)} sigmas for {count} keypoints")

    @property
    def flip_indices(self) -> tuple[int, ...]:
        """Give, for each keypoint, the one that takes its place in a mirrored image."""
        order = list(range(len(self.names)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)


@dataclass(frozen=True)
class PoseSpec(TaskSpec):
    """A top-down heatmap model's keypoints, and how they are read from its heatmaps.

    Attributes:
        keypoints: What the heatmaps stand for.
        decoding: How a heatmap becomes a keypoint.
    """

    keypoints: KeypointSet
    decoding: Decoding = Decoding()

    def __post_init__(self) -> None:
        if not self.keypoints.names:
            raise EdgehrError("a pose model needs keypoints, the card names none")

    @property
    def num_outputs(self) -> int:
        """Count the keypoints: a heatmap each."""
        return len(self.keypoints.names)

    @property
    def finds(self) -> str:
        """Say how many keypoints the model finds."""
        return f"{len(self.keypoints.names)} keypoints"

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
            ("keypoints", f"{len(names)}: {', '.join(names)}"),
        ]


def with_decoding(card: ModelCard, method: str | None = None, warp: str | None = None) -> ModelCard:
    """Return a pose model's card with another decoding method or warp.

    Raises:
        EdgehrError: It is not a pose model, or there is no such method or warp.
    """
    if not isinstance(card.spec, PoseSpec):
        raise EdgehrError(f"{card.name} returns no heatmaps: decoding and warp go with pose models")
    decoding = card.spec.decoding
    changed = replace(decoding, method=method or decoding.method, warp=warp or decoding.warp)
    return replace(card, spec=replace(card.spec, decoding=changed))
