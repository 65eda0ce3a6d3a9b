"""Times of operators in OpenVINO, from its performance counters."""

from __future__ import annotations

from typing import Any

from edgehr.runtimes.tensors import OperatorTime, Tensors

UNCOUNTED = 3


def profile_request(request: Any, inputs: Tensors, runs: int) -> list[OperatorTime]:
    """Run a request of a model that was compiled with `PERF_COUNT`, and average its operators' times.

    What was optimized away, or put into another operator, was not executed and is left out.
    """
    found: dict[tuple[str, str, str], float] = {}
    for number in range(UNCOUNTED + runs):
        request.infer(dict(inputs), share_inputs=True)
        if number < UNCOUNTED:
            continue
        for info in request.profiling_info:
            if info.status == type(info.status).EXECUTED:
                key = (info.node_name, info.node_type, info.exec_type)
                found[key] = found.get(key, 0.0) + info.real_time.total_seconds()
    return [OperatorTime(name, kind, 1000 * seconds / runs, kernel) for (name, kind, kernel), seconds in found.items()]
