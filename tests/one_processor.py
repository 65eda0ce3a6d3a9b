"""Workers that do not get into each other's way."""

from __future__ import annotations

import os
import sys
from typing import Any


def keep_to_one(worker: int) -> None:
    """Give a worker one processor, and so to all that it starts.

    Otherwise every library in each of them starts as many threads as there are processors, which then wait for each
    other more than they work. Most libraries count the processors that a process may use.
    """
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    if sys.platform == "linux":
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[worker % len(processors)]})
    _one_thread_of_onnx_runtime()


def _one_thread_of_onnx_runtime() -> None:
    """It counts the processors of the machine, and keeps its threads to one each."""
    import onnxruntime as ort

    usual = ort.InferenceSession.__init__

    def start(self: Any, model: Any, sess_options: Any = None, *arguments: Any, **named: Any) -> None:
        options = sess_options or ort.SessionOptions()
        options.intra_op_num_threads = options.intra_op_num_threads or 1
        usual(self, model, options, *arguments, **named)

    ort.InferenceSession.__init__ = start
