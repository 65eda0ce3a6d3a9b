"""Times of nodes in ONNX Runtime, which writes them to a file as its profiler's events."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgehr.errors import EdgehrError, first_line
from edgehr.files import temporary_folder
from edgehr.runtimes.onnx.library import ort
from edgehr.runtimes.tensors import OperatorTime, Tensors

UNCOUNTED = 3
_ENDING = "_kernel_time"  # of the events that are a node's computation


def profile_session(
    model: str | bytes, settings: tuple[Callable[[], Any], Sequence[str]], inputs: Tensors, runs: int
) -> list[OperatorTime]:
    """Open a session that times its nodes, and run it.

    Args:
        model: What sessions are opened from.
        settings: Makes session options; execution providers.
        inputs: By name.
        runs: Inferences to average over.

    Raises:
        EdgehrError: ONNX Runtime failed.
    """
    make_options, providers = settings
    with temporary_folder() as folder:
        options = make_options()
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        try:
            session = ort.InferenceSession(model, options, providers=list(providers))
            for _ in range(UNCOUNTED + runs):
                session.run(None, dict(inputs))
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8", errors="replace"))
        except Exception as error:  # ONNX Runtime has an exception type per status code and no common base
            raise EdgehrError(f"ONNX Runtime did not time its nodes: {first_line(error)}") from error
    return read_events(events, runs)


def read_events(events: Sequence[dict[str, Any]], runs: int) -> list[OperatorTime]:
    """Average the last runs of each node in the profiler's events, whose durations are microseconds."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        name = event.get("name", "")
        if event.get("cat") == "Node" and name.endswith(_ENDING):
            found.setdefault(name.removesuffix(_ENDING), []).append(event)
    return [
        OperatorTime(
            name,
            all_of[-1].get("args", {}).get("op_name", ""),
            sum(event["dur"] for event in all_of[-runs:]) / 1000 / min(runs, len(all_of)),
            all_of[-1].get("args", {}).get("provider", "").removesuffix("ExecutionProvider"),
        )
        for name, all_of in found.items()
    ]
