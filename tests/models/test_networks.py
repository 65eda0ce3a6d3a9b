from dataclasses import replace
from functools import cache

import pytest
import torch

from edgehr.errors import EdgehrError
from edgehr.models import ARCHITECTURES, Network, build
from edgehr.models.network import Outputs, name_outputs
from edgehr.zoo import get_card, list_models


@pytest.fixture(autouse=True)
def no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave weights as memory is: to draw them takes longest. tests/models/test_golden.py has networks with some."""
    for module in (torch.nn.Conv2d, torch.nn.BatchNorm2d, torch.nn.Linear):
        monkeypatch.setattr(module, "reset_parameters", lambda self: None)


@cache
def smallest(architecture: str) -> Network:
    parameters = {"depth": 18} if architecture == "lite_hrnet" else {"width": 18}
    return ARCHITECTURES.get(architecture)(17, **parameters).eval()


@pytest.mark.parametrize("size", [(128, 96), (96, 160), (32, 32), (64, 224)])
@pytest.mark.parametrize("architecture", ["hrnet", "hrnetv2", "lite_hrnet"])
def test_heatmaps_have_a_quarter_of_the_input_size(architecture: str, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        output = smallest(architecture)(torch.zeros(2, 3, *size))
    assert output.shape == (2, 17, size[0] // 4, size[1] // 4)


@pytest.mark.parametrize("width", [18, 32, 40, 48])
def test_hrnet_takes_any_width(width: int) -> None:
    assert ARCHITECTURES.get("hrnet")(17, width=width).backbone.channels == [width, 2 * width, 4 * width, 8 * width]


# Parameters in millions as the papers give them (HRNet: CVPR 2019, table 1; Lite-HRNet: CVPR 2021, table 2).
@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("hrnet-w32-coco-256x192", 28.5),
        ("hrnet-w48-coco-256x192", 63.6),
        ("litehrnet-18-coco-256x192", 1.1),
        ("litehrnet-30-coco-256x192", 1.8),
        ("litehrnet-18-naive-coco-256x192", 0.7),
        ("litehrnet-18-wider-naive-coco-256x192", 1.3),
    ],
)
def test_size_agrees_with_the_paper(name: str, published: float) -> None:
    count = sum(p.numel() for p in build(get_card(name)).parameters())
    assert round(count / 1e6, 1) == pytest.approx(published, abs=0.11)


@pytest.mark.parametrize("architecture", ["hrnet", "lite_hrnet"])
@pytest.mark.parametrize("size", [(250, 192), (256, 200), (16, 16)])
def test_other_sizes_are_refused_with_the_reason(architecture: str, size: tuple[int, int]) -> None:
    with pytest.raises(EdgehrError, match=f"{size[0]}x{size[1]}.*divide by 32.*resolution"):
        smallest(architecture)(torch.zeros(1, 3, *size))


def test_inputs_that_are_no_image_batch_are_refused() -> None:
    with pytest.raises(EdgehrError, match=r"\(N, 3, H, W\)"):
        smallest("lite_hrnet")(torch.zeros(3, 256, 192))


def test_a_card_of_unknown_architecture_or_size_is_refused() -> None:
    card = get_card("litehrnet-18-coco-256x192")
    with pytest.raises(EdgehrError, match="unknown architecture 'vit'"):
        build(replace(card, architecture="vit"))
    with pytest.raises(EdgehrError, match="cannot be built"):
        build(replace(card, parameters={"depth": 19}))
    with pytest.raises(EdgehrError, match="cannot be built"):
        build(replace(card, architecture="hrnet", parameters={"width": -5}))
    with pytest.raises(EdgehrError, match="divide by 32"):
        build(card.with_size(250, 192))


@pytest.mark.parametrize(
    "several", [{"boxes": torch.ones(1), "scores": torch.zeros(1)}, (torch.zeros(1), torch.ones(1))]
)
def test_outputs_are_named_as_the_card_names_them(several: Outputs) -> None:
    named = name_outputs(several, ("scores", "boxes"))
    assert {name: float(tensor) for name, tensor in named.items()} == {"scores": 0.0, "boxes": 1.0}
    assert list(named) == ["scores", "boxes"]
    assert list(name_outputs(torch.zeros(1), ("heatmaps",))) == ["heatmaps"]
    for names in (("scores",), ("scores", "boxes", "masks")):
        with pytest.raises(EdgehrError, match=r"where its card names scores.*correct the card"):
            name_outputs(several, names)
    with pytest.raises(EdgehrError, match="1 tensors where its card names scores, boxes"):
        name_outputs(torch.zeros(1), ("scores", "boxes"))


def test_an_architecture_joins_by_registration() -> None:
    class Average(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.mean((2, 3))

    def average(num_outputs: int, classes: int) -> Network:
        return Network(Average(), torch.nn.Linear(classes, num_outputs))

    ARCHITECTURES.register("average", average)
    card = replace(get_card("litehrnet-18-coco-256x192"), architecture="average", parameters={"classes": 3})
    network = build(card)
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 17)
    assert not network.training


@pytest.mark.parametrize(("task", "least"), [("pose", 15), ("segmentation", 7)])
def test_every_card_builds_and_returns_its_maps(task: str, least: int) -> None:
    built = set()
    for card in list_models():
        kind = (card.architecture, str(card.parameters), card.spec.num_outputs)
        if card.task == task and kind not in built:
            built.add(kind)
            with torch.inference_mode():
                output = build(card)(torch.zeros(1, 3, 64, 64))
            assert output.shape == (1, card.spec.num_outputs, 16, 16), card.name
    assert len(built) >= least
