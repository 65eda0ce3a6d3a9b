"""What is particular to OpenVINO: weights in a file of their own, and what is computed in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import openvino as ov
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgehr.converters.openvino.ir import save_ir, to_ir
from edgehr.errors import ArtifactError, EdgehrError
from edgehr.runtimes import load
from edgehr.runtimes.openvino.runtime import default_precision
from tests.runtimes.test_runtimes import ARTIFACT, small_model, write


def test_ir_weights_that_are_missing_or_of_another_model(tmp_path: Path) -> None:
    path = write(tmp_path, ".xml")
    weights = path.with_suffix(".bin")
    changed = bytearray(weights.read_bytes())
    changed[0] ^= 1
    weights.write_bytes(changed)
    with pytest.raises(ArtifactError, match=r"model\.bin is damaged or belongs to another model"):
        load(path)
    weights.unlink()
    with pytest.raises(ArtifactError, match=r"model\.bin is not beside it"):
        load(path)


def test_a_damaged_name_that_is_no_text_gives_one_line(tmp_path: Path) -> None:
    path = tmp_path / "foreign.xml"
    ov.save_model(to_ir(small_model(1)), str(path))
    path.write_bytes(path.read_bytes().replace(b'type="Multiply"', b'type="\xb0ultiply"'))
    with pytest.raises(ArtifactError, match="OpenVINO cannot read it"):
        load(path)


def test_openvino_computes_in_the_artifact_s_precision_unless_asked(tmp_path: Path) -> None:
    path = write(tmp_path, ".xml")
    assert load(path).precision == "fp32"
    with pytest.raises(EdgehrError, match="cannot run it"):
        load(path, precision="int3")


@pytest.mark.parametrize(
    ("device", "capabilities", "used"),
    [("CPU", ["FP32", "BF16"], "fp32"), ("CPU", ["FP32", "BF16", "FP16"], "fp16"), ("NPU", ["INT8"], "fp16")],
)
def test_openvino_does_not_take_bf16_for_fp16(device: str, capabilities: list[str], used: str) -> None:
    class Core:
        def get_property(self, device: str, name: str) -> list[str]:
            return {("CPU", "OPTIMIZATION_CAPABILITIES"): capabilities}[device, name]

    assert default_precision(Core(), device, "fp16") == used
    assert default_precision(Core(), device, "fp32") == default_precision(Core(), device, "int8") == "fp32"


def test_int8_on_arm_is_slow_beside_fp32_and_refused_beside_fp16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "model.xml"
    save_ir(to_ir(small_model(1)), path, replace(ARTIFACT, precision="int8"), fp16_weights=False)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with load(path) as runtime:
        assert runtime.precision == "fp32"
    assert "no fast kernels" in caplog.text
    with pytest.raises(EdgehrError, match="wrongly on ARM"):
        load(path, precision="fp16")


def test_openvino_rounds_no_activation_that_the_file_has_in_float(tmp_path: Path) -> None:
    """At the end of a classifier in INT8, where OpenVINO alone would round what goes into the weights."""
    rng, classes, channels = np.random.default_rng(0), 100, 512
    constants = [
        numpy_helper.from_array(rng.integers(-127, 128, (classes, channels, 1, 1)).astype(np.int8), "integers"),
        numpy_helper.from_array(rng.uniform(0.001, 0.002, classes).astype(np.float32), "scales"),
        numpy_helper.from_array(np.array([-1, classes], np.int64), "shape"),
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["integers", "scales"], ["weight"], axis=0),
        helper.make_node("Conv", ["image", "weight"], ["mixed"]),
        helper.make_node("Reshape", ["mixed", "shape"], ["logits"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("image", [1, channels, 1, 1]), ("logits", [1, classes]))
    ]
    graph = helper.make_graph(nodes, "head", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()
    ov.save_model(ov.Core().read_model(model), tmp_path / "head.xml", compress_to_fp16=False)
    image = rng.standard_normal((1, channels, 1, 1)).astype(np.float32)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"image": image})
    with load(
        tmp_path / "head.xml", precision="fp32"
    ) as runtime:  # some CPUs would take bf16 for a file that says nothing
        (found,) = runtime.infer({"image": image}).values()
    assert np.abs(found - expected).max() < 1e-4 * expected.std()
