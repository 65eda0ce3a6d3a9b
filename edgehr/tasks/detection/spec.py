"""DetectionSpec: what the detection task has to know of a model, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgehr.card import MAX_SIDE, ModelCard, TaskSpec
from edgehr.errors import EdgehrError

PERSON = "person"  # what COCO calls people
FACE = "face"
MAX_PROPOSALS = 1000  # what mmdetection looks at
# COCO's classes by their category ids, from 1. Ten ids, at the dashes, are of classes that it did not keep.
_COCO_NAMES = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,-,stop sign,parking meter,"
    "bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,-,backpack,umbrella,-,-,handbag,tie,suitcase,"
    "frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,-,"
    "wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,"
    "couch,potted plant,bed,-,dining table,-,-,toilet,-,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,"
    "toaster,sink,refrigerator,-,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
)
COCO_CATEGORIES = {name: number for number, name in enumerate(_COCO_NAMES.split(","), 1) if name != "-"}


MAX_GRIDS = 16  # of any detector there are five


@dataclass(frozen=True)
class RegionSpec:
    """Says how a two-stage detector looks at regions; one without box heads has a single stage.

    Attributes:
        box_stds: What the deltas of each box head were divided by in training, four values a head.
        anchor_scale: Side of a square anchor, in strides.
        anchor_ratios: Heights of anchors over their widths.
        max_proposals: How many regions are looked at.
        masks: Whether it draws the mask of each object.
    """

    box_stds: tuple[tuple[float, float, float, float], ...] = ()
    anchor_scale: float = 8.0
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    max_proposals: int = 300
    masks: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.max_proposals <= MAX_PROPOSALS:
            raise EdgehrError(f"a two-stage detector looks at 1 to {MAX_PROPOSALS} proposals, got {self.max_proposals}")
        if not self.anchor_ratios or min(*self.anchor_ratios, self.anchor_scale) <= 0:
            raise EdgehrError(f"anchors need a scale and ratios above 0, got {self.anchor_scale}, {self.anchor_ratios}")
        if any(std <= 0 for stds in self.box_stds for std in stds):
            raise EdgehrError(f"box_stds must be above 0, got {self.box_stds}")


@dataclass(frozen=True)
class DetectionSpec(TaskSpec):
    """The classes of a detector, and how pictures go in and boxes come out.

    Attributes:
        classes: Names, in the order of the network's class scores.
        strides: Pixels between the places at which each of the network's grids looks for objects, finest grid first.
        letterbox: Gray level (0-255) right of and below a picture that does not fill the input.
        points: Names of the points that it finds of each object; none for most.
        pad_normalized: Pad with 0 after normalization, which is the mean color, in place of gray before it.
        round_size: Round the size of the scaled picture, in place of cutting it off.
        scale: The most pixels of a picture's long and of its short side in the input; 0, 0 for what it holds.
        regions: The second stage of a two-stage detector.
    """

    classes: tuple[str, ...]
    strides: tuple[int, ...] = (8, 16, 32)
    letterbox: int = 114
    points: tuple[str, ...] = ()
    pad_normalized: bool = False
    round_size: bool = False
    scale: tuple[int, int] = (0, 0)
    regions: RegionSpec = RegionSpec()

    def __post_init__(self) -> None:
        if not self.classes:
            raise EdgehrError("a detector needs classes, the card names none")
        if len(set(self.classes)) < len(self.classes):
            raise EdgehrError("two classes of the card have the same name")
        if not self.strides or not all(isinstance(stride, int) and 0 < stride <= MAX_SIDE for stride in self.strides):
            raise EdgehrError(f"strides must be positive whole numbers up to {MAX_SIDE}, got {self.strides}")
        if len(self.strides) > MAX_GRIDS:
            raise EdgehrError(f"strides must be at most {MAX_GRIDS}, got {len(self.strides)}")
        if not 0 <= self.letterbox <= 255:
            raise EdgehrError(f"letterbox must be a gray level of 0 to 255, got {self.letterbox}")
        if min(self.scale) < 0 or (0 in self.scale and any(self.scale)) or self.scale[0] < self.scale[1]:
            raise EdgehrError(f"scale must be the long and the short side in pixels, or 0 and 0, got {self.scale}")

    @property
    def num_outputs(self) -> int:
        """Count the classes."""
        return len(self.classes)

    @property
    def finds(self) -> str:
        """Say how many classes the model tells apart."""
        return self.classes[0] if len(self.classes) == 1 else f"{len(self.classes)} classes"

    @property
    def decoding_name(self) -> str:
        """Name what outputs become."""
        return "boxes"

    def class_id(self, name: str) -> int:
        """Return the number of a class; raises EdgehrError where the detector does not know it."""
        if name not in self.classes:
            raise EdgehrError(f"the detector knows no class {name!r}, but {', '.join(self.classes)}")
        return self.classes.index(name)

    def lines(self, card: ModelCard) -> list[tuple[str, str]]:
        """Give labels and values for `edgehr inspect`."""
        return [
            (
                "letterbox",
                f"upper left, padded with {'the mean color' if self.pad_normalized else f'gray {self.letterbox}'}",
            ),
            ("boxes", f"strides {', '.join(map(str, self.strides))}"),
            ("classes", f"{len(self.classes)}: {', '.join(self.classes)}"),
            *(
                [("regions", f"{self.regions.max_proposals}, {len(self.regions.box_stds)} box heads")]
                if self.regions.box_stds
                else []
            ),
            *([("points", f"{len(self.points)}: {', '.join(self.points)}")] if self.points else []),
        ]


def with_proposals(card: ModelCard, count: int) -> ModelCard:
    """Return the card of a two-stage detector that looks at no more than so many regions of a picture.

    Its box heads take just that many at a time: what is proposed less is filled up with zeros.

    Raises:
        EdgehrError: It is no two-stage detector, or the number is not 1 to 1000.
    """
    spec = card.spec
    if not isinstance(spec, DetectionSpec) or not spec.regions.box_stds:
        raise EdgehrError(f"{card.name} is no two-stage detector: proposals go with those (faster-rcnn-..., ...)")
    return replace(card, spec=replace(spec, regions=replace(spec.regions, max_proposals=count)))
