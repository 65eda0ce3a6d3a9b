"""The cards of classifiers against the published tables, and ImageNet's classes."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file as save_torch

from edgehr.card import ModelCard
from edgehr.errors import CheckpointError
from edgehr.evaluation.class_labels import _devkit
from edgehr.models import build
from edgehr.models.runtime import TorchRuntime
from edgehr.tasks.base import Task
from edgehr.tasks.classification.spec import ClassificationSpec
from edgehr.zoo import get_card, list_models
from edgehr.zoo.classifiers import imagenet_classes
from tests import golden_files


def cards() -> list[ModelCard]:
    return [card for card in list_models("image") if card.task == "classification"]


def test_every_published_classifier_has_its_card(shared: Path) -> None:
    with (shared / "zoo" / "mm_zoo_other.tsv").open(newline="") as file:
        published = [row for row in csv.DictReader(file, delimiter="\t") if row["task"] == "Image Classification"]
    known = {(card.weights.url, card.input.height): card for card in cards()}
    seen = set()
    for row in published:
        timm = row["source"].startswith("timm")
        url = f"{row['url']}/resolve/main/model.safetensors" if timm else row["url"]
        size = int(found[1]) if (found := re.search(r"img=(\d+)", row["extra"])) else 224
        card = known[url, size]
        seen.add(card.name)
        top1, top5 = (float(number) for number in re.findall(r"=([\d.]+)", row["metric"]))
        assert card.weights.metric == f"ImageNet-1k val: top-1 {top1:g}, top-5 {top5:g}"
        width = re.match(r"hrnet[-_]w(\d+)", row["name"])
        assert width is not None
        small = "small_v2" if "small_v2" in row["name"] else "small_v1" if "small" in row["name"] else "full"
        # The narrowest branch of "W18 small v1" has 16 channels.
        assert card.parameters == {"width": 16 if small == "small_v1" else int(width[1]), "depth": small}
        crop = re.search(r"crop_pct=([\d.]+); interp=(\w+)", row["extra"])
        assert (card.spec.crop_fraction, card.spec.interpolation) == (
            (float(crop[1]), crop[2]) if crop else (0.875, "bilinear")
        )
        if not timm:
            assert card.weights.file == row["file"]
            assert f"-{card.weights.sha256}.pth" in row["file"]
    assert len(seen) == 25
    official = {card.name for card in cards()} - seen
    assert len(official) == 4
    assert all("-official-" in name for name in official)


def test_files_of_the_cache_do_not_get_into_each_other_s_way() -> None:
    files: dict[str, str] = {}
    for card in cards():
        assert files.setdefault(card.weights.file, card.weights.url) == card.weights.url


def test_the_classes_are_imagenet_s() -> None:
    names, synsets = imagenet_classes()
    assert len(set(names)) == len(set(synsets)) == 1000
    assert list(synsets) == sorted(synsets)
    known = {
        0: "tench",
        207: "golden retriever",
        281: "tabby",
        517: "crane",
        639: "maillot tank suit",
        999: "toilet tissue",
    }
    assert {number: names[number] for number in known} == known
    assert synsets[207] == "n02099601"
    spec = get_card("hrnet-w64-ms-imagenet-224x224").spec
    assert (spec.classes, spec.synsets) == (names, synsets)


def test_the_development_kit_numbers_the_same_classes_in_another_order() -> None:
    names, synsets = imagenet_classes()
    assert sorted(_devkit()) == list(synsets)
    first = [names[synsets.index(synset)] for synset in _devkit()[:3]]
    assert first == ["kit fox", "English setter", "Siberian husky"]
    assert names[synsets.index(_devkit()[999])] == "dumbbell"


def test_networks_have_as_many_parameters_as_is_published(shared: Path) -> None:
    with (shared / "zoo" / "mm_zoo_other.tsv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["task"] == "Image Classification"]
    counts: dict[tuple[int, str], float] = {}
    for card in cards():
        key = (card.parameters["width"], card.parameters["depth"])
        if key not in counts:
            with torch.device("meta"):
                counts[key] = sum(tensor.numel() for tensor in build(card).parameters()) / 1e6
    assert len(counts) == 9
    by_address = {card.weights.url.removesuffix("/resolve/main/model.safetensors"): card for card in cards()}
    for row in rows:
        published = re.search(r"params=([\d.]+)M", row["extra"]) or re.search(r"Parameters=(\d+)", row["extra"])
        assert published is not None
        millions = float(published[1]) if "params" in row["extra"] else int(published[1]) / 1e6
        card = by_address[row["url"]]
        assert counts[card.parameters["width"], card.parameters["depth"]] == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize("path", golden_files.collect("hrnet_classifier"))
def test_golden_classifiers_name_what_the_reference_does(path: Path, tmp_path: Path) -> None:
    """From the checkpoint as its origin names it to classifications."""
    golden = golden_files.read(path)
    with TorchRuntime(golden.card, golden.save_weights(tmp_path)) as runtime:
        results = Task.for_card(golden.card).classifications(runtime.infer_batch(golden.image))
    names, expected = golden.card.spec.classes, golden.expected
    assert [each.best.class_id for each in results] == expected.argmax(axis=1).tolist()
    assert [each.best.name for each in results] == [names[row.argmax()] for row in expected]
    powers = np.exp(expected[0].astype(np.float64) - expected[0].max())
    assert np.allclose(results[0].probabilities, powers / powers.sum(), rtol=1e-3, atol=1e-9)


def test_a_list_of_classes_that_does_not_fit_the_head_is_one_line(tmp_path: Path) -> None:
    small = replace(get_card("hrnet-w18-small-ms-imagenet-224x224"), spec=ClassificationSpec(tuple("abcdefghijk")))
    save_torch(build(small).state_dict(), tmp_path / "eleven.safetensors")
    three = replace(small, spec=ClassificationSpec(("a", "b", "c")))
    with pytest.raises(
        CheckpointError, match=r"the card asks for 3 outputs, .* the checkpoint makes 11\): 2 mis-shaped"
    ):
        TorchRuntime(three, tmp_path / "eleven.safetensors")
