"""Network: what every architecture builds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from edgehr.errors import EdgehrError

# What a network returns: its only output, or several, by name or in the order in which its card names them.
Outputs = Tensor | Mapping[str, Tensor] | tuple[Tensor, ...]


class Network(nn.Module):
    """A backbone and a head.

    Args:
        backbone: Maps images (N, 3, H, W) to features of one or several resolutions.
        head: Maps these to what the network returns.
        finish: Is applied to that in the end; it has no weights.
        parts: Further networks by name, which the task runs on what it makes of this one's outputs.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        finish: nn.Module | None = None,
        parts: Mapping[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.finish = finish or nn.Identity()
        self.parts = nn.ModuleDict(dict(parts or {}))

    def forward(self, image: Tensor) -> Any:
        """Map normalized images (N, 3, H, W), H and W divisible by 32, to `Outputs`."""
        return self.finish(self.head(self.backbone(image)))


def name_outputs(outputs: Outputs, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Arrange what a network returned by name.

    Args:
        outputs: What it returned.
        names: Of its outputs, as its card has them.

    Returns:
        One tensor a name, in the order of the names.

    Raises:
        EdgehrError: There are more or fewer outputs than names, or others.
    """
    if isinstance(outputs, Tensor):
        outputs = (outputs,)
    if not isinstance(outputs, Mapping) and len(outputs) == len(names):
        return dict(zip(names, outputs, strict=True))
    if isinstance(outputs, Mapping) and set(outputs) == set(names):
        return {name: outputs[name] for name in names}
    found = ", ".join(outputs) if isinstance(outputs, Mapping) else f"{len(outputs)} tensors"
    raise EdgehrError(
        f"the network returns {found} where its card names {', '.join(names)}: correct the card's outputs"
    )
