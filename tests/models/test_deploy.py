"""The deploy form computes the same function."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from edgehr.card import ModelCard
from edgehr.converters.compare import comparison_batch
from edgehr.converters.target import TARGETS, make_target
from edgehr.models.architectures.networks import lite_hrnet
from edgehr.models.backbones.layers import ConvModule
from edgehr.models.build import build, load
from edgehr.models.deploy.channel_layout import find_slices, original_order, sort_by_lifetime
from edgehr.models.deploy.folded_conv import FoldedConv, join_block_diagonal
from edgehr.models.deploy.forms import Form
from edgehr.models.deploy.rewrite import deploy
from edgehr.zoo import find_weights, get_card
from tests import golden_files
from tests.models.short_lite_hrnet import LITE as SHORT

FORMS_TESTED = {name: make_target(name).form() for name in sorted({*TARGETS.names} - {"trt-bundle"})}  # TensorRT's
FORMS_TESTED["joined stem"] = Form(joined_stem=True)


@pytest.fixture(scope="module", params=golden_files.collect("lite_hrnet"))
def reference(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A network, an image, its output as the reference code has it, and what float64 makes of it."""
    golden = golden_files.read(request.param)
    network = load(golden.card, golden.save_weights(tmp_path_factory.mktemp("golden")))
    with torch.inference_mode():
        exact = deepcopy(network).double()(torch.from_numpy(golden.image).double()).numpy()
    return network, golden.image, golden.expected, exact


@pytest.mark.parametrize("form", FORMS_TESTED)
def test_golden_outputs_are_reproduced(form: str, reference: Any) -> None:
    network, image, expected, exact = reference
    rewritten, _ = deploy(network, FORMS_TESTED[form])
    with torch.inference_mode():
        output = rewritten(torch.from_numpy(image)).numpy()
        in_double = rewritten.double()(torch.from_numpy(image).double()).numpy()
    network.float()  # the two share their head
    # The same function, with its weights rounded to float32 once more and nothing else.
    assert np.abs(in_double - exact).max() <= 5e-6 * expected.std()
    # The golden outputs are float32 themselves, up to 9.9e-6 from the same network in float64: the deploy forms are
    # about as near to that, and two roundings from them. Sums in another order round otherwise: the largest difference
    # of Lite-HRNet-30 is 9.2e-6 to 1.09e-5 with two threads and 1.14e-5 to 1.27e-5 with one; PyTorch's own is 8.3e-6 to
    # 9.1e-6, and the root mean square of any is below 7e-7.
    assert np.abs(output - exact).max() <= 1.3e-5 * expected.std()
    assert np.sqrt(np.square(output - exact).mean()) <= 1e-6 * expected.std()
    assert np.abs(output - exact).mean() <= 5e-7 * expected.std()
    assert np.abs(output - expected).max() <= 2e-5 * expected.std()


@pytest.fixture(scope="module", params=["litehrnet-18-wider-naive-coco-256x192", "litehrnet-18-coco-256x192"])
def trained_network(request: pytest.FixtureRequest, trained: dict[str, Path], sample_card: ModelCard) -> Any:
    """A network with trained weights, crops, and the heatmaps of these."""
    card = get_card(request.param)
    network = load(card, find_weights(card) if card.name == sample_card.name else trained[card.name])
    crops = torch.from_numpy(comparison_batch(card)[:4])
    with torch.inference_mode():
        return network, crops, network(crops)


@pytest.mark.parametrize("form", FORMS_TESTED)
def test_trained_weights_give_the_same_heatmaps(form: str, trained_network: Any) -> None:
    network, crops, expected = trained_network
    with torch.inference_mode():
        output = deploy(network, FORMS_TESTED[form])[0](crops)
    # PyTorch's float32 is 7e-5 (largest) from its own float64 here, and so is the deploy form's.
    assert (output - expected).abs().max() <= 2e-4 * expected.std()
    assert (output - expected).abs().mean() <= 2e-6 * expected.std()


@pytest.mark.parametrize("form", [name for name in FORMS_TESTED if name != "openvino"])
def test_nothing_is_shuffled_and_no_tensor_has_a_fifth_dimension(form: str) -> None:
    ran = Operators(deploy(build(SHORT), FORMS_TESTED[form])[0])
    assert max(ran.ranks) <= 4
    assert not {name for name in ran.names if any(word in name for word in SHUFFLES)}
    assert not {name for name in ran.names if "batch_norm" in name}


def test_where_maps_are_broadcast_nothing_is_resized_to_nearest() -> None:
    ran = Operators(deploy(build(SHORT), FORMS_TESTED["openvino"])[0])
    assert max(ran.ranks) == 6
    assert not {name for name in ran.names if "nearest" in name or "batch_norm" in name}


def test_a_network_as_it_was_trained_does_all_of_that() -> None:
    ran = Operators(build(SHORT))
    assert max(ran.ranks) == 5
    for word in ("transpose", "reshape", "batch_norm", "nearest"):
        assert any(word in name for name in ran.names)


SHUFFLES = ("transpose", "permute", "view", "reshape")


class Operators(TorchDispatchMode):  # type: ignore[misc]
    """Ranks of the tensors and names of the operators of Lite-HRNet, whose modules are all alike, as it runs."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.ranks: set[int] = set()
        self.names: set[str] = set()
        with torch.inference_mode(), self:
            network(torch.zeros(1, 3, 64, 64))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.names.add(str(func))
        self.ranks |= {each.ndim for each in tree_leaves(result) if isinstance(each, torch.Tensor)}
        return result


def test_channels_come_in_blocks_where_kernels_want_them() -> None:
    network = deploy(lite_hrnet(17, 18).eval(), Form(defer_weights=True, channel_multiple=16))[0]
    backbone: Any = network.backbone
    narrow = [
        conv for conv in backbone.stages.modules() if isinstance(conv, torch.nn.Conv2d) and conv.out_channels % 16
    ]
    assert narrow == []
    assert {padded: backbone.stages[2][0].layouts[padded].padding for padded in range(4)} == {0: 8, 1: 0, 2: 0, 3: 0}


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
        built = FoldedConv.from_module(module).with_inputs(order, 4.0).with_outputs(output, 8.0).build()
        torch.testing.assert_close(built(x[:, list(order)] / 4), expected)
        blind = FoldedConv.from_module(module).with_inputs((0, None, 2, 3)).build()
        kept = x.clone()
        kept[:, 1] = 0
        torch.testing.assert_close(blind(x), module(kept))


def test_convolutions_side_by_side_are_one_of_the_concatenation() -> None:
    torch.manual_seed(0)
    convs = [torch.nn.Conv2d(3, 2, 1), torch.nn.Conv2d(4, 5, 1)]
    tensors = [torch.randn(1, 3, 2, 2), torch.randn(1, 4, 2, 2)]
    with torch.inference_mode():
        both = join_block_diagonal([FoldedConv.from_conv(conv) for conv in convs]).build()(torch.cat(tensors, dim=1))
        expected = torch.cat([conv(x) for conv, x in zip(convs, tensors, strict=True)], dim=1)
    torch.testing.assert_close(both, expected)


def test_slices_are_as_few_as_they_can_be() -> None:
    channels = 40
    order = sort_by_lifetime(range(channels), channels)
    assert sorted(order) == list(range(channels))
    for wanted in (range(20, 40), range(10, 20), range(10)):
        assert len(find_slices([order], frozenset(wanted))[0]) == 1
    slices, order = find_slices([original_order(4), (5, 4)], frozenset({1, 2, 5}))
    assert [(entry.tensor, entry.start, entry.stop) for entry in slices] == [(0, 1, 3), (1, 0, 1)]
    assert order == (1, 2, 5)


def test_a_network_whose_channels_do_not_divide_by_four_stays_as_it_was_trained() -> None:
    network = build(get_card("litehrnet-18-naive-coco-256x192"))
    assert network.backbone.channels[0] == 30
    rewritten, done = deploy(network)
    assert rewritten is network
    assert done == "as trained"
