"""The deploy form computes the same function."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from edgehr.converters.crops import comparison_batch
from edgehr.models.build import load
from edgehr.models.checkpoints import load_weights
from edgehr.models.deploy import deploy
from edgehr.models.folded import Folded
from edgehr.models.layers import ConvModule
from edgehr.models.layout import by_fate, find, natural
from edgehr.zoo import find_weights, get_card
from tests.models.test_golden import GOLDEN, golden, make

LITE = [name for name in GOLDEN if name.startswith("litehrnet")]


@pytest.mark.parametrize("joined_stem", [False, True])
@pytest.mark.parametrize("name", LITE)
def test_reproduces_the_reference(name: str, joined_stem: bool, shared: Path, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    _, weights, image, expected = golden(shared / "golden", name)
    save_file(weights, tmp_path / "checkpoint.safetensors")
    network = make(name, expected.shape[1])
    load_weights(network, tmp_path / "checkpoint.safetensors")
    rewritten, _ = deploy(network, joined_stem=joined_stem)
    with torch.inference_mode():
        output = rewritten(torch.from_numpy(image)).numpy()
        exact = deepcopy(network).double()(torch.from_numpy(image).double()).numpy()
    # The golden outputs are float32 themselves, up to 9.9e-6 from the same network in float64: the deploy form is as
    # near to that as they are, and two roundings from them.
    assert np.abs(output - exact).max() <= 1e-5 * expected.std()
    assert np.abs(output - expected).max() <= 2e-5 * expected.std()


def test_trained_weights_give_the_same_heatmaps() -> None:
    card = get_card("litehrnet-18-wider-naive-coco-256x192")
    network = load(card, find_weights(card))
    crops = torch.from_numpy(comparison_batch(card))
    with torch.inference_mode():
        expected, output = network(crops), deploy(network)[0](crops)
    # PyTorch's float32 is 7e-5 (largest) from its own float64 here, and so is the deploy form's.
    assert (output - expected).abs().max() <= 2e-4 * expected.std()
    assert (output - expected).abs().mean() <= 2e-6 * expected.std()


def test_nothing_is_shuffled_and_no_tensor_has_a_fifth_dimension() -> None:
    card = get_card("litehrnet-18-coco-256x192")
    network = make("litehrnet18_coco", len(card.keypoints.names))
    graph = torch.export.export(deploy(network)[0], (torch.zeros(1, 3, 64, 64),)).graph
    ranks = {len(node.meta["val"].shape) for node in graph.nodes if isinstance(node.meta.get("val"), torch.Tensor)}
    assert max(ranks) <= 4
    names = {str(node.target) for node in graph.nodes if node.op == "call_function"}
    assert not {name for name in names if any(word in name for word in ("transpose", "permute", "view", "reshape"))}
    assert not {name for name in names if "batch_norm" in name}


def test_a_folded_convolution_reorders_scales_and_masks() -> None:
    torch.manual_seed(0)
    module = ConvModule(4, 6, 1)
    assert isinstance(module.bn, torch.nn.BatchNorm2d)
    module.bn.running_mean.normal_()
    module.bn.running_var.uniform_(0.5, 2)
    module.eval()
    x = torch.randn(1, 4, 5, 5)
    order, output = (2, 0, 3, 1), (5, 3, 1, 0, 2, 4)
    with torch.inference_mode():
        expected = module(x)[:, list(output)] / 8
        built = Folded.of_module(module).reading(order, 4.0).writing(output, 8.0).build()
        torch.testing.assert_close(built(x[:, list(order)] / 4), expected)
        blind = Folded.of_module(module).reading((0, None, 2, 3)).build()
        kept = x.clone()
        kept[:, 1] = 0
        torch.testing.assert_close(blind(x), module(kept))


def test_slices_are_as_few_as_they_can_be() -> None:
    channels = 40
    order = by_fate(range(channels), channels)
    assert sorted(order) == list(range(channels))
    for wanted in (range(20, 40), range(10, 20), range(10)):
        assert len(find([order], frozenset(wanted))[0]) == 1
    pieces, layout = find([natural(4), (5, 4)], frozenset({1, 2, 5}))
    assert [(piece.source, piece.start, piece.stop) for piece in pieces] == [(0, 1, 3), (1, 0, 1)]
    assert layout == (1, 2, 5)
