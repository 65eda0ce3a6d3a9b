"""Times in print, beside a reference of the same run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def report(title: str, times: Mapping[str, np.ndarray], reference: str | None = None) -> None:
    """Print p50 and p90 of each alternative, and its median's ratio to the reference's."""
    print(f"\n{title}")
    for name, values in times.items():
        ratio = f"   x{np.median(values) / np.median(times[reference]):.2f}" if reference else ""
        print(f"  {name:<44} p50 {np.median(values):8.3f} ms   p90 {np.percentile(values, 90):8.3f} ms{ratio}")
