"""Print the peak memory, in MiB, of a process that loads one artifact and runs it.

python -m benchmarks.peak_memory FILE THREADS
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edgehr.benchmark.fresh import peak_mib
from edgehr.runtimes import Runtime, load
from edgehr.runtimes.formats import format_of

RUNS = 10


def open_float32(path: Path, threads: int) -> Runtime:
    """Open an artifact; OpenVINO would compute in bfloat16 where the CPU can."""
    return load(path, threads=threads, precision="fp32" if format_of(path).name == "openvino" else None)


def main() -> None:
    path, threads = Path(sys.argv[1]), int(sys.argv[2])
    with open_float32(path, threads) as runtime:
        entry = runtime.inputs[0]
        for _ in range(RUNS):
            runtime.infer({entry.name: np.zeros([size or 1 for size in entry.shape], entry.dtype)})
    print(peak_mib())


if __name__ == "__main__":
    main()
