"""Each layer's noise, for graphs whose noise is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgehr.converters.report.layer_error import LayerError, layer_errors
from edgehr.errors import EdgehrError
from edgehr.runtimes import load
from edgehr.runtimes.formats import format_of
from tests.converters.report.small_graphs import as_ir, float_model, quantized, save
from tests.runtimes.small_tflite import T, conv, write

RNG = np.random.default_rng(3)
CROPS = [RNG.standard_normal((3, 256, 192)).astype(np.float32) for _ in range(2)]


def compared(one: Path, two: Path, crops: Any = CROPS) -> list[LayerError]:
    first, second = format_of(one).coverage(one), format_of(two).coverage(two)
    assert first is not None
    assert second is not None
    return layer_errors((one, first), (two, second), crops)


def scaled(path: Path, factor: float) -> Path:
    """The small network with the weights of its last layer multiplied."""
    model = float_model()
    last = model.graph.initializer[2]
    last.CopyFrom(numpy_helper.from_array((factor * numpy_helper.to_array(last)).astype(np.float32), last.name))
    return save(model, path)


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_an_error_of_one_per_cent_is_40_decibels(tmp_path: Path, suffix: str) -> None:
    paths = [save(float_model(), tmp_path / "a.onnx"), scaled(tmp_path / "b.onnx", 1.01)]
    if suffix == ".xml":
        paths = [as_ir(path, path.with_suffix(suffix)) for path in paths]
    errors = compared(*paths)
    assert len(errors) == 3
    assert [error.sqnr_db for error in errors[:2]] == [150, 150]
    assert errors[2].sqnr_db == pytest.approx(40, abs=0.01)
    assert not any(error.int8 for error in errors)


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_q_and_dq_bring_noise_into_the_layers_of_the_same_names(tmp_path: Path, suffix: str) -> None:
    paths = [save(float_model(), tmp_path / "a.onnx")]
    paths.append(quantized(paths[0], tmp_path / "b.onnx", leave=("head",)))
    if suffix == ".xml":
        paths = [as_ir(path, path.with_suffix(suffix)) for path in paths]
    ticks: list[int] = []
    first, second = (format_of(path).coverage(path) for path in paths)
    assert first is not None
    assert second is not None
    errors = layer_errors((paths[0], first), (paths[1], second), CROPS, lambda: ticks.append(1))
    assert len(ticks) == 2
    assert [error.int8 for error in errors] == [True, True, False]
    assert all(15 < error.sqnr_db < 60 for error in errors)


def test_the_noise_is_that_of_the_formula(tmp_path: Path) -> None:
    """The network's last layer, whose output the runtime gives too: 10 log10 of signal over noise, of all crops."""
    a = save(float_model(), tmp_path / "a.onnx")
    b = quantized(a, tmp_path / "b.onnx", leave=("head",))
    outputs = []
    for path in (a, b):
        with load(path) as runtime:
            outputs.append(np.stack([runtime.infer({"image": crop[None]})["heatmaps"] for crop in CROPS]))
    expected = 10 * np.log10((outputs[0] ** 2).sum() / ((outputs[1] - outputs[0]) ** 2).sum())
    # What ONNX Runtime fuses rounds a little otherwise than the graph says.
    assert compared(a, b)[-1].sqnr_db == pytest.approx(expected, abs=0.5)


def test_tflite_through_the_interpreter(tmp_path: Path) -> None:
    weights = RNG.standard_normal((4, 3, 3, 4)).astype(np.float32)
    bias = T((4,), values=np.zeros(4, np.float32))
    one, two = (
        write(tmp_path / f"{factor}.tflite", conv(T(), T((4, 3, 3, 4), values=np.float32(factor) * weights), bias))
        for factor in (1, 0.9)
    )
    (error,) = compared(one, two, [RNG.standard_normal((8, 8, 4)).astype(np.float32)])
    assert error.sqnr_db == pytest.approx(20, abs=0.01)
    assert error.operator == "CONV_2D"


def test_layers_of_other_names_or_shapes_are_left_out(tmp_path: Path) -> None:
    a = save(float_model(), tmp_path / "a.onnx")
    model = float_model()
    model.graph.node[0].name = "renamed"
    b = save(model, tmp_path / "b.onnx")
    assert [error.name for error in compared(a, b)] == ["depth", "head"]


def test_a_probe_returns_what_the_graph_has(tmp_path: Path) -> None:
    path = save(float_model(), tmp_path / "a.onnx")
    found = format_of(path).open_probe(path, ["head", "cut", "nothing"])(CROPS[0])
    assert {name: array.shape for name, array in found.items()} == {"head": (1, 17, 64, 48), "cut": (1, 8, 128, 96)}
    assert found["cut"].min() == 0
    fixed = float_model(2)
    assert format_of(path).open_probe(save(fixed, tmp_path / "b.onnx"), ["head"])(CROPS[0])["head"].shape == (
        2,
        17,
        64,
        48,
    )
    with pytest.raises(EdgehrError, match="does not show its layers"):
        format_of("a.plan").open_probe(tmp_path / "a.plan", ["x"])
    broken = float_model()
    broken.graph.node[0].op_type = "Sparkle"
    onnx.save(broken, tmp_path / "c.onnx")
    with pytest.raises(EdgehrError, match=r"c\.onnx: ONNX Runtime does not show its layers"):
        format_of(path).open_probe(tmp_path / "c.onnx", ["head"])
