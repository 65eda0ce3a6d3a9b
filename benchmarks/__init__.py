"""Measurements behind the figures in docs/. Run the quick ones with `make bench`, or any one as a module."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def print_times(title: str, times: Mapping[str, np.ndarray], reference: str | None = None) -> None:
    """Print the p50 and p90 of each alternative's milliseconds, and its median's ratio to that of a reference."""
    print(f"\n{title}")
    for name, values in times.items():
        ratio = f"   x{np.median(values) / np.median(times[reference]):.2f}" if reference else ""
        print(f"  {name:<44} p50 {np.median(values):8.3f} ms   p90 {np.percentile(values, 90):8.3f} ms{ratio}")
