"""The networks in PyTorch, their checkpoints, and `build`, which makes one from its card."""

from edgehr.models.build import PoseNetwork, build, load

__all__ = ["PoseNetwork", "build", "load"]
