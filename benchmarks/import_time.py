"""Time `import edgehr` on top of NumPy and OpenCV, in whole processes that take turns. The bar is 100 ms."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from benchmarks import print_times
from edgehr.benchmark.timing import interleaved

BASE = "import numpy, cv2"
PROGRAMS = {
    BASE: BASE,
    "... and import edgehr": f"{BASE}, edgehr",
    "... and everything a device imports but a runtime": f"{BASE}, edgehr; edgehr.load, edgehr.Task, edgehr.ModelCard",
}


def main() -> None:
    calls = {
        name: lambda code=code: subprocess.run([sys.executable, "-c", code], check=True)
        for name, code in PROGRAMS.items()
    }
    times = interleaved(calls, rounds=15, warm_up=2)
    print_times("import", times, BASE)
    for name in list(PROGRAMS)[1:]:
        print(f"  {name:<44} adds {np.median(times[name] - times[BASE]):.1f} ms (median of paired differences)")


if __name__ == "__main__":
    main()
