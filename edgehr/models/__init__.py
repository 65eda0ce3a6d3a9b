"""Build networks in PyTorch from their model cards, load checkpoints into them, and rewrite them for inference."""

from edgehr.models.build import ARCHITECTURES, build, load
from edgehr.models.network import Network

__all__ = ["ARCHITECTURES", "Network", "build", "load"]
