"""Detectors on HRNetV2p that find the shapes in a few made pictures, without training.

All layers but the last of each head keep made weights; the last ones are fitted in closed form (ridge regression) to
what they should say of these pictures. What such a detector finds is known, so that a fault anywhere between a file and
its boxes shows. Its backbone is shorter than any that is published: how long an export takes goes by the layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from edgehr.card import ModelCard
from edgehr.models.backbones.hrnet import DEPTHS, Depth
from edgehr.models.runtime import TorchRuntime
from edgehr.tasks.detection.spec import DetectionSpec, RegionSpec
from edgehr.tasks.detection.task import DetectionTask
from edgehr.tasks.detection.two_stage.decoder import TwoStageDecoder
from edgehr.tasks.detection.two_stage.proposals import propose
from edgehr.tasks.detection.two_stage.roi_align import pool_regions
from edgehr.tasks.image.boxes import overlaps
from edgehr.zoo import get_card
from tests.models.made_weights import save_made_weights

CLASSES = ("person", "suitcase", "kite")  # drawn as circle, square and triangle
INPUT = (128, 192)
PICTURE = (200, 300)  # so that it is scaled
STDS = (0.1, 0.1, 0.2, 0.2)
CARDS = {"fcos": "fcos-hrnetv2p-w18-1x-coco-800x1344", "mask-rcnn": "mask-rcnn-hrnetv2p-w18-1x-coco-800x1344"}
DEPTHS["short"] = Depth(1, 16, (1, 1, 1), 1)
SURE = 5.0  # logit of what is there, and less that of what is not

Floats = np.ndarray


@dataclass(frozen=True)
class Picture:
    """Shapes in an image.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        boxes: (N, 4) xyxy, pixels.
        labels: (N,) numbers of classes.
        masks: (N, H, W) bool.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray


def pictures(count: int = 2) -> list[Picture]:
    """Draw three shapes on a soft background in each picture, beside each other."""
    random = np.random.default_rng(7)
    found = []
    for _ in range(count):
        coarse = random.integers(60, 200, (4, 6, 3), np.uint8)
        image = cv2.resize(coarse, PICTURE[::-1], interpolation=cv2.INTER_CUBIC)
        masks = []
        for place, label in enumerate(random.permutation(3)):
            size = random.integers(26, 42)
            x, y = 50 + 100 * place + random.integers(-8, 9), random.integers(50, PICTURE[0] - 50)
            corners = {
                0: cv2.ellipse2Poly((int(x), int(y)), (int(size), int(size)), 0, 0, 360, 5),
                1: np.array([[x - size, y - size], [x + size, y - size], [x + size, y + size], [x - size, y + size]]),
                2: np.array([[x, y - size], [x + size, y + size], [x - size, y + size]]),
            }[int(label)]
            mask = np.zeros(PICTURE, np.uint8)
            cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
            image[mask > 0] = [(40, 40, 230), (230, 120, 20), (30, 200, 60)][int(label)]
            masks.append((label, mask > 0))
        stack = np.stack([mask for _, mask in masks])
        boxes = [cv2.boundingRect(mask.astype(np.uint8)) for mask in stack]
        corners = np.array([[x, y, x + w, y + h] for x, y, w, h in boxes], np.float32)
        found.append(Picture(image, corners, np.array([label for label, _ in masks]), stack))
    return found


def card(kind: str) -> ModelCard:
    """Describe a narrow detector of a kind of `CARDS`."""
    whole = get_card(CARDS[kind]).with_size(*INPUT)
    spec = whole.spec_as(DetectionSpec)
    regions = RegionSpec((STDS,), max_proposals=40, masks=True) if spec.regions.box_stds else spec.regions
    return replace(
        whole,
        name=f"{kind}-shapes-{INPUT[0]}x{INPUT[1]}",
        parameters={**whole.parameters, "width": 8, "depth": "short"},
        spec=replace(spec, classes=CLASSES, regions=regions),
    )


def save_fitted(path: Path, kind: str, shown: Sequence[Picture]) -> ModelCard:
    """Fit a detector to pictures, write its checkpoint, and return its card."""
    described = card(kind)
    save_made_weights(described, path)
    with TorchRuntime(described, path) as runtime:
        (_fit_fcos if kind == "fcos" else _fit_mask_rcnn)(runtime, DetectionTask(described), shown)
        save_file({key: tensor.contiguous() for key, tensor in runtime.network.state_dict().items()}, path)
    return described


def _ridge(features: Any, targets: Any, weights: Any = None, strength: float = 1e-3) -> tuple[Any, Any]:
    """Solve for the weights (T, F) and biases (T,) that map features (R, F) to targets (R, T), rows weighted (R,)."""
    x = torch.as_tensor(np.asarray(features), dtype=torch.float64)
    y = torch.as_tensor(np.asarray(targets), dtype=torch.float64)
    w = torch.ones(len(x), dtype=torch.float64) if weights is None else torch.as_tensor(np.asarray(weights, np.float64))
    w = (w / w.sum())[:, None]
    middle, mean = (w * x).sum(0), (w * y).sum(0)
    x, y, root = x - middle, y - mean, w.sqrt()
    a, b = root * x, root * y
    loose = strength * float((a * a).sum()) / a.shape[1]
    if len(a) < a.shape[1]:
        solution = a.T @ torch.linalg.solve(a @ a.T + loose * torch.eye(len(a), dtype=a.dtype), b)
    else:
        solution = torch.linalg.solve(a.T @ a + loose * torch.eye(a.shape[1], dtype=a.dtype), a.T @ b)
    return solution.T, mean - middle @ solution


def _set(layer: Any, fitted: tuple[Any, Any], rows: slice = slice(None)) -> None:
    with torch.no_grad():
        layer.weight[rows] = fitted[0].to(layer.weight.dtype).reshape(layer.weight[rows].shape)
        layer.bias[rows] = fitted[1].to(layer.bias.dtype)


def _watch(layers: Sequence[nn.Module], run: Callable[[], object]) -> list[list[torch.Tensor]]:
    """Give what each layer is fed while something runs."""
    fed: list[list[torch.Tensor]] = [[] for _ in layers]
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, kept=kept: kept.append(inputs[0].detach().clone()))
        for layer, kept in zip(layers, fed, strict=True)
    ]
    run()
    for hook in hooks:
        hook.remove()
    return fed


def _unfolded(maps: Sequence[torch.Tensor], kernel: int) -> Floats:
    """Give what a convolution sees at each place of maps (1, C, h, w), (A, C * kernel²)."""
    return np.concatenate(
        [nn.functional.unfold(each, kernel, padding=kernel // 2)[0].T.numpy() for each in maps], axis=0
    )


def _in_input(task: DetectionTask, picture: Picture) -> tuple[Any, Any, Floats]:
    batch, letterbox = task.preprocess(picture.image)
    return batch, letterbox, picture.boxes * np.array(letterbox.scale * 2, np.float32)


def _fit_fcos(runtime: TorchRuntime, task: DetectionTask, shown: Sequence[Picture]) -> None:
    """Only the finest level finds shapes, at the places near their centers."""
    head: Any = runtime.network.head[1]  # type: ignore[index]
    layers = [head.conv_cls, head.conv_reg]
    for scale in head.scales:
        nn.init.ones_(scale.scale)
    strides = task.decoder.strides
    centers = (task.decoder.places + 0.5) * strides
    features: list[list[Floats]] = [[], []]
    wanted, sides, weights = [], [], []
    for picture in shown:
        batch, _, boxes = _in_input(task, picture)
        fed = _watch(layers, lambda batch=batch: runtime.infer_batch(batch))
        for kept, maps in zip(features, fed, strict=True):
            kept.append(_unfolded(maps, 3))
        to_sides = np.concatenate(
            [centers[:, None] - boxes[None, :, :2], boxes[None, :, 2:] - centers[:, None]], axis=2
        )
        inside = (to_sides.min(axis=2) > 0) & (strides == 8)
        near = inside & (np.abs(centers[:, None] - (boxes[:, :2] + boxes[:, 2:]) / 2).max(axis=2) < 12)
        own = near.argmax(axis=1)
        logits = np.full((len(centers), len(CLASSES)), -SURE)
        logits[near.any(axis=1), picture.labels[own][near.any(axis=1)]] = SURE
        wanted.append(logits)
        sides.append(np.log(np.maximum(to_sides[np.arange(len(own)), own], 1)))
        weights.append(np.where(near.any(axis=1), 1.0, 0.3))
    of_classes, of_boxes = (np.concatenate(kept) for kept in features)
    weight = np.concatenate(weights)
    _set(head.conv_cls, _ridge(of_classes, np.concatenate(wanted), weight))
    there = weight == 1
    _set(head.conv_reg, _ridge(of_boxes[there], np.concatenate(sides)[there]))
    _set(head.conv_centerness, (torch.zeros(head.conv_centerness.weight.shape), torch.full((1,), SURE)))


def _deltas(regions: Floats, boxes: Floats, stds: Sequence[float] = (1, 1, 1, 1)) -> Floats:
    """Give what moves regions to boxes; the inverse of `apply_deltas`."""
    size, wanted = regions[:, 2:] - regions[:, :2], boxes[:, 2:] - boxes[:, :2]
    shift = ((boxes[:, :2] + boxes[:, 2:]) - (regions[:, :2] + regions[:, 2:])) / 2 / size
    return np.concatenate([shift, np.log(wanted / size)], axis=1) / np.array(stds, np.float32)


def _jittered(boxes: Floats, times: int, amount: float) -> Floats:
    random = np.random.default_rng(1)
    size = np.tile(boxes[:, 2:] - boxes[:, :2], (times, 2))
    return (np.tile(boxes, (times, 1)) + size * random.uniform(-amount, amount, size.shape)).astype(np.float32)


def _fit_mask_rcnn(runtime: TorchRuntime, task: DetectionTask, shown: Sequence[Picture]) -> None:
    decoder = task.decoder
    assert isinstance(decoder, TwoStageDecoder)
    _fit_proposals(runtime, task, decoder, shown)
    parts: Any = runtime.network.parts
    box_features, labels, deltas = [], [], []
    mask_features: list[list[Floats]] = [[] for _ in CLASSES]
    drawn: list[list[Floats]] = [[] for _ in CLASSES]
    (mask_head,) = parts["mask_head"].heads
    for picture in shown:
        batch, letterbox, boxes = _in_input(task, picture)
        outputs = runtime.infer_batch(batch)
        pyramid = [outputs[name][0] for name in decoder.names[2:]]
        size = letterbox.resized[::-1]
        scores, moves = (outputs[name][0] for name in decoder.names[:2])
        proposals, _ = propose(scores[:, 0], moves, decoder.anchors, size, 40)
        limits = np.array(letterbox.resized * 2, np.float32)
        regions = np.clip(np.concatenate([proposals, boxes, _jittered(boxes, 25, 0.2)]), 0, limits)
        pooled = pool_regions(pyramid, task.spec.strides[:4], regions, 7)
        (fed,) = _watch([parts["box_head"].fc_cls], lambda pooled=pooled: runtime.parts["box_head"].infer_batch(pooled))
        near = overlaps(regions, boxes)
        own, same = near.argmax(axis=1), near.max(axis=1) >= 0.5
        box_features.append(np.concatenate([each.numpy() for each in fed]))
        labels.append(np.where(same, picture.labels[own], len(CLASSES)))
        deltas.append(_deltas(regions, boxes[own], STDS))
        around = np.clip(np.concatenate([boxes, _jittered(boxes, 2, 0.05)]), 0, limits)
        pooled = pool_regions(pyramid, task.spec.strides[:4], around, 14)
        (fed,) = _watch([mask_head.conv_logits], lambda pooled=pooled: runtime.parts["mask_head"].infer_batch(pooled))
        for number, maps in enumerate(np.concatenate([each.numpy() for each in fed])):
            shape = number % len(boxes)
            inside = _sampled(picture.masks[shape], around[number] / np.array(letterbox.scale * 2), maps.shape[1])
            mask_features[picture.labels[shape]].append(maps.reshape(len(maps), -1).T)
            drawn[picture.labels[shape]].append(np.where(inside, SURE, -SURE).reshape(-1, 1))
    features, label, moved = np.concatenate(box_features), np.concatenate(labels), np.concatenate(deltas)
    _set(parts["box_head"].fc_cls, _ridge(features, SURE * np.eye(len(CLASSES) + 1)[label]))
    for number in range(len(CLASSES)):
        own = label == number
        _set(parts["box_head"].fc_reg, _ridge(features[own], moved[own]), slice(4 * number, 4 * number + 4))
        fitted = _ridge(np.concatenate(mask_features[number]), np.concatenate(drawn[number]))
        _set(mask_head.conv_logits, fitted, slice(number, number + 1))


def _fit_proposals(
    runtime: TorchRuntime, task: DetectionTask, decoder: TwoStageDecoder, shown: Sequence[Picture]
) -> None:
    rpn: Any = runtime.network.head.rpn  # type: ignore[union-attr]
    ratios = len(task.spec.regions.anchor_ratios)
    features, logits, weights, deltas = [], [], [], []
    anchors = decoder.anchors.boxes
    for picture in shown:
        batch, _, boxes = _in_input(task, picture)
        (fed,) = _watch([rpn.rpn_cls], lambda batch=batch: runtime.infer_batch(batch))
        features.append(_unfolded(fed, 1))
        near = overlaps(anchors, boxes)
        best = near.max(axis=1)
        same = (best >= 0.5) | (near == near.max(axis=0)).any(axis=1)
        logits.append(np.where(same, SURE, -SURE).reshape(-1, ratios))
        weights.append(np.where(same, 5.0, np.where(best < 0.4, 1.0, 0.0)).reshape(-1, ratios))
        deltas.append(_deltas(anchors, boxes[near.argmax(axis=1)]).reshape(-1, ratios, 4))
    table, logit, weight, moved = (np.concatenate(each) for each in (features, logits, weights, deltas))
    for number in range(ratios):
        rows = slice(number, number + 1)
        _set(rpn.rpn_cls, _ridge(table, logit[:, rows], weight[:, number]), rows)
        there = weight[:, number] == 5
        _set(rpn.rpn_reg, _ridge(table[there], moved[there, number], strength=1e-2), slice(4 * number, 4 * number + 4))


def _sampled(mask: np.ndarray, box: Floats, cells: int) -> np.ndarray:
    """Look which cells of a box (xyxy, pixels) lie in a mask, (cells, cells)."""
    x, y = (
        np.clip(box[axis] + (np.arange(cells) + 0.5) * (box[axis + 2] - box[axis]) / cells, 0, limit - 1).astype(int)
        for axis, limit in ((0, mask.shape[1]), (1, mask.shape[0]))
    )
    inside: np.ndarray = mask[np.ix_(y, x)]
    return inside
