import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from edgehr.models import ARCHITECTURES, build
from edgehr.models.deploy.batch_norm import fold_batch_norm
from edgehr.zoo import list_models

WIDEST_FIRST = sorted(list_models(), key=lambda card: -card.parameters.get("width", 0))
CARDS = {card.architecture: card for card in WIDEST_FIRST if card.architecture in ARCHITECTURES.names}


@pytest.mark.parametrize("architecture", CARDS)
def test_the_folded_network_computes_the_same_without_batch_norm(architecture: str) -> None:
    torch.manual_seed(0)
    network = build(CARDS[architecture]).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
            ):
                values.uniform_(low, high)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    folded = fold_batch_norm(network)
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected, outputs = network(image), folded(image)
    for one, other in zip(tree_leaves(expected), tree_leaves(outputs), strict=True):
        assert float((one - other).abs().max()) < 2e-5 * float(one.abs().max())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)] == norms


def test_a_norm_without_a_convolution_before_it_stays() -> None:
    folded = fold_batch_norm(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)).eval())
    assert isinstance(folded[2], nn.BatchNorm2d)
