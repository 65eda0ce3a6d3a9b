"""Times of layers in TensorRT, which its profiler is told of after each inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgehr.runtimes.tensors import OperatorTime

UNCOUNTED = 3


def profile_context(trt: Any, context: Any, infer: Callable[[], object], runs: int) -> list[OperatorTime]:
    """Run an execution context with a profiler, and average its layers' times.

    Args:
        trt: The module.
        context: Which nothing else uses, and which runs no more afterwards: it keeps a pointer to the profiler.
        infer: Runs it once and waits.
        runs: Inferences to average over.
    """

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.times: dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times[layer_name] = self.times.get(layer_name, 0.0) + ms

    profiler = Profiler()
    for _ in range(UNCOUNTED):
        infer()
    context.profiler = profiler
    for _ in range(runs):
        infer()
    # TensorRT names a layer by what was fused into it, and does not tell its type here.
    return [OperatorTime(name, "", ms / runs) for name, ms in profiler.times.items()]
