"""How far two models are apart on the same real inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgehr.assets import photographs
from edgehr.card import ModelCard
from edgehr.evaluation.dataset import ImageSample
from edgehr.runtimes.base import Runtime
from edgehr.tasks.base import Task
from edgehr.tasks.difference import OutputDifference
from edgehr.tasks.image.reading import image_files, read_image, read_images

MAX_IMAGES = 16

# Whole picture, head and shoulders, left, right, middle: fractions of width and height.
_WINDOWS = [
    (0.0, 0.0, 1.0, 1.0),
    (0.2, 0.0, 0.8, 0.5),
    (0.0, 0.1, 0.6, 1.0),
    (0.4, 0.1, 1.0, 0.9),
    (0.25, 0.25, 0.75, 0.75),
]


def compare(card: ModelCard, first: Runtime, second: Runtime, batch: NDArray[np.float32]) -> OutputDifference:
    """Run two models on one batch (N, 3, H, W) and measure how far the second is from the first.

    Raises:
        EdgehrError: They do not return the same shapes.
    """
    task = Task.for_card(card.with_layout("nchw"))
    difference: OutputDifference = task.compare(*(_outputs(task, runtime, batch) for runtime in (first, second)))
    return difference


def same_outputs(card: ModelCard, other: ModelCard) -> bool:
    """Tell whether two models take the same inputs and return the same tensors, so that these can be compared."""
    inputs = {replace(each.input, name="") for each in (card, other)}
    first, second = (Task.for_card(each.with_layout("nchw")) for each in (card, other))
    return (
        len(inputs) == 1
        and first.output_shapes() == second.output_shapes()
        and first.part_specs() == second.part_specs()
    )


def _outputs(task: Task, runtime: Runtime, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Run a model on a batch (N, 3, H, W); maps come in the task's layout, channels first, whatever its own is."""
    channels_last = runtime.artifact is not None and runtime.artifact.card.layout == "nhwc"
    outputs = task.infer(runtime, np.ascontiguousarray(batch.transpose(0, 2, 3, 1)) if channels_last else batch)
    unchanged = task.channels_last_outputs()

    def turned(name: str, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        turns = channels_last and maps.ndim == 4 and name not in unchanged
        return np.ascontiguousarray(maps.transpose(0, 3, 1, 2) if turns else maps, np.float32)

    return {name: turned(name, maps) for name, maps in outputs.items()}


def comparison_batch(card: ModelCard, images: Path | None = None) -> NDArray[np.float32]:
    """Make real inputs of a model by its own preprocessing, (N, 3, H, W).

    Args:
        card: The model.
        images: A folder, of which the first 16 images by name are taken whole; by default several windows of the
            photographs that ship with edgehr.

    Raises:
        EdgehrError: The folder holds no readable image.
    """
    return network_inputs(card, comparison_windows(images))


def comparison_windows(images: Path | None = None) -> list[ImageSample]:
    """Give those inputs as boxes in their images."""
    found = []
    files = read_images(image_files(images) if images else photographs(), read_image)
    for number, (path, image) in enumerate(islice(files, MAX_IMAGES)):
        height, width = image.shape[:2]
        windows = [(0.0, 0.0, 1.0, 1.0)] if images else _WINDOWS
        boxes = np.array(windows, np.float32) * np.array([width, height, width, height], np.float32)
        found.append(ImageSample.with_boxes(number, path, boxes))
    return found


def network_inputs(card: ModelCard, images: Iterable[ImageSample]) -> NDArray[np.float32]:
    """Make an input of every box of the images, and of the whole of images without boxes, (N, 3, H, W)."""
    task, batches = Task.for_card(card.with_layout("nchw")), []
    for image in images:
        pixels = image.read()
        whole = np.array([[0, 0, pixels.shape[1], pixels.shape[0]]], np.float32)
        batches.append(task.network_inputs(pixels, image.boxes if len(image.boxes) else whole))
    return np.concatenate(batches)


def describe(batch: Sized, images: Path | None) -> str:
    """Say what a batch of inputs, or a list of their boxes, is made of."""
    source = f"images of {images}" if images else "windows of the photographs shipped with edgehr"
    return f"{len(batch)} {source}"
