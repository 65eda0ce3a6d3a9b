"""SegmentationSpec: what the segmentation task has to know of a model, as plain data."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgehr.card import ModelCard, OutputSpec, TaskSpec
from edgehr.errors import EdgehrError

# How a picture comes into an input of fixed size.
SLIDE, LETTERBOX, STRETCH = FITS = ("slide", "letterbox", "stretch")

# The name of what is none of the classes that somebody looks for.
BACKGROUND = "background"

# What a model returns, by the name of its output.
LOGITS, PROBABILITIES, LABELS = OUTPUTS = ("logits", "probabilities", "labels")

MAX_LABELS = 256  # of labels in the graph
LABEL_VALUES = 1 << 16  # of label images: 8 or 16 bits


@dataclass(frozen=True)
class SegmentationSpec(TaskSpec):
    """The classes of a segmentation network, and how pictures go in and class maps come out.

    Attributes:
        classes: Names, in the order of the network's maps.
        palette: The color of each class, red, green and blue, 0 to 255.
        fit: How a picture comes into the network's input. ``slide``: scaled to `scale`, with its proportions, and cut
            into overlapping windows of the input's size; ``letterbox``: whole, with its proportions, upper left;
            ``stretch``: whole, to the input's very size.
        scale: For ``slide``: longest long and short side of the scaled picture, pixels; 0, 0 takes it as it is.
        overlap: For ``slide``: share of a window (0 to below 1) that the next one repeats.
        align_corners: Whether maps are upsampled with corners on corners.
        label_values: The value that each class has in label images of its data set; empty where it is its number.
        ignored_values: Values in label images that are not evaluated.
    """

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    fit: str = SLIDE
    scale: tuple[int, int] = (0, 0)
    overlap: float = 1 / 3
    align_corners: bool = False
    label_values: tuple[int, ...] = ()
    ignored_values: tuple[int, ...] = (255,)

    def __post_init__(self) -> None:
        self._check_classes()
        if self.fit not in FITS:
            raise EdgehrError(f"fit must be one of {', '.join(FITS)}, got {self.fit!r}")
        if min(self.scale) < 0 or (0 in self.scale and any(self.scale)) or self.scale[0] < self.scale[1]:
            raise EdgehrError(
                f"scale must be the longest long and short side in pixels, or 0 and 0 for pictures as they are, "
                f"got {self.scale}"
            )
        if not 0 <= self.overlap < 1:
            raise EdgehrError(f"overlap of windows must be 0 to below 1, got {self.overlap}")
        self._check_labels()

    def _check_classes(self) -> None:
        if len(self.classes) < 2:
            raise EdgehrError(f"a segmentation model needs two classes or more, the card names {len(self.classes)}")
        twice = next((name for place, name in enumerate(self.classes) if name in self.classes[:place]), None)
        if twice is not None:
            raise EdgehrError(f"two classes of the card have the name {twice!r}")
        if len(self.palette) != len(self.classes):
            raise EdgehrError(f"the card names {len(self.classes)} classes, but {len(self.palette)} colors of them")
        if not all(0 <= value <= 255 for color in self.palette for value in color):
            raise EdgehrError("colors of the palette must be red, green and blue of 0 to 255")

    def _check_labels(self) -> None:
        values = self.label_values
        if values and len(values) != len(self.classes):
            raise EdgehrError(f"the card names {len(self.classes)} classes, but label_values of {len(values)}")
        if len(set(values)) < len(values):
            raise EdgehrError("two classes of the card have the same value in label images")
        if not all(0 <= value < LABEL_VALUES for value in (*values, *self.ignored_values)):
            raise EdgehrError(f"values of label images must be 0 to {LABEL_VALUES - 1}")

    @property
    def num_outputs(self) -> int:
        """Count the maps: one a class."""
        return len(self.classes)

    @property
    def finds(self) -> str:
        """Say which class the model tells from the background, or how many there are."""
        others = [name for name in self.classes if name != BACKGROUND]
        return others[0] if len(others) == 1 else f"{len(self.classes)} classes"

    @property
    def decoding_name(self) -> str:
        """Name how pictures go in."""
        return self.fit

    def class_id(self, name: str) -> int:
        """Return the number of a class; raises EdgehrError where the model does not know it."""
        return class_id(self.classes, name)

    def with_fit(self, fit: str) -> SegmentationSpec:
        """Return the same with pictures going in in another way; raises EdgehrError for an unknown one."""
        return replace(self, fit=fit)

    def lines(self, card: ModelCard) -> list[tuple[str, str]]:
        """Give labels and values for `edgehr inspect`."""
        return [("fit", self.fitting), ("classes", f"{len(self.classes)}: {', '.join(self.classes)}")]

    @property
    def fitting(self) -> str:
        """Say how pictures go in."""
        if self.fit == LETTERBOX:
            return "letterbox, upper left"
        if self.fit == STRETCH:
            return "stretch to the input's size"
        size = f"pictures within {self.scale[0]}x{self.scale[1]}" if any(self.scale) else "pictures as they are"
        return f"slide over {size}, overlap {self.overlap:.2f}"


def with_labels(card: ModelCard) -> ModelCard:
    """Return the card of a segmentation network that computes the class of each pixel itself, in place of logits.

    A device then gets a byte a pixel, and no map of every class leaves the accelerator.

    Raises:
        EdgehrError: It is no segmentation model, or has more classes than a byte has values.
    """
    if not isinstance(card.spec, SegmentationSpec):
        raise EdgehrError(f"{card.name} is no segmentation model: labels in the graph go with those")
    if len(card.spec.classes) > MAX_LABELS:
        raise EdgehrError(f"{card.name} has {len(card.spec.classes)} classes: labels in the graph are of {MAX_LABELS}")
    _check_logits(card)
    output = OutputSpec(LABELS, "(N, H, W) uint8: the number of each pixel's class")
    return replace(card, outputs=(output,), parameters={**card.parameters, "labels": True})


def with_probabilities(card: ModelCard) -> ModelCard:
    """Return the card of a segmentation network that computes the softmax over its classes itself.

    Raises:
        EdgehrError: It is no segmentation model, or returns labels.
    """
    if not isinstance(card.spec, SegmentationSpec):
        raise EdgehrError(f"{card.name} is no segmentation model: probabilities in the graph go with those")
    _check_logits(card)
    output = OutputSpec(PROBABILITIES, "(N, C, H / 4, W / 4) float: probability of each class at each place")
    return replace(card, outputs=(output,), parameters={**card.parameters, "probabilities": True})


def _check_logits(card: ModelCard) -> None:
    returned = card.outputs[0].name
    if returned != LOGITS:
        raise EdgehrError(f"{card.name} returns {returned} already: choose labels or probabilities, and only once")


def class_id(classes: Sequence[str], name: str) -> int:
    """Return the number of a class; raises EdgehrError where it is none of them, with those of a similar name."""
    if name not in classes:
        near = difflib.get_close_matches(name, classes, n=3, cutoff=0.5)
        raise EdgehrError(
            f"the model knows no class {name!r}; {'near are' if near else 'it has'} {', '.join(near or classes)}"
        )
    return classes.index(name)
