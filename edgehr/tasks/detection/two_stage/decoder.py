"""Two-stage detectors: proposals from the whole picture, then heads that look at each of them.

Faster R-CNN, Mask R-CNN and their cascades, as mmdetection has them. The main graph returns objectness and deltas of
all anchors, and the features that regions are pooled from, channels last. The heads are graphs of their own, `box_head`
(or `box_head0`, `box_head1`, ... of a cascade) and `mask_head`; what lies between is done here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError, TensorError
from edgehr.runtimes.base import Runtime
from edgehr.tasks.base import Outputs, PartSpec
from edgehr.tasks.detection.decoders import Decoder, Floats
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.masks import paste
from edgehr.tasks.detection.two_stage.boxes import apply_deltas, sigmoid
from edgehr.tasks.detection.two_stage.proposals import AnchorGrid, propose
from edgehr.tasks.detection.two_stage.regions import MAX_DETECTIONS, choose_detections, refine
from edgehr.tasks.detection.two_stage.roi_align import pool_regions
from edgehr.tasks.image.letterbox import Letterbox

BOX_BINS, MASK_BINS = 7, 14
MASK_SIDE = 28
MASK_BATCH = 20  # most pictures hold fewer objects than the hundred that are returned at most
COMPARED_PICTURES = 2  # heads cost more than all before them
FINEST = 4  # pixels a cell of the finest level
CHANNELS = 256


class TwoStageDecoder(Decoder):
    """Reads anchors (N, A, 1) and (N, A, 4) and features (N, h_i, w_i, C), and runs the heads on regions of these."""

    threshold, nms = 0.3, 0.5
    evaluation_threshold, evaluation_nms = 0.05, 0.5
    max_detections = MAX_DETECTIONS

    def __init__(self, card: ModelCard) -> None:
        self.check_strides(card, FINEST)
        super().__init__(card)
        regions = self.spec.regions
        self._size = card.input.height, card.input.width
        self._shapes = [
            (self.cells(card.input.height, stride), self.cells(card.input.width, stride))
            for stride in self.spec.strides
        ]
        self.anchors = AnchorGrid.of(self.spec.strides, self._shapes, regions.anchor_scale, regions.anchor_ratios)
        ratios = len(regions.anchor_ratios)
        self.places, self.strides = self.places.repeat(ratios, axis=0), self.strides.repeat(ratios, axis=0)
        self._feature_names = self.names[2:]
        self._pooled_strides = self.spec.strides[: len(self._feature_names)]
        self._stages = len(regions.box_stds)
        if (built := card.parameters.get("stages", 1)) != self._stages:
            raise EdgehrError(f"{card.name}: its network has {built} box heads, but box_stds are of {self._stages}")
        self._specs = self.part_specs()

    def cells(self, side: int, stride: int) -> int:
        """Count as the pyramid does: each level is pooled from the finest, and rounds down."""
        return side // FINEST // (stride // FINEST)

    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shapes of the main graph's outputs, in the card's order."""
        count = len(self.anchors.boxes)
        features = {name: (*shape, CHANNELS) for name, shape in zip(self._feature_names, self._shapes, strict=False)}
        return {self.names[0]: (count, 1), self.names[1]: (count, 4), **features}

    def channels_last_outputs(self) -> tuple[str, ...]:
        """Name the features."""
        return tuple(self._feature_names)

    def part_specs(self) -> dict[str, PartSpec]:
        """Describe the heads."""
        regions, classes = self.spec.regions, len(self.spec.classes)
        deltas = 4 if self._stages > 1 else 4 * classes
        outputs = {"scores": (classes + 1,), "deltas": (deltas,)}
        box_head = PartSpec("regions", (BOX_BINS, BOX_BINS, CHANNELS), outputs, regions.max_proposals)
        mask = {"masks": (classes, MASK_SIDE, MASK_SIDE)}
        mask_head = {"mask_head": PartSpec("regions", (MASK_BINS, MASK_BINS, CHANNELS), mask, MASK_BATCH)}
        heads = {self._box_head(stage): box_head for stage in range(self._stages)}
        return heads | (mask_head if regions.masks else {})

    def scores(self, outputs: Outputs) -> Floats:
        """Score the anchors, whatever the class is."""
        return sigmoid(outputs[self.names[0]])

    def boxes(self, outputs: Outputs, picture: int, index: NDArray[np.intp]) -> Floats:
        """Move anchors."""
        deltas = outputs[self.names[1]][picture, index]
        return apply_deltas(self.anchors.boxes[index], deltas, (1, 1, 1, 1), self._size)

    def look_everywhere(self, runtime: Runtime, outputs: Outputs) -> dict[str, NDArray[Any]]:
        """Run all heads on the same regions of a few pictures, whatever was proposed, to compare two models by them."""
        height, width = self._size
        sides = (size * np.array([width, height], np.float32) for size in (0.08, 0.33))
        corners = [np.array([x * width, x * height], np.float32) for x in (0, 0.3, 0.6)]
        regions = np.array([[*corner, *(corner + side)] for side in sides for corner in corners], np.float32)
        found: dict[str, list[NDArray[Any]]] = {}
        for picture in range(min(len(outputs[self.names[0]]), COMPARED_PICTURES)):
            pyramid = self._pyramid(outputs, picture)
            for name, spec in self.part_specs().items():
                pooled = pool_regions(pyramid, self._pooled_strides, regions, spec.shape[0])
                for output, values in self._run(runtime.parts, name, pooled).items():
                    found.setdefault(f"{name}.{output}", []).append(values)
        return {name: np.stack(values) for name, values in found.items()}

    def detect(
        self,
        outputs: Outputs,
        letterbox: Letterbox,
        threshold: float,
        nms: float,
        class_ids: NDArray[np.int64],
        parts: Mapping[str, Runtime],
    ) -> Detections:
        """Look at what is proposed in the one picture; see `Decoder.detect`."""
        regions, size = self.spec.regions, letterbox.resized[::-1]
        objectness, deltas = (outputs[name][0].astype(np.float32) for name in self.names[:2])
        proposals, _ = propose(objectness[:, 0], deltas, self.anchors, size, regions.max_proposals)
        pyramid = self._pyramid(outputs, 0)

        def head(stage: int, boxes: Floats) -> tuple[Floats, Floats]:
            found = self._run(
                parts, self._box_head(stage), pool_regions(pyramid, self._pooled_strides, boxes, BOX_BINS)
            )
            return found["scores"], found["deltas"]

        boxes, moves, logits = refine(proposals, head, regions.box_stds, size)
        stds = regions.box_stds[-1]
        found, scores, labels = choose_detections(
            boxes, moves, logits, stds, size, threshold=threshold, nms=nms, wanted=class_ids
        )
        in_picture = letterbox.to_image(found)
        masks = None
        if regions.masks:
            pooled = pool_regions(pyramid, self._pooled_strides, found, MASK_BINS)
            drawn = self._run(parts, "mask_head", pooled)["masks"][np.arange(len(found)), labels]
            masks = paste(drawn, in_picture, (letterbox.height, letterbox.width))
        return Detections(in_picture, scores, labels, classes=self.spec.classes, masks=masks).with_area()

    def _run(self, parts: Mapping[str, Runtime], name: str, regions: Floats) -> Mapping[str, NDArray[Any]]:
        """Run a head on any number of regions.

        Raises:
            TensorError: There is no such head, or it returns something else than the card says.
        """
        if name not in parts:
            raise TensorError(
                f"the {name} of this detector looks at regions of its outputs: call predict with the model"
            )
        found = parts[name].infer_batch(regions)
        for output, shape in self._specs[name].outputs.items():
            if output not in found or found[output].shape[1:] != shape:
                returned = ", ".join(f"{key} {values.shape[1:]}" for key, values in found.items())
                raise TensorError(
                    f"{parts[name].path or name}: the card says {output} {shape} of each region, got {returned}: its "
                    "classes or stages do not fit the graph"
                )
        return found

    def _box_head(self, stage: int) -> str:
        return f"box_head{stage}" if self._stages > 1 else "box_head"

    def _pyramid(self, outputs: Outputs, picture: int) -> list[Floats]:
        return [outputs[name][picture] for name in self._feature_names]
