"""Profile an inference by type of operator, as the runtime itself reports it."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from edgehr.runtimes.formats import format_of

RUNS, WARM_UP = 40, 10
Profile = list[tuple[str, int, float]]  # type, how many, milliseconds of one inference


def profile(path: Path, threads: int) -> Profile:
    """Sum the time of each type of operator, longest first; nothing for TFLite, which has no profiler in Python."""
    profilers = {"openvino": _openvino, "onnx": _onnxruntime}
    name = format_of(path).name
    if name not in profilers:
        return []
    times: dict[str, list[float]] = defaultdict(list)
    for kind, each in profilers[name](path, threads):
        times[kind].append(float(np.median(each)))
    return sorted(((kind, len(each), sum(each)) for kind, each in times.items()), key=lambda row: -row[2])


def _openvino(path: Path, threads: int) -> list[tuple[str, list[float]]]:
    import openvino as ov

    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERF_COUNT": True,
    }
    core = ov.Core()
    request = core.compile_model(core.read_model(path), "CPU", config).create_infer_request()
    image = [np.zeros(tuple(port.shape), np.float32) for port in request.model_inputs]
    found: dict[str, tuple[str, list[float]]] = {}
    for number in range(WARM_UP + RUNS):
        request.infer(image)
        for node in request.get_profiling_info() if number >= WARM_UP else ():
            if node.real_time:  # what was fused or needs no copy has none
                entry = found.setdefault(node.node_name, (f"{node.node_type} {node.exec_type}", []))
                entry[1].append(1000 * node.real_time.total_seconds())
    return list(found.values())


def _onnxruntime(path: Path, threads: int) -> list[tuple[str, list[float]]]:
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder, "profile"))
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0]
        for _ in range(WARM_UP + RUNS):
            session.run(None, {entry.name: np.zeros(entry.shape, np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    found: dict[str, tuple[str, list[float]]] = {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            kind = event["args"]["op_name"]
            found.setdefault(event["name"], (kind, []))[1].append(event["dur"] / 1000)
    return [(kind, times[WARM_UP:]) for kind, times in found.values()]
