"""Quantize by the tools of others: from the form, by the crops and with the float convolutions that edgehr has.

Each tool quantizes everything that it can, or convolutions alone, as edgehr does. NNCF needs an environment of its own
(`make quant-report` makes it).
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.runtimes import load
from edgehr.runtimes.artifact import Artifact
from edgehr.runtimes.formats import format_of

AT_ONCE = 10  # crops whose tensors ONNX Runtime's calibration holds at a time
# What NNCF shall leave in float beside convolutions.
NO_CONVOLUTIONS = ("Add", "Multiply", "Interpolate", "Concat", "AvgPool", "MaxPool", "ReduceMean", "Sigmoid", "Relu")


@dataclass(frozen=True)
class Job:
    """What is quantized, and with what.

    Attributes:
        source: A float32 artifact, in the form that edgehr quantizes.
        path: The file to write.
        artifact: What that says of itself.
        calibration: The calibration set.
        crops: All its crops, (1, ...) in the artifact's layout.
        in_float: Names of the operators that shall stay in float, as the source has them.
    """

    source: Path
    path: Path
    artifact: Artifact
    calibration: CalibrationSet
    crops: list[NDArray[np.float32]]
    in_float: tuple[str, ...]


@dataclass(frozen=True)
class Quantizer:
    """A tool, what was chosen in it, in words, and what runs it."""

    tool: str
    settings: str
    run: Callable[[Job], None]

    def __str__(self) -> str:
        return f"{self.tool}, {self.settings}"


def quantize_with(
    name: str, source: Path, calibration: CalibrationSet, path: Path, in_float: Collection[str] = ()
) -> None:
    """Quantize a float32 artifact by one of `QUANTIZERS`, and let the result say what it is."""
    by = QUANTIZERS[name]
    with load(source) as runtime:
        artifact = runtime.artifact
    if artifact is None:
        raise ValueError(f"{source} was not made by edgehr")
    tools = {**artifact.tools, by.tool: version(by.tool)}
    described = replace(artifact, precision="int8", tools=tools, recipe=str(by))
    crops = list(calibration.batches(artifact.card))
    job = Job(source, path, calibration.recorded(described), calibration, crops, tuple(sorted(in_float)))
    with contextlib.redirect_stdout(sys.stderr):  # progress; the table alone goes to standard output
        by.run(job)


def float_convolutions(quantized: Path, source: Path) -> list[str]:
    """Name the convolutions of a float32 artifact that a quantized one of the same graph computes in float."""
    layers, others = (format_of(path).coverage(path).layers for path in (source, quantized))
    if source.suffix != ".tflite":
        in_float = {node.name for node in others if not node.int8}
        return [node.name for node in layers if node.name in in_float]
    # Operators have no names there; both files have them in one order.
    if [node.macs for node in layers] != [node.macs for node in others]:
        raise ValueError(f"{quantized} and {source} are not of the same graph")
    return [node.name for node, other in zip(layers, others, strict=True) if not other.int8]


def _onnxruntime(method: str, *, convolutions: bool = False) -> Callable[[Job], None]:
    def run(job: Job) -> None:
        import onnx
        from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        from edgehr.converters.onnx.graph import embed

        class Reader(CalibrationDataReader):  # type: ignore[misc]
            rest = iter(job.crops)

            def __len__(self) -> int:
                return len(job.crops)

            def set_range(self, start_index: int, end_index: int) -> None:
                self.rest = iter(job.crops[start_index:end_index])

            def get_next(self) -> dict[str, Any] | None:
                crop = next(self.rest, None)
                return None if crop is None else {job.artifact.card.input.name: crop}

        at_once = max(size for size in range(1, AT_ONCE + 1) if len(job.crops) % size == 0)
        options: dict[str, Any] = {"CalibStridedMinMax": at_once}  # it applies to all methods
        if convolutions:
            options["OpTypesToExcludeOutputQuantization"] = ["Conv"]
        with tempfile.TemporaryDirectory() as folder:
            prepared, quantized = Path(folder, "prepared.onnx"), Path(folder, "quantized.onnx")
            quant_pre_process(job.source, prepared, skip_optimization=True)
            quantize_static(
                prepared,
                quantized,
                Reader(),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                op_types_to_quantize=["Conv"] if convolutions else None,
                nodes_to_exclude=list(job.in_float),
                calibrate_method=CalibrationMethod[method],
                extra_options=options,
            )
            model = onnx.load(quantized)
        del model.metadata_props[:]
        embed(model, job.artifact)
        onnx.save(model, job.path)

    return run


def _nncf(preset: str, *, convolutions: bool = False) -> Callable[[Job], None]:
    def run(job: Job) -> None:
        import nncf
        import openvino as ov
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

        from edgehr.converters.openvino.ir import save_ir

        model = ov.Core().read_model(str(job.source))
        settings = {
            "preset": nncf.QuantizationPreset(preset),
            "fast_bias_correction": True,  # the other one holds more than 10 GB for 300 crops
            "ignored_scope": nncf.IgnoredScope(
                names=list(job.in_float),
                types=list(NO_CONVOLUTIONS) if convolutions else [],
                validate=False,
            ),
        }
        # All eight bits of weights, as edgehr: the CPU has VNNI.
        advanced = AdvancedQuantizationParameters(overflow_fix=OverflowFix.DISABLE)
        quantized = nncf.quantize(
            model, nncf.Dataset(job.crops), subset_size=len(job.crops), advanced_parameters=advanced, **settings
        )
        save_ir(quantized, job.path, job.artifact, fp16_weights=False)

    return run


def _ai_edge_quantizer(*, convolutions: bool = False, dynamic: bool = False) -> Callable[[Job], None]:
    def run(job: Job) -> None:
        from ai_edge_quantizer import quantizer, recipe_manager
        from ai_edge_quantizer.algorithm_manager import AlgorithmName
        from ai_edge_quantizer.qtyping import TFLOperationName as Op

        from edgehr.converters.tflite.builder import SIGNATURE
        from edgehr.converters.tflite.metadata import embed

        rules = recipe_manager.RecipeManager()
        kinds = [Op.CONV_2D, Op.DEPTHWISE_CONV_2D] if convolutions or dynamic else [Op.ALL_SUPPORTED]
        for kind in kinds:
            if dynamic and kind is Op.CONV_2D:  # no fast kernel does that for depthwise ones
                rules.add_dynamic_config(".*", kind, 8)
            else:
                rules.add_static_config(".*", kind, 8, 8)
        for kind in (Op.INPUT, Op.OUTPUT):
            rules.add_quantization_config(".*", kind, algorithm_key=AlgorithmName.NO_QUANTIZE)
        for name in job.in_float:
            rules.add_quantization_config(
                f"^{re.escape(name)};", Op.ALL_SUPPORTED, algorithm_key=AlgorithmName.NO_QUANTIZE
            )
        work = quantizer.Quantizer(bytearray(job.source.read_bytes()))
        work.load_quantization_recipe(rules.get_quantization_recipe())
        ranges = work.calibrate({SIGNATURE: [{job.artifact.card.input.name: crop} for crop in job.crops]})
        result = work.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
        job.path.write_bytes(embed(bytes(result.quantized_model), job.artifact))

    return run


QUANTIZERS = {
    "ort-minmax": Quantizer("onnxruntime", "MinMax", _onnxruntime("MinMax")),
    "ort-minmax-convolutions": Quantizer(
        "onnxruntime", "MinMax, convolutions alone", _onnxruntime("MinMax", convolutions=True)
    ),
    "ort-percentile-convolutions": Quantizer(
        "onnxruntime", "Percentile, convolutions alone", _onnxruntime("Percentile", convolutions=True)
    ),
    "nncf-mixed": Quantizer("nncf", "mixed preset", _nncf("mixed")),
    "nncf-mixed-convolutions": Quantizer("nncf", "mixed preset, convolutions alone", _nncf("mixed", convolutions=True)),
    "aeq-static": Quantizer("ai-edge-quantizer", "static", _ai_edge_quantizer()),
    "aeq-static-convolutions": Quantizer(
        "ai-edge-quantizer", "static, convolutions alone", _ai_edge_quantizer(convolutions=True)
    ),
    "aeq-dynamic": Quantizer(
        "ai-edge-quantizer", "dynamic, depthwise convolutions static", _ai_edge_quantizer(dynamic=True)
    ),
}
