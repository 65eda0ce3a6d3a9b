"""ClassificationSpec: what the classification task has to know of a model, as plain data."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from edgehr.card import InputSpec, ModelCard, TaskSpec
from edgehr.errors import EdgehrError

INTERPOLATIONS = ("bilinear", "bicubic")
RETURNS = ("logits", "probabilities")
SHOWN = 5


@dataclass(frozen=True)
class ClassificationSpec(TaskSpec):
    """The classes of a classifier, and how pictures go in.

    A picture is resized by its shorter side, and the middle of it cut out.

    Attributes:
        classes: Names, in the order of the network's outputs.
        synsets: WordNet's ids of the classes, by which ImageNet names its folders (``n01440764``); empty where there
            are none.
        crop_fraction: The input's share of the resized shorter side, above 0 to 1: 0.875 resizes to 256 for 224.
        short_side: Pixels of the resized shorter side where they are given in pixels; 0 takes them from
            `crop_fraction`, so that they follow the input size.
        interpolation: ``bilinear`` or ``bicubic``.
        antialias: Whether pictures are filtered before they are shrunk, as Pillow, torchvision and timm do, and
            mmpretrain with its backend ``pillow``; otherwise OpenCV's `resize` shrinks them, as its backend ``cv2``.
        returns: What the network returns: ``logits``, or ``probabilities`` where softmax is part of it.
    """

    classes: tuple[str, ...]
    synsets: tuple[str, ...] = ()
    crop_fraction: float = 0.875
    short_side: int = 0
    interpolation: str = "bilinear"
    antialias: bool = True
    returns: str = "logits"

    def __post_init__(self) -> None:
        if not self.classes:
            raise EdgehrError("a classifier needs classes, the card names none")
        for kind, names in (("classes", self.classes), ("synsets", self.synsets)):
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                raise EdgehrError(f"two {kind} of the card have the same name, {twice[0]!r}: they cannot be told apart")
        if self.synsets and len(self.synsets) != len(self.classes):
            raise EdgehrError(f"the card has {len(self.classes)} classes, but {len(self.synsets)} synsets")
        if not 0 < self.crop_fraction <= 1:
            raise EdgehrError(f"crop_fraction must be above 0 and at most 1, got {self.crop_fraction}")
        if self.short_side < 0:
            raise EdgehrError(f"short_side must be pixels, or 0 for crop_fraction, got {self.short_side}")
        for name, value, known in (
            ("interpolation", self.interpolation, INTERPOLATIONS),
            ("returns", self.returns, RETURNS),
        ):
            if value not in known:
                raise EdgehrError(f"{name} must be one of {', '.join(known)}, got {value!r}")

    @property
    def num_outputs(self) -> int:
        """Count the classes."""
        return len(self.classes)

    @property
    def finds(self) -> str:
        """Say how many classes the model tells apart."""
        return f"{len(self.classes)} classes"

    @property
    def decoding_name(self) -> str:
        """Name what outputs become."""
        return "softmax"

    def resized_side(self, size: InputSpec) -> int:
        """Compute the pixels of a picture's shorter side once it is resized.

        Raises:
            EdgehrError: The input would not lie in it.
        """
        longest = max(size.height, size.width)
        # As timm does, but for a 256 that comes out as 255.99999.
        side = self.short_side or math.floor(longest / self.crop_fraction + 1e-6)
        if side < longest:
            raise EdgehrError(
                f"short_side of {side} pixels is smaller than the input of {size.height}x{size.width}: raise it, or "
                "give a crop_fraction instead"
            )
        return side

    def class_id(self, name: str) -> int:
        """Return the number of a class by its name or synset; raises EdgehrError where the model does not know it."""
        for names in (self.classes, self.synsets):
            if name in names:
                return names.index(name)
        raise EdgehrError(f"the model knows no class {name!r}, but {shortened(self.classes)}")

    def lines(self, card: ModelCard) -> list[tuple[str, str]]:
        """Give labels and values for `edgehr inspect`."""
        how = f"{self.interpolation}, {'filtered as Pillow does' if self.antialias else 'as OpenCV does'}"
        return [
            ("resize", f"shorter side to {self.resized_side(card.input)} pixels, {how}; the middle is cut out"),
            ("returns", self.returns),
            ("classes", f"{len(self.classes)}: {shortened(self.classes)}"),
        ]


def shortened(names: tuple[str, ...]) -> str:
    """List the first few names, and count the others."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
