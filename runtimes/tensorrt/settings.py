"""Settings of TensorRT's builder, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from edgehr.errors import EdgehrError


@dataclass(frozen=True)
class BuildSettings:
    """Settings of TensorRT's builder.

    Attributes:
        min_batch: Smallest batch of a model with dynamic batch.
        opt_batch: The batch it is tuned for.
        max_batch: The largest.
        workspace_mib: Limit of scratch memory; 0 leaves TensorRT's.
        optimization_level: 0 (fast build) to 5 (long search); -1 leaves TensorRT's (3).
        timing_cache: File that keeps kernel timings from build to build; empty for none (`tensorrt` only).
        version_compatible: Runs on later versions of the same major TensorRT (`tensorrt` only).
        hardware_compatible: Runs on every GPU from Ampere on, slower (`tensorrt` only).
        dla_core: Run what it takes on this DLA core of a Jetson, the rest on the GPU; -1 for the GPU alone.
        compute_capabilities: GPUs to build for without having one (`tensorrt_rtx` only): ``8.9``, ``12.0``, ...; empty
            for TensorRT-RTX's default, every one from Ampere on.
    """

    min_batch: int = 1
    opt_batch: int = 1
    max_batch: int = 8
    workspace_mib: int = 0
    optimization_level: int = -1
    timing_cache: str = ""
    version_compatible: bool = False
    hardware_compatible: bool = False
    dla_core: int = -1
    compute_capabilities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.min_batch <= self.opt_batch <= self.max_batch:
            raise EdgehrError(
                "the batch profile needs 1 <= min <= opt <= max, "
                f"got {self.min_batch}, {self.opt_batch}, {self.max_batch}"
            )
        if not -1 <= self.optimization_level <= 5:
            raise EdgehrError(f"optimization level must be 0 to 5, got {self.optimization_level}")
        if self.workspace_mib < 0:
            raise EdgehrError(f"workspace must not be negative, got {self.workspace_mib} MiB")
        for capability in self.compute_capabilities:
            major, _, minor = capability.partition(".")
            if not (major.isdigit() and minor.isdigit()):
                raise EdgehrError(f"{capability!r} is no compute capability: 8.9 or 12.0 for example")

    @property
    def has_profile(self) -> bool:
        """Tell whether the batches of a dynamic model were chosen."""
        default = BuildSettings
        chosen = (self.min_batch, self.opt_batch, self.max_batch)
        return chosen != (default.min_batch, default.opt_batch, default.max_batch)

    def without_profile(self) -> BuildSettings:
        """Return the same settings for a model of fixed batch."""
        default = BuildSettings
        return replace(self, min_batch=default.min_batch, opt_batch=default.opt_batch, max_batch=default.max_batch)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "compute_capabilities": list(self.compute_capabilities)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BuildSettings:
        """Read what `to_dict` wrote; raises EdgehrError for anything else."""
        unknown = set(data) - {entry.name for entry in fields(cls)}
        if unknown:
            raise EdgehrError(f"unknown build setting: {', '.join(sorted(unknown))}")
        return cls(**{**data, "compute_capabilities": tuple(data.get("compute_capabilities", ()))})
