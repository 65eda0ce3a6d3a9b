"""What models are fed, and how they start in a process of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgehr.assets import packaged_model
from edgehr.benchmark.candidates import PICTURE, RANDOM, Candidate, feed
from edgehr.benchmark.fresh import Start, peak_mib, start_fresh
from edgehr.errors import EdgehrError

MODEL = "hrnetv2-w18-small-v1-person-192x192"


def foreign(path: Path, **inputs: tuple[int, list[Any]]) -> Path:
    """A graph that returns what it takes; inputs are types and shapes, where a name stands for any size."""
    ends = [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()]
    outs = [helper.make_tensor_value_info(f"{name}_out", *kind) for name, kind in inputs.items()]
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in inputs]
    graph = helper.make_graph(nodes, "g", ends, outs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def fed(path: Path, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    with Candidate(path).open() as runtime:
        found = feed(runtime, {"" if name == "only" else name: shape for name, shape in shapes.items()})
        assert (found.kind, found.images) == (RANDOM, 1)
        found.call()
        return dict(found.inputs)


def test_a_model_of_edgehr_sees_a_picture() -> None:
    for suffix in (".onnx", ".tflite"):
        with Candidate(packaged_model(MODEL, suffix)).open() as runtime:
            found = feed(runtime, {})
            assert (found.kind, found.images) == (PICTURE, 1)
            (batch,) = found.inputs.values()
            assert 0.5 < batch.std() < 2
            assert found.call()


def test_a_card_yields_to_a_shape() -> None:
    with Candidate(packaged_model(MODEL)).open() as runtime:
        found = feed(runtime, {"": (1, 3, 192, 192)})
        assert (found.kind, found.images) == (RANDOM, 1)
        with pytest.raises(EdgehrError, match=r"--shape 1,3,64,64 does not suit its input .* \(1, 3, 192, 192\)"):
            feed(runtime, {"": (1, 3, 64, 64)})


def test_foreign_inputs_are_random_by_their_types(tmp_path: Path) -> None:
    kinds = {"f": TensorProto.FLOAT, "h": TensorProto.FLOAT16, "u": TensorProto.UINT8, "i": TensorProto.INT64}
    path = foreign(tmp_path / "m.onnx", **{name: (kind, [2, 50]) for name, kind in kinds.items()})
    inputs = fed(path)
    assert {name: str(array.dtype) for name, array in inputs.items()} == {
        "f": "float32",
        "h": "float16",
        "u": "uint8",
        "i": "int64",
    }
    assert 0 <= inputs["f"].min() < 0.1 < 0.9 < inputs["f"].max() <= 1
    assert inputs["u"].max() > 200
    assert set(np.unique(inputs["i"])) == {0, 1}
    assert (fed(path)["f"] == inputs["f"]).all()


def test_open_sizes_have_to_be_told(tmp_path: Path) -> None:
    path = foreign(tmp_path / "m.onnx", x=(TensorProto.FLOAT, ["batch", 3, "h", "w"]))
    with pytest.raises(EdgehrError, match=r"leaves open \(N\): give --shape 1,3,224,224"):
        fed(path)
    assert fed(path, only=(1, 3, 8, 8))["x"].shape == fed(path, x=(1, 3, 8, 8))["x"].shape == (1, 3, 8, 8)
    with pytest.raises(EdgehrError, match="--shape 1,4,8,8 does not suit"):
        fed(path, only=(1, 4, 8, 8))
    with pytest.raises(EdgehrError, match="there is no input 'y': give --shape NAME=SIZES with one of x"):
        fed(path, y=(1, 3, 8, 8))
    two = foreign(tmp_path / "two.onnx", x=(TensorProto.FLOAT, ["n", 3]), y=(TensorProto.FLOAT, ["n", 4]))
    with pytest.raises(EdgehrError, match="give --shape x=1,3"):
        fed(two)
    with pytest.raises(EdgehrError, match="several inputs"):
        fed(two, only=(1, 3))
    assert fed(two, x=(1, 3), y=(1, 4))["y"].shape == (1, 4)


def test_a_start_is_taken_in_a_new_process() -> None:
    candidate = Candidate(packaged_model(MODEL, ".tflite"), threads=1)
    assert Candidate.from_dict(candidate.to_dict()) == candidate
    found = start_fresh(candidate.to_dict())
    assert found.load_ms > found.reload_ms > 0
    assert found.first_ms > 0
    assert found.peak_mib is not None
    assert 30 < found.peak_mib < 1000
    assert peak_mib() is not None
    starts = [Start(1.0, 5.0, 1.0, None), Start(3.0, 4.0, 1.0, 9.0), Start(2.0, 6.0, 1.0, 7.0)]
    assert Start.median(starts) == Start(2.0, 5.0, 1.0, 9.0)


def test_what_fails_in_a_new_process_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EdgehrError, match=r"absent.onnx: no such model file"):
        start_fresh(Candidate(tmp_path / "absent.onnx").to_dict())
    good = Candidate(packaged_model(MODEL, ".tflite")).to_dict()
    for code, said in (("import os; os.abort()", r"crashes \(signal 6\)"), ("1 / 0", "division by zero")):
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\nexec {__import__('sys').executable} -c '{code}'\n")
        program.chmod(0o755)
        with monkeypatch.context() as patch:
            patch.setattr("edgehr.benchmark.fresh.sys.executable", str(program))
            with pytest.raises(EdgehrError, match=said):
                start_fresh(good)
