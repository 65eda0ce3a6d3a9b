"""Conversion as users ask for it, by the name of a model: `edgehr.convert`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.card import ModelCard
from edgehr.converters.target import Target, make_target
from edgehr.dependencies import need_packages, need_torch
from edgehr.tasks.detection.spec import with_proposals
from edgehr.tasks.segmentation.spec import with_labels, with_probabilities
from edgehr.zoo import fetch, find_card

if TYPE_CHECKING:
    from edgehr.calib.dataset.calibration_set import CalibrationSet
    from edgehr.converters.conversion_report import Listener, Report


def convert(
    model: str | os.PathLike[str] | ModelCard,
    target: str | Target,
    *,
    weights: str | os.PathLike[str] | None = None,
    size: tuple[int, int] | None = None,
    labels: bool = False,
    probabilities: bool = False,
    proposals: int | None = None,
    calibration: str | os.PathLike[str] | CalibrationSet | None = None,
    out: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> Report:
    """Convert a model, compare the result with it on real images, and only then move it into place.

    Args:
        model: A name from `edgehr.list_models`, a card in a `.json` file, or a card.
        target: ``onnx``, ``openvino``, ``tensorrt``, ``trt-bundle``, ``tflite``, or a `Target` with options.
        weights: A checkpoint; by default the model's own, which are downloaded unless they are here.
        size: Height and width of the input, both divisible by 32; by default the model's own.
        labels: Of a segmentation model: return each pixel's class, a byte, in place of logits.
        probabilities: Of a segmentation model: return the softmax over the classes in place of logits.
        proposals: Of a two-stage detector: how many regions it looks at, at most; by default as the card says.
        calibration: For ``int8``: a folder of images, a COCO keypoint file, or a calibration set.
        out: The artifact; by default `artifacts/MODEL-PRECISION` with the target's suffix.
        images: Folder of images to compare on; by default the photographs that ship with edgehr.
        listener: Told of each stage as it starts and ends.
        options: Options of the target, see `edgehr.converters.target.Target`: ``precision`` (``fp32``, ``fp16`` or
            ``int8``; for ``tflite`` also ``dynamic-int8``), ``batch`` (images per inference, or None for any number),
            ``plain``, ...

    Returns:
        What was done: `path` of the artifact, its size, and how far it is from PyTorch. Of an INT8 artifact, what it
        was calibrated on is written beside it.

    Raises:
        MissingDependencyError: What converts is not installed; the message names the extra.
        EdgehrError: A step failed; nothing is left behind, and an older artifact of that name stays as it was.
    """
    need_torch()
    made = make_target(target, **options)
    need_packages(*made.packages, extra=made.extra)
    from edgehr.calib.dataset.calibration_set import CalibrationSet
    from edgehr.converters import convert as conversion
    from edgehr.models.backbones.layers import check_size

    card = model if isinstance(model, ModelCard) else find_card(os.fspath(model))
    if size is not None:
        check_size(*size)
        card = card.with_size(*size)
    if labels:
        card = with_labels(card)
    if probabilities:
        card = with_probabilities(card)
    if proposals is not None:
        card = with_proposals(card, proposals)
    made.check_model(card)
    if calibration is not None and not isinstance(calibration, CalibrationSet):
        calibration = CalibrationSet.of(Path(calibration), card=card)
    made = replace(made, calibration=calibration or made.calibration)
    made.check()  # what is missing is said now, not after a download
    return conversion.convert(
        card,
        Path(weights) if weights is not None else fetch(card),
        made,
        out=Path(out) if out is not None else None,
        images=Path(images) if images is not None else None,
        listener=listener,
    )
