"""Calibration sets: real crops, through the very preprocessing that the runtime uses."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.dataset.finder import OpenFinder
from edgehr.calib.dataset.frames import read_frames
from edgehr.calib.dataset.looking import Crop, Progress, crop_box
from edgehr.calib.dataset.selection import select_diverse
from edgehr.calib.dataset.sources import collect_candidates
from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.files import sha256_file
from edgehr.runtimes.artifact import Artifact
from edgehr.spread import Crew, OwnProcess
from edgehr.tasks.base import Task
from edgehr.tasks.image.reading import Image, read_image

_LOG = logging.getLogger("edgehr.calib")

MAX_CROPS = 300
# Below this the range of an activation is that of a few pictures.
MIN_CROPS = 32
MANIFEST_SCHEMA = 1


@dataclass(frozen=True)
class CalibrationSet:
    """Holds the crops that activations are calibrated on.

    Attributes:
        source: The folder, annotation file or video.
        crops: Those of images in the order of their selection, those of a video in the order of time.
        found_by: Where their boxes are from.
        fingerprints: Fingerprints (`edgehr.evaluation.overlap`) of the images they are of.
        images: The folder of the annotated images, where it was given.
    """

    source: Path
    crops: tuple[Crop, ...]
    found_by: str = ""
    fingerprints: tuple[str, ...] = ()
    images: Path | None = None

    @classmethod
    def of(
        cls,
        source: Path,
        images: Path | None = None,
        max_crops: int = MAX_CROPS,
        open_finder: OpenFinder | None = None,
        progress: Progress | None = None,
        card: ModelCard | None = None,
        crew: Crew | None = None,
    ) -> CalibrationSet:
        """Select crops that are unlike each other; the same source gives the same crops.

        Args:
            source: A folder of images, which are taken whole unless there is a finder; a COCO keypoint file, whose
                people are taken by their boxes; or a video, in frames of which the finder finds them.
            images: The folder of the annotated images; by default `images/` beside the file, or the file's own folder.
            max_crops: The most crops to take.
            open_finder: Opens what finds people, see `edgehr.calib.dataset.finder`.
            progress: Called with the images looked at and how many there are.
            card: The model that the set is for: one for face landmarks takes the faces of an annotation file, not the
                people.
            crew: Who looks at images, with equal results; this process, by default. A video is looked through by this
                process anyway.

        Raises:
            EdgehrError: There is no such set, an image of it cannot be read, or it holds too few different crops.
        """
        wanted = max(max_crops, MIN_CROPS)
        found = collect_candidates(source, images, wanted, open_finder, progress, card, crew or OwnProcess())
        selected = select_diverse(found.descriptors, found.ranks, wanted)
        if not found.searched:
            raise EdgehrError(f"{source}: no frame of this video can be decoded")
        if not found.crops:
            raise EdgehrError(
                f"{source}: nobody was found in any of its {found.searched} images or frames that were looked at"
            )
        if len(selected) < MIN_CROPS:
            raise EdgehrError(
                f"{source}: holds {len(selected)} different crops ({len(found.crops)} in {found.searched} images or "
                f"frames that were looked at), calibration needs at least {MIN_CROPS}: add others, near-equal ones do "
                "not count"
            )
        selected = selected[:max_crops]
        if found.crops[0].frame is not None:  # a video is read from its beginning, once
            selected.sort()
        fingerprints = dict.fromkeys(found.fingerprints[index] for index in selected)
        crops = tuple(found.crops[index] for index in selected)
        _LOG.info(
            "%s: chose %d of %d crops, in %d images or frames, by how little they are like each other",
            source,
            len(crops),
            len(found.crops),
            found.searched,
        )
        return cls(source, crops, found.found_by, tuple(filter(None, fingerprints)), images)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """List the crops: name and SHA-256 of each one's file, frame and box, and where the boxes are from."""
        hashes = {path: sha256_file(path) for path in {crop.image for crop in self.crops}}
        crops = [
            {
                "image": crop.image.name,
                "sha256": hashes[crop.image],
                **({} if crop.frame is None else {"frame": crop.frame}),
                "box": crop.box,
            }
            for crop in self.crops
        ]
        return {"schema": MANIFEST_SCHEMA, "boxes": self.found_by, "crops": crops}

    @property
    def sha256(self) -> str:
        """Compute the SHA-256 of the manifest as it is written to a file."""
        return hashlib.sha256(self.manifest_file()).hexdigest()

    @staticmethod
    def manifest_path(artifact: Path) -> Path:
        """Name the file of the manifest beside an artifact."""
        return artifact.with_name(f"{artifact.name}.calibration.json")

    def manifest_file(self) -> bytes:
        """Return the manifest as it is written to a file."""
        return (json.dumps(self.manifest, indent=1) + "\n").encode()

    def recorded(self, artifact: Artifact) -> Artifact:
        """Return the description of a model with this set recorded as what it was calibrated on."""
        return replace(artifact, calibration_sha256=self.sha256, calibration_images=self.fingerprints)

    def batches(self, card: ModelCard, size: int = 1) -> Iterator[NDArray[np.float32]]:
        """Give the crops as inputs of a model.

        Args:
            card: The model, in the layout of the artifact.
            size: Its batch, which is filled with one crop, so that ranges do not depend on it.

        Raises:
            EdgehrError: A file is not what it was when the crops were selected.
        """
        task = Task.for_card(card)
        for crop, pixels in self.pictures():
            box = np.array([crop_box(crop, pixels)], np.float32)
            yield np.repeat(task.network_inputs(pixels, box), size, axis=0)

    def pictures(self) -> Iterator[tuple[Crop, Image]]:
        """Give each crop with the (H, W, 3) BGR image that it is of."""
        if self.crops[0].frame is None:
            yield from ((crop, read_image(crop.image, crop.size)) for crop in self.crops)
            return
        rest = list(self.crops)
        for number, image in read_frames(self.source, [crop.frame for crop in rest if crop.frame is not None]):
            while rest and rest[0].frame == number:
                yield rest.pop(0), image
        if rest:
            raise EdgehrError(f"{self.source}: frame {rest[0].frame} of this video cannot be decoded any more")

    def __str__(self) -> str:
        images = len({(crop.image, crop.frame) for crop in self.crops})
        kind = "images" if self.crops[0].frame is None else "frames"
        return f"{len(self.crops)} crops of {images} {kind} of {self.source.name}"
