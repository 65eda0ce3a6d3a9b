"""Quantize edgehr's float32 artifacts by the tools of others, with nothing set but the calibration crops.

NNCF needs an environment of its own (`make quant-report` makes it); the others are in the project's.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.runtimes import load
from edgehr.runtimes.artifact import Artifact

CROPS = 100  # the first ones of the calibration set

Crops = list[NDArray[np.float32]]
# Of a float32 artifact, its description, crops (1, ...) in its layout, the file to write.
Quantize = Callable[[Path, Artifact, Crops, Path], None]


def quantize_with(name: str, source: Path, crops: CalibrationSet, path: Path) -> None:
    """Quantize a float32 artifact by one of `QUANTIZERS`, and let the result say what it is."""
    run, tool, settings = QUANTIZERS[name]
    with load(source) as runtime:
        artifact = runtime.artifact
    if artifact is None:
        raise ValueError(f"{source} was not made by edgehr")
    taken = list(islice(crops.batches(artifact.card), CROPS))
    tools = {**artifact.tools, tool: version(tool)}
    described = replace(artifact, precision="int8", tools=tools, recipe=f"{tool} {settings}")
    run(source, crops.recorded(described), taken, path)


def _onnxruntime(source: Path, artifact: Artifact, crops: Crops, path: Path) -> None:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from edgehr.converters.onnx.graph import embed

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest: Iterator[Any] = iter(crops)

        def get_next(self) -> dict[str, Any] | None:
            crop = next(self.rest, None)
            return None if crop is None else {artifact.card.input.name: crop}

    with tempfile.TemporaryDirectory() as folder:
        prepared, quantized = Path(folder, "prepared.onnx"), Path(folder, "quantized.onnx")
        quant_pre_process(source, prepared)
        quantize_static(prepared, quantized, Reader())
        model = onnx.load(quantized)
    del model.metadata_props[:]
    embed(model, artifact)
    onnx.save(model, path)


def _nncf(preset: str) -> Quantize:
    def run(source: Path, artifact: Artifact, crops: Crops, path: Path) -> None:
        import openvino as ov

        from edgehr.converters.openvino.ir import save_ir

        model = ov.Core().read_model(str(source))
        with contextlib.redirect_stdout(sys.stderr):  # its progress; the table alone goes to standard output
            import nncf

            chosen = nncf.QuantizationPreset(preset)
            quantized = nncf.quantize(model, nncf.Dataset(crops), preset=chosen, subset_size=len(crops))
        save_ir(quantized, path, artifact, fp16_weights=False)

    return run


def _ai_edge_quantizer(source: Path, artifact: Artifact, crops: Crops, path: Path) -> None:
    from edgehr.converters.tflite.metadata import embed
    from edgehr.converters.tflite.static_int8 import quantize_static

    content = quantize_static(source.read_bytes(), crops, artifact.card.input.name, integer_io=True)
    path.write_bytes(embed(content, artifact))


# By name: how, the package, and what was chosen in it, in words.
QUANTIZERS: dict[str, tuple[Quantize, str, str]] = {
    "onnxruntime": (_onnxruntime, "onnxruntime", "quantize_static, defaults"),
    "nncf-mixed": (_nncf("mixed"), "nncf", "mixed preset"),
    "nncf-default": (_nncf("performance"), "nncf", "default preset"),
    "ai-edge-quantizer": (_ai_edge_quantizer, "ai-edge-quantizer", "static_wi8_ai8"),
}
