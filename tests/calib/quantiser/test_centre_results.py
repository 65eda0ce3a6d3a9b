"""What kernels return, around zero."""

from __future__ import annotations

import numpy as np
import torch

from edgehr.calib.quantiser.centre import measure_reach
from edgehr.calib.quantiser.centre_results import results_moved
from edgehr.calib.quantiser.channels import ChannelClasses
from edgehr.calib.quantiser.equalise import rescaled
from edgehr.calib.quantiser.graph import Graph
from edgehr.calib.quantiser.network import Network
from edgehr.calib.quantiser.placement import NOWHERE
from tests.calib.quantiser.small_graph import crops, relative, small_model

BATCH = crops(8)


def test_a_sum_adds_what_it_lacks_at_once() -> None:
    graph = Graph(small_model())
    reach = measure_reach(graph, BATCH)["mix"]
    after = results_moved(graph, {"mix": reach.middle})
    assert relative(Network(after, NOWHERE).run(BATCH), Network(graph, NOWHERE).run(BATCH)) < 1e-5
    assert after.maker["sum"].inputs[0] == "sum.lacking"  # behind the resizing and the sum, ahead of the ReLU
    centred = measure_reach(after, BATCH)["mix"]
    assert torch.allclose(centred.low, -centred.high, atol=1e-4, rtol=1e-3)


def test_what_others_read_too_is_restored_at_once() -> None:
    graph = Graph(small_model())
    after = results_moved(graph, {"squeeze": np.linspace(-1, 1, 16), "head": np.ones(5)})
    assert relative(Network(after, NOWHERE).run(BATCH), Network(graph, NOWHERE).run(BATCH)) < 1e-5
    assert after.maker["squeeze"].name == "squeeze.restore"
    assert after.output == "head"


def test_channels_can_be_rescaled_afterwards() -> None:
    graph = Graph(small_model())
    after = results_moved(graph, {"mix": measure_reach(graph, BATCH)["mix"].middle})
    classes = ChannelClasses(after)
    assert np.array_equal(classes["x"], classes["mix"])
    changed = rescaled(after, classes, np.exp(np.random.default_rng(1).uniform(-2, 2, classes.count)))
    assert relative(Network(changed, NOWHERE).run(BATCH), Network(graph, NOWHERE).run(BATCH)) < 1e-5
