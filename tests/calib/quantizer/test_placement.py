"""Where quantizers stand."""

from __future__ import annotations

from edgehr.calib.quantizer.graph import Graph
from edgehr.calib.quantizer.placement import is_positive, place
from tests.calib.quantizer.small_graph import small_model


def test_ends_and_points_stay_in_float_where_asked() -> None:
    graph = Graph(small_model())
    kept = place(graph, ends=True, points=True, unsigned=False)
    assert kept.in_float == {"node_stem", "node_squeeze", "node_head"}
    assert kept.full_weights == {"node_stem", "node_head"}
    assert set(kept.groups) == {"x", "low", "depthwise", "weighted"}
    everything = place(graph, ends=False, points=False, unsigned=False)
    assert not everything.in_float
    assert {"image", "mean", "z"} < set(everything.groups)
    more = place(graph, ends=True, points=True, unsigned=False, also=["node_mix"])
    assert "depthwise" not in more.groups


def test_moved_tensors_share_a_quantizer() -> None:
    model = small_model()
    (again,) = (node for node in model.graph.node if node.name == "node_again")
    again.input[0] = "middle"
    groups = place(Graph(model), ends=True, points=True, unsigned=True).groups
    assert len({groups[name] for name in ("x", "y", "both", "middle")}) == 1


def test_only_tensors_that_are_never_negative_are_unsigned() -> None:
    graph = Graph(small_model())
    assert [name for name in ("x", "sum", "both", "gate", "weighted", "mix") if is_positive(graph, name)] == [
        "x",
        "both",
        "gate",
        "weighted",
    ]
    signed, unsigned = (place(graph, ends=True, points=True, unsigned=value) for value in (False, True))
    assert {signed.bounds(name) for name in signed.groups} == {(-128, 127)}
    assert unsigned.bounds("x") == unsigned.bounds("weighted") == (0, 255)
    assert unsigned.bounds("depthwise") == (-128, 127)


def test_what_is_read_in_two_steps_has_quantizers_of_its_own() -> None:
    graph = Graph(small_model())
    doubled = ["node_down", "node_again", "node_stem"]
    placement = place(graph, ends=True, points=True, unsigned=True, doubled=doubled)
    assert placement.doubled == {"node_down", "node_again"}  # the first convolution is in float
    assert not placement.doubled & (placement.integer | placement.in_float)
    assert set(placement.twice) == {"x", "weighted"}
    assert set(placement.groups) == {"low", "depthwise"}
    assert not set(placement.twice.values()) & set(placement.groups.values())
    assert {placement.bounds_of(group) for group in placement.twice.values()} == {(-128, 127)}
