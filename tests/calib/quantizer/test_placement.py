"""Where quantizers stand."""

from __future__ import annotations

from edgehr.calib.quantizer.graph.onnx_graph import Graph
from edgehr.calib.quantizer.placement import is_positive, place_for_qdq
from tests.calib.quantizer.small_graph import small_model


def test_ends_and_points_stay_in_float_where_asked() -> None:
    graph = Graph(small_model())
    kept = place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=False)
    assert kept.float_data == {"node_stem", "node_squeeze", "node_head"}
    assert kept.float_weights == {"node_stem", "node_head"}
    assert set(kept.quantizers) == {"x", "low", "depthwise", "weighted"}
    everything = place_for_qdq(graph, float_ends=False, pooled_weight_only=False, unsigned=False)
    assert not everything.float_data
    assert {"image", "mean", "z"} < set(everything.quantizers)
    more = place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=False, weight_only=["node_mix"])
    assert "depthwise" not in more.quantizers


def test_moved_tensors_share_a_quantizer() -> None:
    model = small_model()
    (again,) = (node for node in model.graph.node if node.name == "node_again")
    again.input[0] = "middle"
    groups = place_for_qdq(Graph(model), float_ends=True, pooled_weight_only=True, unsigned=True).quantizers
    assert len({groups[name] for name in ("x", "y", "both", "middle")}) == 1


def test_only_tensors_that_are_never_negative_are_unsigned() -> None:
    graph = Graph(small_model())
    assert [name for name in ("x", "sum", "both", "gate", "weighted", "mix") if is_positive(graph, name)] == [
        "x",
        "both",
        "gate",
        "weighted",
    ]
    signed, unsigned = (
        place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=value) for value in (False, True)
    )
    assert {signed.bounds(key) for key in signed.quantizers.values()} == {(-128, 127)}
    bounds = {name: unsigned.bounds(unsigned.quantizers[name]) for name in ("x", "weighted", "depthwise")}
    assert bounds == {"x": (0, 255), "weighted": (0, 255), "depthwise": (-128, 127)}


def test_split_activations_have_quantizers_of_their_own() -> None:
    graph = Graph(small_model())
    split = ["node_down", "node_again", "node_stem"]
    placement = place_for_qdq(graph, float_ends=True, pooled_weight_only=True, unsigned=True, split=split)
    assert placement.split == {"node_down", "node_again"}  # the first convolution is in float
    assert not placement.split & (placement.integer | placement.float_data)
    assert set(placement.split_quantizers) == {"x", "weighted"}
    assert set(placement.quantizers) == {"low", "depthwise"}
    assert not set(placement.split_quantizers.values()) & set(placement.quantizers.values())
    assert {placement.bounds(key) for key in placement.split_quantizers.values()} == {(-128, 127)}
