"""Forms of output: a Parquet table, and a COCO file. Both are written piece by piece, with little in memory."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from edgehr.card import ModelCard
from edgehr.dependencies import loading_native, unusable
from edgehr.errors import EdgehrError
from edgehr.live.sources import Frame
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.spec import COCO_CATEGORIES, DetectionSpec
from edgehr.tasks.landmarks.landmarks import Landmarks
from edgehr.tasks.landmarks.spec import LandmarksSpec
from edgehr.tasks.pose.poses import KEYPOINT_THRESHOLD, Poses
from edgehr.tasks.pose.spec import PoseSpec
from edgehr.tasks.segmentation.segmentation import Segmentation
from edgehr.tasks.segmentation.spec import BACKGROUND, SegmentationSpec

Record = dict[str, Any]
Records = Callable[[], Iterable[Record]]

ROW_GROUP = 100_000
# What is known of a picture, and its type; only those of a video have a video, a frame and a time.
_PICTURE: dict[str, type] = {"file_name": str, "video": str, "frame": int, "time_s": float, "width": int, "height": int}


class Form(ABC):
    """Writes records as one kind of output.

    Attributes:
        unit: What it has several of.
    """

    unit: ClassVar[str]

    @abstractmethod
    def entries(self, result: Any) -> list[dict[str, Any]]:
        """Say what was found in a picture, in plain JSON types."""

    @abstractmethod
    def write(self, path: Path, records: Records, about: Mapping[str, str]) -> None:
        """Write a file.

        Args:
            path: The file.
            records: Gives the pictures in order, as `record` makes them, as often as it is called.
            about: What they were found by.
        """


def record(frame: Frame, video: str | None, result: Any, form: Form) -> Record:
    """Describe a picture and what was found in it, in plain JSON types."""
    height, width = frame.image.shape[:2]
    return {
        "file_name": frame.name if video is None else f"{video}-{frame.number:06d}.jpg",
        "video": video,
        "frame": None if video is None else frame.number,
        "time_s": None if frame.position_s is None else round(frame.position_s, 4),
        "width": width,
        "height": height,
        "found": form.entries(result),
    }


def form_of(path: Path, card: ModelCard) -> Form:
    """Return the form that a file's name asks for.

    Raises:
        MissingDependencyError: A Parquet table is asked for, and pyarrow is not installed.
        EdgehrError: The name asks for none, or results of the model have no such form.
    """
    if path.suffix == ".parquet":
        _pyarrow()
        return ParquetForm()
    if path.suffix == ".json":
        return CocoForm(card)
    raise EdgehrError(f"{path}: the name must end in .parquet, for a table, or in .json, for a COCO file")


class ParquetForm(Form):
    """Writes a table with the rows that `to_rows` of results gives; a picture without any has one that is empty."""

    unit = "rows"

    def entries(self, result: Any) -> list[dict[str, Any]]:
        """Return the rows of a result, without what is known of the picture."""
        return [{k: v for k, v in row.items() if k not in ("frame", "time_s")} for row in result.to_rows()]

    def write(self, path: Path, records: Records, about: Mapping[str, str]) -> None:
        """Write the table; see `Form.write`."""
        pyarrow, parquet = _pyarrow()
        kinds = dict(_PICTURE)
        for row in _rows(records()):
            for name, value in row.items():
                if value is not None and kinds.get(name) is not float:
                    kinds[name] = type(value)
        types = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
        fields = [pyarrow.field(name, types[kind]) for name, kind in kinds.items()]
        schema = pyarrow.schema(fields, {f"edgehr.{name}": text for name, text in about.items()})
        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            group: list[dict[str, Any]] = []
            for row in _rows(records()):
                group.append(row)
                if len(group) == ROW_GROUP:
                    writer.write_table(pyarrow.Table.from_pylist(group, schema))
                    group = []
            writer.write_table(pyarrow.Table.from_pylist(group, schema))


def _rows(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    for each in records:
        picture = {name: value for name, value in each.items() if name != "found"}
        yield from ({**picture, **row} for row in each["found"] or [{}])


def _pyarrow() -> tuple[Any, Any]:
    try:
        with loading_native():
            import pyarrow
            import pyarrow.parquet
    except Exception as error:
        raise unusable("pyarrow", "pyarrow", "parquet", error) from error
    return pyarrow, pyarrow.parquet


class CocoForm(Form):
    """Writes a COCO file: images, annotations and categories, for programs that train on such or show them.

    Args:
        card: The model, whose classes or keypoints are the categories.

    Raises:
        EdgehrError: Its results have no place in such a file.
    """

    unit = "annotations"

    def __init__(self, card: ModelCard) -> None:
        self.categories = coco_categories(card)
        self._ids = {category["name"]: category["id"] for category in self.categories}

    def entries(self, result: Any) -> list[dict[str, Any]]:
        """Return the annotations of a result, without ids."""
        if isinstance(result, Poses):
            return [_with_visibility(entry) for entry in result.to_coco(0, 1)]
        found: list[dict[str, Any]] = result.to_coco(0, self._ids) if len(result) else []
        return [{**entry, "area": area, "iscrowd": 0} for entry, area in zip(found, _areas(result, found), strict=True)]

    def write(self, path: Path, records: Records, about: Mapping[str, str]) -> None:
        """Write the file; see `Form.write`."""
        with path.open("w", encoding="utf-8") as file:
            file.write('{"info": ' + json.dumps({"description": "found by edgehr", **about}))
            file.write(',\n"categories": ' + json.dumps(self.categories))
            for name, items in (("images", _images(records())), ("annotations", _annotations(records()))):
                file.write(f',\n"{name}": [')
                for number, item in enumerate(items):
                    file.write(",\n" if number else "\n")
                    file.write(json.dumps(item, allow_nan=False, separators=(",", ":")))
                file.write("]")
            file.write("}\n")


def _images(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    for number, each in enumerate(records, 1):
        yield {"id": number, **{k: v for k, v in each.items() if k != "found" and v is not None}}


def _annotations(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    count = 0
    for number, each in enumerate(records, 1):
        for entry in each["found"]:
            count += 1
            yield {**entry, "id": count, "image_id": number}


def coco_categories(card: ModelCard) -> list[dict[str, Any]]:
    """List the categories of a model's results: COCO's own ids where all classes are COCO's, else counted from 1.

    Raises:
        EdgehrError: There is no place in a COCO file for what the model finds.
    """
    spec = card.spec
    if isinstance(spec, (PoseSpec, LandmarksSpec)):
        terms = Landmarks.terms if isinstance(spec, LandmarksSpec) else Poses.terms
        skeleton = [[a + 1, b + 1] for a, b in spec.keypoints.skeleton]
        return [{"id": 1, "name": terms.one, "keypoints": list(spec.keypoints.names), "skeleton": skeleton}]
    if not isinstance(spec, (DetectionSpec, SegmentationSpec)):
        raise EdgehrError(f"{card.name}: a COCO file has no place for results of {card.task}: name a .parquet file")
    names = [name for name in spec.classes if name != BACKGROUND]
    coco = all(name in COCO_CATEGORIES for name in names)
    return [{"id": COCO_CATEGORIES[name] if coco else i, "name": name} for i, name in enumerate(names, 1)]


def _with_visibility(entry: dict[str, Any]) -> dict[str, Any]:
    """Turn a COCO result of a pose into an annotation: a keypoint is visible (2) or not labeled (0), and has no score.

    The scores stand beside it. The area is that of the box.
    """
    points = entry["keypoints"]
    scores = points[2::3]
    seen = [score > KEYPOINT_THRESHOLD for score in scores]
    labeled = [
        value
        for number, here in enumerate(seen)
        for value in ((points[3 * number], points[3 * number + 1], 2) if here else (0, 0, 0))
    ]
    _, _, width, height = entry["bbox"]
    known = {"keypoints": labeled, "num_keypoints": sum(seen), "keypoint_scores": scores}
    return {**entry, **known, "area": width * height, "iscrowd": 0}


def _areas(result: Detections | Segmentation, found: list[dict[str, Any]]) -> list[float]:
    """Give the area of each annotation in square pixels: of its mask, or else of its box."""
    if isinstance(result, Segmentation):
        return [int(result.pixels[result.classes.index(name)]) for name in result.present]
    if result.masks is not None:
        return [int(area) for area in result.masks.areas]
    return [entry["bbox"][2] * entry["bbox"][3] for entry in found]
