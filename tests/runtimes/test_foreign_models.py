"""Models that edgehr did not write, or that are something else: what is said of them, and what they return."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import TensorProto, helper

from edgehr.cli.main import main
from edgehr.errors import ArtifactError
from edgehr.runtimes import load
from edgehr.runtimes.formats import describe
from tests.runtimes.small_models import conv_model, unknown_operator_model
from tests.runtimes.small_tflite import Op, T, doubling, write

KINDS = [".onnx", ".xml", ".tflite"]


def save(path: Path, model: Any = None) -> Path:
    """Write a small model of the kind that the suffix names, one of its own or the given ONNX."""
    suffix = path.suffix.lower()
    if suffix == ".tflite":
        return doubling(path)
    if suffix == ".onnx":
        onnx.save(model or conv_model(), path)
        return path
    graph = path.with_suffix(".tmp.onnx")
    onnx.save(model or conv_model(), graph)
    ov.save_model(ov.Core().read_model(graph), path, compress_to_fp16=False)
    return path


def casting(source: int, target: int) -> Any:
    """A cast from one type of ONNX to another, of (1, 4)."""
    ends = [helper.make_tensor_value_info(name, kind, [1, 4]) for name, kind in (("x", source), ("y", target))]
    graph = helper.make_graph([helper.make_node("Cast", ["x"], ["y"], to=target)], "cast", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("kind", ["DOUBLE", "FLOAT16", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT32", "BOOL"])
@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_tensors_of_any_number_type_run(suffix: str, kind: str, tmp_path: Path) -> None:
    number, float32 = getattr(TensorProto, kind), TensorProto.FLOAT
    dtype = helper.tensor_dtype_to_np_dtype(number)
    for name, source, target in (("in", number, float32), ("out", float32, number)):
        path = save(tmp_path / f"{name}{suffix}", casting(source, target))
        with load(path) as model:
            given = np.array([[0, 1, 2, 3]]).astype(model.inputs[0].dtype)
            (result,) = model.infer({"x": given}).values()
            assert [model.inputs[0].dtype, model.outputs[0].dtype] == (
                [dtype, np.float32] if name == "in" else [np.float32, dtype]
            )
            assert result.dtype == model.outputs[0].dtype
            np.testing.assert_array_equal(result, given.astype(result.dtype))


@pytest.mark.parametrize("suffix", KINDS)
def test_suffixes_in_capitals(suffix: str, tmp_path: Path) -> None:
    lower = save(tmp_path / f"model{suffix}")
    upper = tmp_path / f"MODEL{suffix.upper()}"
    shutil.move(lower, upper)
    if suffix == ".xml":
        shutil.move(tmp_path / "model.bin", tmp_path / "MODEL.BIN")
    with load(upper) as model:
        image = np.ones(model.inputs[0].shape, np.float32)  # type: ignore[arg-type]
        assert model.infer({"image": image})
    assert describe(upper)["inputs"][0]["name"] == "image"


def future_ir() -> Any:
    model = conv_model()
    model.ir_version = 99
    return model


def future_opset() -> Any:
    model = conv_model()
    model.opset_import[0].version = 99
    return model


def foreign_operator() -> Any:
    model = conv_model()
    model.graph.node[1].domain, model.graph.node[1].op_type = "mmdeploy", "MMCVRoiAlign"
    return model


@pytest.mark.parametrize(
    ("make", "reason", "cure"),
    [
        (future_ir, r"Unsupported model IR version: 99, max supported IR version: \d+", "update onnxruntime"),
        (future_opset, r"Opset 99 .* is till opset \d+", "update onnxruntime, or export with a lower opset"),
        (foreign_operator, "No opset import for domain 'mmdeploy'", "export it without operators of others"),
        (unknown_operator_model, "No Op registered for Sparkle", "export it without operators of others"),
    ],
)
def test_the_whole_reason_of_onnx_runtime_is_told(
    make: Callable[[], Any], reason: str, cure: str, tmp_path: Path
) -> None:
    path = save(tmp_path / "model.onnx", make())
    with pytest.raises(ArtifactError, match=reason) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ONNX Runtime ")
    assert cure in message
    assert message.isprintable()
    assert "onnxruntime_src" not in message
    about = describe(path)
    assert about["backend"] == ""
    assert str(caught.value) == f"{path}: {about['problem']}"
    assert [tensor["name"] for tensor in (*about["inputs"], *about["outputs"])] == ["image", "heatmaps"]


def test_weights_in_a_file_of_their_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, data = tmp_path / "model.onnx", tmp_path / "model.onnx.data"
    onnx.save(conv_model(), path, save_as_external_data=True, location=data.name, size_threshold=0)
    load(path).close()
    data.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    for _ in range(2):
        with pytest.raises(ArtifactError, match="the files of its weights belong beside it, whole"):
            load(path)
        assert describe(path)["operators"] == {"Conv": 1, "Relu": 1}
        data.unlink(missing_ok=True)
    with pytest.raises(ArtifactError, match=r'does not exist: ".*model\.onnx\.data"'):
        load(path)
    assert capfd.readouterr() == ("", "")


def test_types_that_numpy_lacks_are_shown(tmp_path: Path) -> None:
    path = save(tmp_path / "model.onnx", casting(TensorProto.FLOAT, TensorProto.BFLOAT16))
    with pytest.raises(ArtifactError, match=r"model\.onnx: y is tensor\(bfloat16\), which edgehr neither feeds nor"):
        load(path)
    assert describe(path)["outputs"] == [{"name": "y", "shape": [1, 4], "dtype": "bfloat16"}]


def test_ir_that_openvino_cannot_read_is_shown(tmp_path: Path) -> None:
    path = save(tmp_path / "model.xml")
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace('type="ReLU" version="opset1"', 'type="Sparkle" version="extension"'), encoding="utf-8"
    )
    with pytest.raises(ArtifactError, match=r"model\.xml: OpenVINO cannot read it: .*Sparkle"):
        load(path)
    about = describe(path)
    assert "Sparkle" in about["problem"]
    assert about["inputs"] == [{"name": "image", "shape": [1, 3, 8, 8], "dtype": "float32"}]
    assert about["outputs"] == [{"name": "heatmaps", "shape": [1, 4, 8, 8], "dtype": "float32"}]
    assert about["operators"] == {"Convolution": 1, "Sparkle": 1}
    (tmp_path / "model.bin").unlink()
    assert "its weights file model.bin is not beside it" in describe(path)["problem"]


def test_tflite_with_an_unknown_operator_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "model.tflite", Op("Sparkle", [T()], [T((1, 8, 8, 2), "int8", None, (0.5,))]))
    with pytest.raises(ArtifactError, match=r"model\.tflite: .*Sparkle"):
        load(path)
    about = describe(path)
    assert "Sparkle" in about["problem"]
    assert about["inputs"] == [{"name": "t0", "shape": [1, 8, 8, 4], "dtype": "float32"}]
    assert about["outputs"] == [{"name": "t1", "shape": [1, 8, 8, 2], "dtype": "int8", "scale": 0.5, "zero_point": 0}]
    assert about["operators"] == {"Sparkle": 1}


@pytest.mark.parametrize("suffix", KINDS)
def test_files_that_are_no_models_are_called_by_name(suffix: str, tmp_path: Path) -> None:
    whole = save(tmp_path / f"whole{suffix}").read_bytes()
    cases = {
        "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        "page": (b"<!doctype html><html>404</html>", "a web page"),
        "empty": (b"", "the file is empty"),
        "zeros": (bytes(1000), "begins with nothing but zeros"),
        "packed": (b"\x1f\x8b\x08" + bytes(100), "a compressed archive"),
        "truncated": (whole[: len(whole) // 2], "truncated|damaged"),
    }
    for name, (content, said) in cases.items():
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(content)
        path.with_suffix(".bin").write_bytes(b"")
        for act in (load, describe):
            with pytest.raises(ArtifactError, match=said) as caught:
                act(path)
            assert path.name in str(caught.value)
            assert str(caught.value).isprintable()
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(ArtifactError, match="is a folder"):
        load(tmp_path / f"folder{suffix}")


def test_weights_of_ir_that_are_something_else(tmp_path: Path) -> None:
    path = save(tmp_path / "model.xml")
    weights = path.with_suffix(".bin")
    for content, said in (
        (b"version https://git-lfs.github.com/spec/v1\n", r"model\.bin: a Git LFS pointer"),
        (weights.read_bytes()[:10], r"model\.xml: OpenVINO cannot read it: "),
    ):
        weights.write_bytes(content)
        with pytest.raises(ArtifactError, match=said):
            load(path)


# File -> what `inspect` says of it.
SHARED = {
    "custom_op": "No opset import for domain 'mmdeploy'",
    "double_out": "y float64 (1, 3, 64, 64)",
    "external": "external.onnx.data",
    "external_missing": "nowhere0.onnx.data",
    "future_ir": "Unsupported model IR version: 99",
    "future_opset": "Opset 99",
    "int32_in": "x int32 (1, 3, 8, 8)",
    "int64_out": "kpts int64 (1, 1, 64, 64)",
    "paddle_like": "argmax int64 (1, 1, 64, 64)",
    "simcc_like": "simcc_x float32 (1, 3, 64, 64)",
}


@pytest.mark.parametrize("name", SHARED)
def test_inspect_shows_what_others_exported(name: str, shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shared / "faults" / "onnx" / f"{name}.onnx"
    assert main(["inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert SHARED[name] in said
    assert "none: edgehr did not convert this model" in said
    assert main(["inspect", str(path), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["inputs"]
    assert about["outputs"]
    assert ("problem" in about) == (not about["backend"])
