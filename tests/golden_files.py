"""Golden files: what reference implementations return for weights that are drawn from the names of their keys.

They are collected from the folder that EDGEHR_GOLDEN names, by their names: a further file is tried as soon as it is
there. Its name tells the family, its keys the width and the depth, its meta the input, its output the channels.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pytest
from safetensors.numpy import save_file

from edgehr.card import ModelCard, TaskSpec
from edgehr.tasks.classification.spec import ClassificationSpec
from edgehr.tasks.pose.spec import KeypointSet, TopDownSpec
from edgehr.tasks.segmentation.spec import SegmentationSpec
from edgehr.zoo import list_models
from tests.conftest import SHARED

NAMED = bool(os.environ.get("EDGEHR_GOLDEN"))
FOLDER = Path(os.environ["EDGEHR_GOLDEN"] if NAMED else SHARED / "golden")


@dataclass(frozen=True)
class Family:
    """Golden files of one kind of network.

    Attributes:
        pattern: Of a whole name, with the groups `width` and `depth` where the name tells them.
        architecture: As cards name it.
        task: Likewise.
    """

    pattern: str
    architecture: str
    task: str


HRNET = r"hrnet{}_w(?P<width>\d+)(_(?P<depth>small(_v[12])?))?_"
# The first that fits a name counts.
FAMILIES = (
    Family(r"lite_?hrnet.*", "lite_hrnet", "pose"),
    Family(HRNET.format("") + r"cls_.*", "hrnet_classifier", "classification"),
    Family(r"ocrnet_hr(?P<width>\d+)(?P<depth>s?)_.*", "hrnet_ocr", "segmentation"),
    Family(HRNET.format("v2") + r"ocr_.*", "hrnet_ocr", "segmentation"),
    Family(r"fcn_hr(?P<width>\d+)(?P<depth>s?)_.*", "hrnetv2", "segmentation"),
    Family(HRNET.format("v2") + r"seg_.*", "hrnetv2", "segmentation"),
    Family(HRNET.format("v2") + r"face_.*", "hrnetv2", "landmarks"),
    Family(HRNET.format("v2") + r".*hand.*", "hrnetv2", "pose"),
    Family(HRNET.format("") + r".*", "hrnet", "pose"),
)
DECODES = r"pose_decode.*"
# Of detectors, whose files hold steps of what they do as well as networks; tests take them by `matching`.
DETECTION = (
    r"fcos_post_.*",
    r"fcos_hrnetv2p_.*",
    r"faster_rpn_post_.*",
    r"faster_rpn_hrnetv2p_.*",
    r"faster_box_post_.*",
    r"(faster_roi|mask)_hrnetv2p_.*",
    r"cascade_(mask_)?hrnetv2p_.*",
    r"hrnetv2p_w\d+_neck_.*",
    r"mask_paste_.*",
    r"roi_align_.*",
    r"preprocess_.*",
)

DEPTHS = {4: "full", 2: "small_v2", 1: "small_v1"}  # by the bottlenecks of stage 1
NAMES_OF_DEPTHS = {None: "full", "": "full", "small": "small_v1", "s": "small_v2"}
LITE_DEPTHS = {2: 18, 3: 30}  # by the modules of the first stage


def collect(*architectures: str, task: str = "") -> list[Any]:
    """The files of some networks, or of all that edgehr has, to parametrize a test with."""
    found = [
        path
        for path in files()
        if (family := family_of(path.stem))
        and (not architectures or family.architecture in architectures)
        and task in ("", family.task)
    ]
    what = " ".join((*architectures, task)).strip() or "network"
    return parameters(found, f"there is no golden file of {what} in {FOLDER} (EDGEHR_GOLDEN or EDGEHR_SHARED)")


def decodes() -> list[Any]:
    """The files of heatmaps and what a reference reads from them, to parametrize a test with."""
    return matching(DECODES)


def matching(pattern: str) -> list[Any]:
    """The files of one of the patterns in `DETECTION`, or of decoded heatmaps, to parametrize a test with."""
    found = [path for path in files() if re.fullmatch(pattern, path.stem)]
    return parameters(found, f"there is no golden file {pattern} in {FOLDER} (EDGEHR_GOLDEN or EDGEHR_SHARED)")


def load(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a file says of itself, and its arrays."""
    with np.load(path) as data:
        return json.loads(str(data["meta"])), {name: data[name] for name in data.files if name != "meta"}


def detector_card(path: Path) -> ModelCard:
    """The card of the detector that a file of raw outputs is of, at the size of its input."""
    kind, width = re.fullmatch(r"(.*)_hrnetv2p_w(\d+)_.*", path.stem).groups()  # type: ignore[union-attr]
    start = {"fcos": "fcos-", "mask": "mask-rcnn-", "cascade": "cascade-rcnn-", "cascade_mask": "cascade-mask-rcnn-"}
    begins = f"{start.get(kind, 'faster-rcnn-')}hrnetv2p-w{width}-"
    meta, _ = load(path)
    return next(card for card in list_models() if card.name.startswith(begins)).with_size(*meta["input_shape"][2:])


def joined_levels(data: Mapping[str, np.ndarray], numbers: range, columns: int) -> np.ndarray:
    """The outputs of these numbers, (1, k * columns, h, w) of each level, as (A, columns)."""
    return np.concatenate([data[f"output{n}"][0].transpose(1, 2, 0).reshape(-1, columns) for n in numbers])


def near(found: Any, wanted: np.ndarray, share: float = 2e-5) -> bool:
    """Whether no value is further off than that share of the largest one."""
    return bool(np.abs(np.asarray(found) - wanted).max() <= share * np.abs(wanted).max())


def save_tensors(path: Path, meta: Mapping[str, Any], folder: Path) -> Path:
    """Write the checkpoint of a file, with keys as its origin names them."""
    tensors = {key: np.asarray(value) for key, value in fill(path).fill(meta["keys"]).items()}
    for key, factor in meta.get("scale", {}).items():
        tensors[key] = np.asarray(tensors[key] * np.float32(factor))
    checkpoint = folder / f"{path.stem}.safetensors"
    save_file(tensors, checkpoint)
    return checkpoint


def others() -> list[Any]:
    """The files that no test looks at, to parametrize one with that fails."""
    tried = (DECODES, *DETECTION)
    found = [
        path for path in files() if not family_of(path.stem) and not any(re.fullmatch(p, path.stem) for p in tried)
    ]
    return parameters(found, f"all golden files in {FOLDER} are tried") if files() or not NAMED else [FOLDER]


def files() -> list[Path]:
    return sorted(FOLDER.glob("*.npz"))


def parameters(found: list[Path], reason: str) -> list[Any]:
    if not found:
        return [pytest.param(FOLDER, id="none", marks=pytest.mark.skip(reason))]
    return [pytest.param(path, id=path.stem) for path in found]


def family_of(name: str) -> Family | None:
    return next((family for family in FAMILIES if re.fullmatch(family.pattern, name)), None)


@dataclass(frozen=True)
class GoldenFile:
    """A file of a network.

    Attributes:
        path: Where it is.
        meta: What it says of itself: `keys` with their shapes, `input_seed`, `input_shape`.
        expected: What the reference returns, (N, channels, ...).
        card: The network, as a card of edgehr's describes it.
    """

    path: Path
    meta: Mapping[str, Any]
    expected: np.ndarray
    card: ModelCard

    @cached_property
    def image(self) -> np.ndarray:
        """The network's input, (N, 3, H, W)."""
        image: np.ndarray = fill(self.path).image(self.meta["input_seed"], self.meta["input_shape"])
        return image

    def save_weights(self, folder: Path) -> Path:
        """Write the checkpoint, with keys as its origin names them."""
        return save_tensors(self.path, self.meta, folder)

    def difference(self, outputs: Mapping[str, np.ndarray]) -> float:
        """The largest difference of what a runtime returned, as a share of the largest value."""
        (found,) = outputs.values()
        if self.expected.ndim == 4 and found.shape != self.expected.shape:  # TFLite's maps have channels last
            found = found.transpose(0, 3, 1, 2)
        assert found.shape == self.expected.shape
        return float(np.abs(found - self.expected).max() / np.abs(self.expected).max())


def read(path: Path) -> GoldenFile:
    """Read a file; one that makes no sense fails the test in one line that says why."""
    try:
        with np.load(path) as data:
            meta, expected = json.loads(str(data["meta"])), data["output0"]
        family = family_of(path.stem)
        assert family is not None, "no family has this name"
        card = _card(family, path.stem, meta, expected.shape[1])
    except (KeyError, ValueError, OSError, StopIteration, AssertionError, BadZipFile) as error:
        pytest.fail(f"{path}: not a golden file of a network: {type(error).__name__} {error}", pytrace=False)
    return GoldenFile(path, meta, expected, card)


def fill(path: Path) -> ModuleType:
    """The module that draws weights and inputs, from beside a file or from the shared folder."""
    scripts = [folder / "fill.py" for folder in (path.parent, SHARED / "golden") if (folder / "fill.py").is_file()]
    if not scripts:
        pytest.fail(f"{path}: there is no fill.py beside it, which draws its weights", pytrace=False)
    spec = importlib.util.spec_from_file_location("fill", scripts[0])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _card(family: Family, name: str, meta: Mapping[str, Any], outputs: int) -> ModelCard:
    keys: Mapping[str, list[int]] = meta["keys"]
    values = _lite_hrnet(keys) if family.architecture == "lite_hrnet" else _hrnet(family, name, meta)
    alike = [card for card in list_models() if (card.task, card.architecture) == (family.task, family.architecture)]
    card = alike[0].with_size(*meta["input_shape"][2:])
    parameters = {**{key: "full" for key in card.parameters if key == "depth"}, **values}
    return replace(card, parameters=parameters, spec=with_outputs(card.spec, outputs))


def _hrnet(family: Family, name: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    keys: Mapping[str, list[int]] = meta["keys"]
    width = next(shape[0] for key, shape in keys.items() if key.endswith("stage2.0.branches.0.0.conv1.weight"))
    depth = DEPTHS[_count(keys, r"layer1\.(\d+)\.conv1\.weight")]
    said = re.fullmatch(family.pattern, name)
    assert said is not None
    # The narrowest branch of "W18 small v1" has 16 channels.
    called = {16: 18}.get(width, width) if depth == "small_v1" else width
    assert int(said["width"]) == called, f"its name says W{said['width']}, its keys W{called}"
    named = NAMES_OF_DEPTHS.get(said["depth"], said["depth"])
    assert named == depth, f"its name says {named}, its keys {depth}"
    values = {"width": width, "depth": depth}
    if family.architecture == "hrnetv2":
        values["upsampling"] = meta.get("upsampling", "nearest" if lacks_upsampling(name) else "bilinear")
        values["padding"] = meta.get("padding", "symmetric")
    if family.architecture in ("hrnetv2", "hrnet_ocr"):
        values["align_corners"] = meta.get("align_corners", False)
    return values


def lacks_upsampling(name: str) -> bool:
    """Tell the files that were computed without the `upsample` entry that mmpose's configs for faces have."""
    return "_face_mmpose" in name


def _lite_hrnet(keys: Mapping[str, list[int]]) -> dict[str, Any]:
    lite = any("cross_resolution_weighting" in key for key in keys)
    branch = next(shape[0] for key, shape in keys.items() if key.endswith("transition0.0.2.weight"))
    return {
        "depth": LITE_DEPTHS[_count(keys, r"stage0\.(\d+)\.")],
        "variant": "lite" if lite else {40: "wider_naive", 30: "naive"}[branch],
    }


def _count(keys: Mapping[str, list[int]], pattern: str) -> int:
    return len({found[1] for key in keys if (found := re.search(pattern, key))})


def with_outputs(spec: TaskSpec, count: int) -> TaskSpec:
    """A card's part of that many classes or points; where it is another number, these are numbered."""
    if spec.num_outputs == count:
        return spec
    names = tuple(f"n{number}" for number in range(count))
    if isinstance(spec, ClassificationSpec):
        return ClassificationSpec(names)
    if isinstance(spec, SegmentationSpec):
        return SegmentationSpec(names, tuple((number % 256, number // 256, 0) for number in range(count)))
    assert isinstance(spec, TopDownSpec)
    return type(spec)(KeypointSet(names))
