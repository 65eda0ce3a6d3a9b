"""ONNX to OpenVINO IR."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from edgehr.converters.openvino.compress import compress_model, strip_indentation
from edgehr.errors import EdgehrError
from edgehr.files import sha256_file
from edgehr.runtimes.artifact import METADATA_KEY, Artifact
from edgehr.runtimes.openvino.ir_file import HASH_MARKER
from edgehr.runtimes.openvino.library import ov, without_telemetry
from edgehr.runtimes.self_hash import PLACEHOLDER, sealed

PASSIVE = ("Constant", "Convert", "Parameter", "Result")  # operators that compute nothing


def to_ir(model: Any) -> Any:
    """Read an `onnx.ModelProto` into an `openvino.Model`.

    Raises:
        EdgehrError: OpenVINO refuses the graph.
    """
    try:
        # Not Core.read_model: only this folds the shape computations that the ONNX reader leaves around every
        # convolution (903 ShapeOf in Lite-HRNet-18) and recognizes channel shuffles.
        with without_telemetry():
            return ov.convert_model(io.BytesIO(model.SerializeToString()))
    except RuntimeError as error:
        raise EdgehrError(f"OpenVINO cannot read the graph: {str(error).strip().splitlines()[-1]}") from error


def save_ir(model: Any, path: Path, artifact: Artifact, *, fp16_weights: bool) -> None:
    """Write `.xml` and `.bin` with the artifact's description, the hash of the `.bin` and its own in the `.xml`.

    Args:
        model: An `openvino.Model`; of an INT8 artifact it is compressed, in place.
        path: The `.xml` file.
        artifact: Goes into `rt_info`.
        fp16_weights: Store weights in float16.

    Raises:
        EdgehrError: OpenVINO cannot write them, as on a full disk.
    """
    is_int8 = artifact.precision == "int8"
    if is_int8:
        compress_model(model)
    model.set_rt_info(artifact.to_json(), [METADATA_KEY, "artifact"])
    try:
        ov.save_model(model, str(path), compress_to_fp16=fp16_weights)
        # The .xml is written twice: the hash of the .bin is only known once it stands there, and does not depend on it.
        model.set_rt_info(sha256_file(path.with_suffix(".bin")), [METADATA_KEY, "bin_sha256"])
        model.set_rt_info(PLACEHOLDER, [METADATA_KEY, "whole_sha256"])
        ov.save_model(model, str(path), compress_to_fp16=fp16_weights)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise EdgehrError(f"{path.name}: OpenVINO cannot write it ({reason}): is the disk full?") from None
    if is_int8:
        strip_indentation(path)
    path.write_bytes(sealed(path.read_bytes(), HASH_MARKER))


def ir_nodes(model: Any) -> int:
    """Count the operators that compute: all but constants, their conversions, inputs and outputs."""
    return sum(node.get_type_name() not in PASSIVE for node in model.get_ops())


def ir_precision(path: Path) -> str:
    """Return the precision that most weight values of an IR are stored in, read back from its constants."""
    sizes: dict[str, int] = {}
    for node in ov.Core().read_model(str(path)).get_ops():
        if node.get_type_name() == "Constant":
            kind = node.get_element_type().get_type_name()
            sizes[kind] = sizes.get(kind, 0) + node.get_byte_size()
    names = {"f32": "fp32", "f16": "fp16", "i8": "int8", "u8": "int8"}
    return names.get(max(sizes, key=lambda kind: sizes[kind]), "fp32")
