"""Rename the keys of checkpoints to the names that this package's networks use: those of mmpose 1.x.

Each code base that publishes checkpoints has one `KeyMapping` in `KEY_MAPPINGS`; another one joins as another entry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class KeyMapping:
    """The keys of one code base, and the rules that rename them.

    Attributes:
        source: The code base.
        marker: Regular expression that some key of its checkpoints matches, from the start of the key on.
        rules: Regular expressions and their replacements, applied to every key one after the other.
    """

    source: str
    marker: str
    rules: tuple[tuple[str, str], ...]

    def rename(self, key: str) -> str:
        """Apply the rules to a key."""
        for pattern, replacement in self.rules:
            key = re.sub(pattern, replacement, key)
        return key


# The first whose marker is found is applied.
KEY_MAPPINGS = (
    KeyMapping(
        "mmpose 1.x, mmpose 0.x and the official Lite-HRNet",
        r"backbone\.",
        (
            (r"^keypoint_head\.", "head."),
            # mmpose 0.x puts the extra convolution of HRNetV2 heads and the last layer into one Sequential.
            (r"^head\.final_layer\.([01])\.", r"head.conv_layers.\1."),
            (r"^head\.final_layer\.3\.", "head.final_layer."),
        ),
    ),
    KeyMapping(
        "the official deep-high-resolution-net, whose keys have no prefix",
        "",
        ((r"^(?!final_layer\.)", "backbone."), (r"^final_layer\.", "head.final_layer.")),
    ),
)


def rename_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give every key the name that it has in this package's networks.

    Args:
        state: Tensors by the names of one of the sources in `KEY_MAPPINGS`, plain or as saved from DataParallel
            (`module.`). Names of other sources come out as names that no network has.
    """
    if state and all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    for mapping in KEY_MAPPINGS:
        if any(re.match(mapping.marker, key) for key in state):
            return {mapping.rename(key): tensor for key, tensor in state.items()}
    return dict(state)
