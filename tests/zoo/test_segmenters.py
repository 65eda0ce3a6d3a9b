"""Cards of segmentation models against the table of what mmsegmentation publishes."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from edgehr.card import ModelCard
from edgehr.zoo import all_cards, get_card

SIZES = {19, 150, 21, 60, 59, 7, 6, 16, 2}


def cards() -> list[ModelCard]:
    return [card for card in all_cards() if card.task == "segmentation"]


def test_every_checkpoint_of_mmseg_has_its_card(shared: Path) -> None:
    with (shared / "zoo" / "mm_zoo_other.tsv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["task"] == "Semantic Segmentation"]
    by_url = {card.weights.url: card for card in cards() if card.weights.url}
    assert set(by_url) == {row["url"] for row in rows}
    assert len(by_url) == len(rows) == 58
    for row in rows:
        card, file_name = by_url[row["url"]], row["file"]
        assert re.findall(r"mIoU[^=]*=([\d.]+)", row["metric"]) == re.findall(r"(\d+\.\d+)", card.weights.metric)
        assert file_name == card.weights.file
        assert file_name.endswith(f"-{card.weights.sha256}.pth")
        assert (card.architecture == "hrnet_ocr") == file_name.startswith("ocrnet")
        width, small = re.findall(r"hr(\d+)(s?)_", file_name)[0]
        assert card.parameters["width"] == int(width)
        assert (card.parameters.get("depth") == "small_v2") == bool(small)
        assert f"{card.input.height}x{card.input.width}" in file_name
        assert re.findall(r"(\d+k)[_-]", file_name)[0] in card.name
        assert card.architecture == "hrnet_ocr" or card.parameters["upsampling"] == "bilinear"


def test_classes_are_those_of_the_data_sets() -> None:
    assert {card.spec.num_outputs for card in cards()} == SIZES
    city = get_card("hrnetv2-w18-cityscapes-160k-512x1024").spec
    assert (city.classes[0], city.classes[11], city.classes[18]) == ("road", "person", "bicycle")
    assert (city.palette[0], city.palette[11], city.palette[13]) == ((128, 64, 128), (220, 20, 60), (0, 0, 142))
    assert (city.fit, city.scale) == ("slide", (2048, 1024))
    ade = get_card("hrnetv2-w48-ade20k-160k-512x512").spec
    assert (ade.classes[0], ade.classes[12], ade.classes[149]) == ("wall", "person", "flag")
    assert (ade.label_values[0], ade.label_values[-1], ade.ignored_values) == (1, 150, (0, 255))
    voc = get_card("hrnetv2-w18-voc12-40k-512x512").spec
    assert (voc.classes[0], voc.classes[15], voc.palette[15]) == ("background", "person", (192, 128, 128))
    context = [get_card(f"hrnetv2-w48-pascal-context{name}-80k-480x480").spec for name in ("", "-59")]
    assert context[0].classes[1:] == context[1].classes
    assert context[1].label_values == tuple(range(1, 60))


@pytest.mark.parametrize(("window", "stride"), [(480, 320), (769, 513), (512, 341)])
def test_windows_are_as_far_apart_as_mmseg_s(window: int, stride: int) -> None:
    assert round(window * (1 - get_card("hrnetv2-w48-pascal-context-80k-480x480").spec.overlap)) == stride
