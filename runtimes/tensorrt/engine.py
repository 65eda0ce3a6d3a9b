"""Deserialized engines: opening one, and reading its precision back."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from edgehr.errors import ArtifactError
from edgehr.runtimes.tensorrt.build import library_logger
from edgehr.runtimes.tensorrt.library import Library
from edgehr.runtimes.tensorrt.settings import BuildSettings

# In this order: "BFloat16" holds "Float16".
_FORMATS = (
    ("int8", "Int8"),
    ("fp8", "FP8"),
    ("bf16", "BF16"),
    ("bf16", "BFloat16"),
    ("fp16", "FP16"),
    ("fp16", "Half"),
    ("fp16", "Float16"),
    ("fp32", "FP32"),
    ("fp32", "Float"),
)


def open_engine(data: bytes, library: Library, settings: BuildSettings) -> tuple[Any, Any]:
    """Deserialize a plan whose sidecar was checked.

    Args:
        data: The plan.
        library: The TensorRT that built it.
        settings: What it was built with: a version-compatible plan brings a lean runtime of its own, and a plan for a
            DLA core opens on that core.

    Returns:
        TensorRT's runtime, which must live as long as the engine, and the engine.

    Raises:
        ArtifactError: TensorRT refuses the plan.
    """
    log = library_logger(library.trt)
    log.clear()
    runtime = library.trt.Runtime(log)
    if runtime is not None and settings.version_compatible:
        runtime.engine_host_code_allowed = True
    if runtime is not None and settings.dla_core >= 0:
        runtime.DLA_core = settings.dla_core
    engine = runtime.deserialize_cuda_engine(data) if runtime is not None else None
    if engine is None:
        raise ArtifactError(f"{library} cannot open this plan: {log.last() or 'no reason given'}")
    return runtime, engine


def make_context(engine: Any, library: Library, *, cuda_graph: bool) -> Any:
    """Make an execution context; with `cuda_graph`, TensorRT-RTX records by itself (dynamic shapes included).

    Raises:
        ArtifactError: TensorRT cannot make one.
    """
    if cuda_graph and library.is_rtx:
        config = engine.create_runtime_config()
        config.cuda_graph_strategy = library.trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        context = engine.create_execution_context(config)
    else:
        context = engine.create_execution_context()
    if context is None:
        raise ArtifactError("TensorRT cannot make an execution context: is there enough GPU memory?")
    return context


def engine_precisions(engine: Any, trt: Any) -> dict[str, int]:
    """Count the convolutions and matrix products of an engine by precision, as the engine inspector tells them.

    The inspector gives the format and type of each layer's inputs ("Row major linear FP16 format", "Channel major FP32
    format ..."); a layer computes in the type of its first one. Its wording differs between versions, so an engine that
    it does not explain gives an empty result rather than a guess.
    """
    inspector = engine.create_engine_inspector()
    if inspector is None:
        return {}
    try:
        text = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
        layers = json.loads(text).get("Layers", [])
    except (ValueError, AttributeError):
        return {}
    return layer_precisions(layers)


def layer_precisions(layers: list[Any]) -> dict[str, int]:
    """Count what `engine_precisions` does, on the inspector's list of layers."""
    counts: Counter[str] = Counter()
    for layer in layers:
        if not isinstance(layer, dict):  # without detailed verbosity layers are names only
            continue
        kind = f"{layer.get('LayerType', '')} {layer.get('ParameterType', '')}".lower()
        if not any(word in kind for word in ("conv", "gemm", "matmul", "matrixmultiply")):
            continue
        inputs = layer.get("Inputs") or [{}]
        described = str(inputs[0].get("Format/Datatype", inputs[0].get("Format", "")))
        name = next((name for name, word in _FORMATS if word.lower() in described.lower()), None)
        if name is None:
            return {}  # wording that is not known here: no answer rather than half of one
        counts[name] += 1
    return dict(counts)
