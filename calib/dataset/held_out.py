"""A check that no image to evaluate on is calibrated on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import Annotations
from edgehr.evaluation.overlap import among, file_fingerprint
from edgehr.files import sha256_file
from edgehr.tasks.image.reading import image_files, read_images


def refuse_held_out(calibration: CalibrationSet, held_out: Path) -> None:
    """Make sure that no image of a calibration set is among those held out for evaluation.

    They are compared by the SHA-256 of the file, and by their fingerprint, which finds re-encoded and resized copies.

    Args:
        calibration: The set.
        held_out: A folder of images, or a COCO keypoint file with its images beside it.

    Raises:
        EdgehrError: Some are, or an image cannot be read or is of another size than its annotations are for.
    """
    if held_out.suffix.lower() == ".json":
        annotations = Annotations.read(held_out)
        samples = annotations.ground_truth(annotations.images_beside)
        prints = {sample.path: file_fingerprint(sample.path, sample.size) for sample in samples}
    else:
        prints = dict(read_images(image_files(held_out), file_fingerprint))
    refuse_images(calibration, prints, held_out)


def refuse_images(calibration: CalibrationSet, prints: Mapping[Path, str], held_out: Path) -> None:
    """Make sure that no image of a calibration set is among these, whose fingerprints are known.

    Args:
        calibration: The set.
        prints: Fingerprint of each image by its file.
        held_out: Where they are from, for messages.

    Raises:
        EdgehrError: Some are.
    """
    paths = list(prints)
    hashes = {crop["sha256"] for crop in calibration.manifest["crops"]}
    same = {index for index, path in enumerate(paths) if sha256_file(path) in hashes}
    same |= set(among(list(prints.values()), calibration.fingerprints))
    if same:
        raise EdgehrError(
            f"{calibration.source}: {len(same)} of the {len(paths)} images of {held_out} are in this calibration set, "
            f"{paths[min(same)].name} is the first: calibrate on others, or what is evaluated says too much"
        )
