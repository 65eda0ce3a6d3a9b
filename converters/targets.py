"""Targets by name."""

from __future__ import annotations

from edgehr.converters.target import Target
from edgehr.errors import EdgehrError

TARGETS = ("onnx", "openvino", "tensorrt", "trt-bundle", "tflite")


def make_target(name: str) -> Target:
    """A target with its defaults; raises EdgehrError for an unknown one."""
    if name not in TARGETS:
        raise EdgehrError(f"unknown target {name!r}: expected one of {', '.join(TARGETS)}")
    if name == "tflite":
        from edgehr.converters.tflite.target import TFLiteTarget

        return TFLiteTarget()
    from edgehr.converters.onnx import targets as onnx_targets

    makers: dict[str, type[Target]] = {
        "onnx": onnx_targets.OnnxTarget,
        "openvino": onnx_targets.OpenVINOTarget,
        "tensorrt": onnx_targets.TensorRTTarget,
        "trt-bundle": onnx_targets.BundleTarget,
    }
    return makers[name]()
