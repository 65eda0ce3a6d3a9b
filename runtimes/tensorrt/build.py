"""From an ONNX graph to a plan.

Precision is in the graph: TensorRT 11 has no precision flags and no calibrators, and 10 takes strongly typed networks
too. Only TensorRT 8 has to be told that float16 and INT8 are allowed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edgehr.errors import EdgehrError
from edgehr.files import atomic_write
from edgehr.runtimes.tensorrt.library import Library
from edgehr.runtimes.tensorrt.settings import BuildSettings

SHOWN_ERRORS = 3
KEPT_MESSAGES = 50
COMPUTING = ("CONVOLUTION", "MATRIX_MULTIPLY", "DECONVOLUTION")
_NAMES = {"FLOAT": "fp32", "HALF": "fp16", "BF16": "bf16", "INT8": "int8", "FP8": "fp8"}


@dataclass(frozen=True)
class Plan:
    """What the builder made.

    Attributes:
        data: The serialized engine.
        layers: Layers of the parsed network.
        precisions: How many convolutions and matrix products of the parsed network compute in which precision.
        inputs: Name and shape (-1 for a dynamic batch) of each input.
        outputs: The same of each output.
        profiles: Smallest, tuned and largest shape of each dynamic input.
        warnings: What the library warned of, the last first.
    """

    data: bytes
    layers: int
    precisions: dict[str, int]
    inputs: dict[str, list[int]]
    outputs: dict[str, list[int]]
    profiles: dict[str, list[list[int]]]
    warnings: list[str]


def build_plan(onnx: bytes, library: Library, settings: BuildSettings) -> Plan:
    """Parse a graph and build a plan from it.

    Args:
        onnx: A serialized ONNX model with its precision in the graph.
        library: The TensorRT to build with.
        settings: How.

    Raises:
        EdgehrError: The parser refuses a node (named, with advice), a setting does not suit the library, or the builder
            fails.
    """
    trt = library.trt
    log = library_logger(trt)
    log.clear()
    builder = trt.Builder(log)
    if builder is None:
        raise EdgehrError(f"{library} does not start: {log.last()}")
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(onnx):
        raise EdgehrError(_parser_message(parser, library))
    precisions = network_precisions(network)
    config = builder.create_builder_config()
    _configure(builder, config, library, settings, precisions)
    profiles = _add_profile(builder, network, config, settings)
    cache = _load_timing_cache(config, settings.timing_cache)
    data = builder.build_serialized_network(network, config)
    if data is None:
        raise EdgehrError(f"{library} cannot build the plan: {log.last() or 'no reason given'}")
    if cache is not None:
        _save_timing_cache(config, settings.timing_cache)
    outputs = (network.get_output(index) for index in range(network.num_outputs))
    return Plan(
        data=bytes(data),
        layers=network.num_layers,
        precisions=precisions,
        inputs={tensor.name: list(tensor.shape) for tensor in _inputs(network)},
        outputs={tensor.name: list(tensor.shape) for tensor in outputs},
        profiles=profiles,
        warnings=list(log.warnings),
    )


@cache
def library_logger(trt: Any) -> Any:
    """Return the logger of a TensorRT for the whole process: the library keeps the first one that it is given.

    It keeps the latest warnings and errors instead of printing them.
    """

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=KEPT_MESSAGES)
            self.warnings: deque[str] = deque(maxlen=KEPT_MESSAGES)

        def clear(self) -> None:
            self.errors.clear()
            self.warnings.clear()

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                self.errors.append(message)
            elif severity == trt.ILogger.Severity.WARNING:
                self.warnings.appendleft(message)

        def last(self) -> str:
            return self.errors[-1].strip().splitlines()[0] if self.errors else ""

    return Log()


def network_precisions(network: Any) -> dict[str, int]:
    """Count a network's convolutions and matrix products by precision, from its tensors' types.

    One fed by dequantize layers computes in INT8.
    """
    made_by = {}
    for layer in _layers(network):
        for index in range(layer.num_outputs):
            made_by[layer.get_output(index).name] = layer.type.name
    counts: Counter[str] = Counter()
    for layer in _layers(network):
        if layer.type.name in COMPUTING:
            # Weights are inputs too where they are dequantized; the first input is always the activation.
            quantized = made_by.get(layer.get_input(0).name) == "DEQUANTIZE"
            kind = layer.get_output(0).dtype.name
            counts["int8" if quantized else _NAMES.get(kind, kind.lower())] += 1
    return dict(counts)


def _network_flags(trt: Any) -> int:
    kinds = trt.NetworkDefinitionCreationFlag.__members__
    wanted = "STRONGLY_TYPED" if "STRONGLY_TYPED" in kinds else "EXPLICIT_BATCH"  # TensorRT 8 has only the latter
    return 1 << int(kinds[wanted])


def _parser_message(parser: Any, library: Library) -> str:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    described = []
    for error in errors[:SHOWN_ERRORS]:
        node = error.node_name() if callable(getattr(error, "node_name", None)) else f"number {error.node()}"
        operator = error.node_operator() if callable(getattr(error, "node_operator", None)) else ""
        described.append(f"node {node or '(unnamed)'} {operator}: {error.desc().strip().splitlines()[0]}")
    more = f"; and {len(errors) - SHOWN_ERRORS} more" if len(errors) > SHOWN_ERRORS else ""
    return (
        f"{library} cannot take this graph: {'; '.join(described) or 'it is not an ONNX model'}{more}. "
        "Convert it again with this version of edgehr; if the operator is one of your own, replace it before export"
    )


def _configure(
    builder: Any, config: Any, library: Library, settings: BuildSettings, precisions: dict[str, int]
) -> None:
    trt, flags = library.trt, library.trt.BuilderFlag.__members__
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the engine inspector needs it to tell precisions
    if "STRONGLY_TYPED" not in trt.NetworkDefinitionCreationFlag.__members__:
        for precision, flag in (("fp16", "FP16"), ("int8", "INT8")):
            if precision in precisions:
                config.set_flag(flags[flag])
    if "TF32" in flags:  # float32 means float32
        config.clear_flag(flags["TF32"])
    if settings.workspace_mib:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_mib << 20)
    if settings.optimization_level >= 0:
        config.builder_optimization_level = settings.optimization_level
    if library.is_rtx:
        _configure_rtx(config, library, settings)
    else:
        _configure_tensorrt(builder, config, library, settings)


def _configure_rtx(config: Any, library: Library, settings: BuildSettings) -> None:
    for wanted, name in (
        (settings.version_compatible, "version-compatible plans"),
        (settings.hardware_compatible, "hardware-compatible plans (its plans run on Ampere and later as they are)"),
        (settings.dla_core >= 0, "DLA"),
        (bool(settings.timing_cache), "timing cache (it chooses kernels on the GPU that runs them)"),
    ):
        if wanted:
            raise EdgehrError(f"{library} has no {name}: use tensorrt, or leave the setting out")
    known = library.trt.ComputeCapability.__members__
    if settings.compute_capabilities:
        config.num_compute_capabilities = len(settings.compute_capabilities)
        for index, capability in enumerate(settings.compute_capabilities):
            name = f"SM{capability.replace('.', '')}"
            if name not in known:
                listed = ", ".join(f"{key[2:-1]}.{key[-1]}" for key in known if key.startswith("SM"))
                raise EdgehrError(
                    f"{library} cannot build for compute capability {capability}: expected one of {listed}"
                )
            if not config.set_compute_capability(known[name], index):
                raise EdgehrError(f"{library} refuses compute capability {capability}")


def _configure_tensorrt(builder: Any, config: Any, library: Library, settings: BuildSettings) -> None:
    trt = library.trt
    if settings.compute_capabilities:
        raise EdgehrError(
            f"{library} builds for the GPU it runs on; building for other compute capabilities needs tensorrt_rtx"
        )
    if settings.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if settings.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if settings.dla_core >= 0:
        if settings.dla_core >= builder.num_DLA_cores:
            raise EdgehrError(f"there is no DLA core {settings.dla_core} here: TensorRT sees {builder.num_DLA_cores}")
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = settings.dla_core
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _add_profile(builder: Any, network: Any, config: Any, settings: BuildSettings) -> dict[str, list[list[int]]]:
    profiles: dict[str, list[list[int]]] = {}
    profile = builder.create_optimization_profile()
    for tensor in _inputs(network):
        batch, *rest = tensor.shape
        if -1 in rest:
            raise EdgehrError(f"input {tensor.name} is dynamic beyond its batch: {tuple(tensor.shape)}")
        if batch == -1:
            shapes = [[size, *rest] for size in (settings.min_batch, settings.opt_batch, settings.max_batch)]
            profile.set_shape(tensor.name, *shapes)
            profiles[tensor.name] = shapes
    if settings.has_profile and not profiles:
        raise EdgehrError("a batch profile needs a model converted with --batch dynamic: this one's batch is fixed")
    if settings.dla_core >= 0 and profiles and settings.min_batch != settings.max_batch:
        raise EdgehrError("a DLA core takes no dynamic batch: convert with --batch N, or give --profile N,N,N")
    if profiles:
        config.add_optimization_profile(profile)
    return profiles


def _load_timing_cache(config: Any, name: str) -> Any:
    if not name:
        return None
    path = Path(name)
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    # A cache of another GPU or version is refused rather than believed.
    if cache is None or not config.set_timing_cache(cache, False):
        raise EdgehrError(f"{path}: this timing cache is damaged, or of another TensorRT or GPU: delete it")
    return cache


def _save_timing_cache(config: Any, name: str) -> None:
    with atomic_write(Path(name)) as (temporary,):
        temporary.write_bytes(bytes(config.get_timing_cache().serialize()))


def _inputs(network: Any) -> Iterator[Any]:
    return (network.get_input(index) for index in range(network.num_inputs))


def _layers(network: Any) -> Iterator[Any]:
    return (network.get_layer(index) for index in range(network.num_layers))
