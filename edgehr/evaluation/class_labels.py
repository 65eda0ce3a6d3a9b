"""Images whose class is known: folders of classes, or a file of labels beside a folder of images.

A class is named as the model's card names it, or by its WordNet id (synset). Labels may be numbers, too: from 0 on in
the card's order, as in Caffe's `val.txt`; or, for a whole list that numbers ImageNet's classes from 1 on, in the order
of ILSVRC's development kit, which is another one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from edgehr.errors import EdgehrError
from edgehr.evaluation.annotations import images_beside
from edgehr.evaluation.dataset import file_in
from edgehr.notices import warn_once
from edgehr.tasks.classification.spec import ClassificationSpec, shortened
from edgehr.tasks.image.reading import IMAGE_SUFFIXES, image_files

Labeled = list[tuple[Path, int]]

# An image's name before its label: `dog 1.jpg 207`, `dog.jpg,n02099601`; Kaggle's list leaves the suffix out and goes
# on behind the label with boxes.
_NAMED = re.compile(rf"(.*(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))}))[\s,;]+(\S.*)", re.IGNORECASE)
_KAGGLE = re.compile(r"(ILSVRC2012_\w+_\d+),(n\d{8})\b.*")
_KAGGLE_HEADER = "ImageId,PredictionString"
_IMAGENET_CLASSES = 1000
_DEVKIT_ORDER = Path(__file__).parent / "data" / "ilsvrc2012_devkit_order.txt"


def read_class_labels(source: Path, images: Path | None, spec: ClassificationSpec, model: str) -> Labeled:
    """Read what the class of each image is.

    Args:
        source: A folder with one folder a class (ImageNet's `val` sorted by synset), or a text file of labels: a label
            a line for the images of the folder in the order of their names, or `IMAGE LABEL` a line.
        images: The folder of the images of a file of labels; by default `images/` beside it, or else its own folder.
        spec: The model's classes.
        model: Its name, for messages.

    Returns:
        Each image with the number of its class.

    Raises:
        EdgehrError: There is no such file or folder, a folder or label is no class, there are more or fewer labels than
            images, or an image is missing.
    """
    names = _Names(spec, model)
    if source.is_dir():
        if images is not None and images.resolve() != source.resolve():
            raise EdgehrError(f"{source}: class folders hold their images themselves: leave {images} out")
        return _from_folders(source, names)
    return _from_labels(source, images or images_beside(source), names)


@dataclass(frozen=True)
class _Names:
    """The classes of a model by what they are called."""

    spec: ClassificationSpec
    model: str

    def find(self, name: str) -> int | None:
        """Find a class by its name, its synset, or its name as folders have it, `great_white_shark`."""
        return self._numbers.get(name, self._numbers.get(name.replace("_", " ")))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        names = (self.spec.synsets, self.spec.classes)
        return {name: number for called in names for number, name in enumerate(called)}

    @property
    def wanted(self) -> str:
        """Say how a class may be called."""
        ids = f"WordNet id ({self.spec.synsets[0]}) or " if self.spec.synsets else ""
        return f"{ids}name ({shortened(self.spec.classes)})"


def _from_folders(source: Path, names: _Names) -> Labeled:
    try:
        folders = sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise EdgehrError(f"{source}: cannot read it: {error.strerror}") from None
    if not folders:
        raise EdgehrError(
            f"{source}: holds no class folders; for images in one folder, give a file of labels in its place, and the "
            "folder as its images (--annotations LABELS --images DIR)"
        )
    classes = {folder: names.find(folder.name) for folder in folders}
    strangers = [folder.name for folder, number in classes.items() if number is None]
    if strangers:
        raise EdgehrError(
            f"{source}: {len(strangers)} of {len(folders)} folders are no class of {names.model}, {strangers[0]!r} for "
            f"one: a folder is named by its class's {names.wanted}"
        )
    found: Labeled = []
    for folder, number in classes.items():
        try:
            found += [(path, number) for path in image_files(folder) if number is not None]
        except EdgehrError as error:
            warn_once("evaluation", f"{error}; the class is left out")
    if not found:
        raise EdgehrError(f"{source}: its {len(folders)} class folders hold no images ({', '.join(IMAGE_SUFFIXES)})")
    return found


def _from_labels(source: Path, folder: Path, names: _Names) -> Labeled:
    lines = _lines(source)
    matched = [(number, *_split(line)) for number, line in lines]
    named = [name is not None for _, name, _ in matched]
    if all(named):
        class_ids = _class_ids(source, matched, names, counted_from_1=False)
        return list(zip(_named_files(source, folder, matched), class_ids, strict=True))
    if any(named):
        number, line = lines[named.index(not named[0])]
        raise EdgehrError(
            f"{source}: line {number}: some lines name an image before its label, others do not: {line!r}"
        )
    class_ids = _class_ids(source, matched, names, counted_from_1=True)
    files = image_files(folder)
    if len(files) != len(class_ids):
        raise EdgehrError(
            f"{source}: has {len(class_ids)} labels, but {folder} holds {len(files)} images; without names, labels are "
            "one a line for the images in the order of their names"
        )
    return list(zip(files, class_ids, strict=True))


def _lines(source: Path) -> list[tuple[int, str]]:
    """Read the lines that hold something, with their numbers."""
    try:
        content = source.read_bytes()
    except FileNotFoundError:
        raise EdgehrError(f"{source}: no such file of labels or folder of class folders") from None
    except OSError as error:
        raise EdgehrError(f"{source}: cannot read it: {error.strerror}") from None
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"  # as PowerShell writes it
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise EdgehrError(f"{source}: not a text file of labels, one a line") from None
    if text.lstrip()[:1] in ("{", "["):
        raise EdgehrError(f"{source}: is JSON; labels come one a line: LABEL, or IMAGE LABEL")
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    found = [(number, line) for number, line in lines if line and line != _KAGGLE_HEADER]
    if not found:
        raise EdgehrError(f"{source}: holds no labels")
    return found


def _split(line: str) -> tuple[str | None, str]:
    """Split a line into the image's name, if it has one, and the label."""
    match = _KAGGLE.fullmatch(line) or _NAMED.fullmatch(line)
    return (match[1], match[2].strip()) if match else (None, line)


def _named_files(source: Path, folder: Path, matched: list[tuple[int, str | None, str]]) -> Iterator[Path]:
    """Find the image of each line; Kaggle's list leaves the suffix out."""
    for number, name, _ in matched:
        path = file_in(folder, str(name))
        candidates = [path] if path.suffix else [path.with_suffix(suffix) for suffix in (".JPEG", *IMAGE_SUFFIXES)]
        # Not Path.is_file, which raises OSError for a name that is too long.
        found = next((candidate for candidate in candidates if os.path.isfile(candidate)), None)
        if found is None:
            raise EdgehrError(f"{candidates[0]}: {source.name} names this image in line {number}, but it is not there")
        yield found


def _class_ids(
    source: Path, matched: list[tuple[int, str | None, str]], names: _Names, *, counted_from_1: bool
) -> list[int]:
    """Find the class of each label; a list whose labels are all numbers is read as such."""
    found = [names.find(label) for _, _, label in matched]
    if None not in found:
        return [number for number in found if number is not None]
    if all(re.fullmatch(r"\d+", label) for _, _, label in matched):
        return _numbered(source, [(line, int(label)) for line, _, label in matched], names, counted_from_1)
    line, _, label = matched[found.index(None)]
    raise EdgehrError(f"{source}: line {line}: {label!r} is no class of {names.model}: a label is a {names.wanted}")


def _numbered(source: Path, labels: list[tuple[int, int]], names: _Names, counted_from_1: bool) -> list[int]:
    """Read labels that are numbers."""
    count, values = len(names.spec.classes), [value for _, value in labels]
    line, largest = max(labels, key=lambda label: label[1])
    if counted_from_1 and min(values) > 0 and count == _IMAGENET_CLASSES and set(names.spec.synsets) == set(_devkit()):
        # The development kit's list has no names. The order in which it numbers the classes is its own.
        if largest < count:
            raise EdgehrError(
                f"{source}: numbers without 0 and without {count} may count from 0 or, in another order, from 1: write "
                f"{names.wanted} in their place, or IMAGE NUMBER with numbers from 0"
            )
        if largest == count:
            return [names.spec.synsets.index(_devkit()[value - 1]) for value in values]
    if largest >= count:
        hint = ": do they count from 1? Take 1 off" if largest == count and min(values) > 0 else ""
        raise EdgehrError(
            f"{source}: line {line}: label {largest} is beyond the {count} classes of {names.model}, which count from "
            f"0 to {count - 1}{hint}"
        )
    return values


@cache
def _devkit() -> tuple[str, ...]:
    """Read the WordNet ids in the order in which ILSVRC's development kit numbers the classes, from 1 on."""
    return tuple(_DEVKIT_ORDER.read_text(encoding="ascii").split())
