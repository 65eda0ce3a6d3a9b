"""How each family of networks is quantized for each target, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.models.deploy.forms import SHUFFLE_FREE, Form


@dataclass(frozen=True)
class BaseRecipe:
    """What is quantized, and how. Weights are always symmetric, with a scale for each output channel.

    Attributes:
        name: What artifacts record.
        float_ends: The first and the last convolution stay in float.
        float_shared: Convolutions that share their filter with others stay in float.
        float_share: Of all multiply-adds, how many may stay in float, see `edgehr.calib.quantizer.noise.budget`.
        pooled_weight_only: Convolutions on 1x1 maps are quantized weight-only.
        weight_only: Names of further convolutions that are quantized weight-only.
        float_convolutions: Names of further ones that stay in float with their weights.
        centering_additions: What no bias can center, an addition may, see
            `edgehr.calib.quantizer.passes.bias_absorption`.
        ridge: See `edgehr.calib.quantizer.reconstruction.layers`.
        equalize_crops: How many crops equalization looks at.
        range_crops: How many crops observers look at.
        fit_crops: How many crops layers are fitted on; a larger network has larger tensors, all of which are in memory
            for every crop.
        form: How the network is written down before it is quantized.
    """

    name: str
    float_ends: bool = False
    float_shared: bool = False
    float_share: float = 0.0
    pooled_weight_only: bool = True
    weight_only: tuple[str, ...] = ()
    float_convolutions: tuple[str, ...] = ()
    centering_additions: bool = False
    ridge: float = 3e-3
    equalize_crops: int = 50
    range_crops: int = 50
    fit_crops: int = 150
    form: Form = SHUFFLE_FREE

    @property
    def max_crops(self) -> int:
        """Return the most crops that a step of it takes."""
        return max(self.equalize_crops, self.range_crops, self.fit_crops)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"type": type(self).__name__, **asdict(self)}


@dataclass(frozen=True)
class QDQRecipe(BaseRecipe):
    """For graphs with explicit Q/DQ (ONNX, OpenVINO, TensorRT): inputs of convolutions are quantized symmetrically.

    Attributes:
        unsigned: Tensors that are never negative take uint8.
        split_share: Of the convolutions in INT8, how many may get split activations, see
            `edgehr.calib.quantizer.noise.budget`.
    """

    unsigned: bool = False
    split_share: float = 0.0


@dataclass(frozen=True)
class KernelRecipe(BaseRecipe):
    """For integer kernels (TFLite): inputs and results of convolutions are quantized, with zero points.

    Attributes:
        dynamic: All but depthwise convolutions take dynamic ranges, and return float.
    """

    dynamic: bool = False


Recipe = QDQRecipe | KernelRecipe

# Of the forms that float takes (`edgehr.models.deploy.forms`), quantizers know those without broadcasting. TFLite's
# first convolution is in INT8 in the network with conditional weighting, where float does more good elsewhere.
DEFERRED_WEIGHTS, JOINED_STEM = Form(defer_weights=True), Form(joined_stem=True)
TENTH = 0.099

# (architecture, variant) -> kind -> recipe; "" is any variant that has no recipes of its own. Additions brought nothing
# beside unsigned tensors and dynamic ranges (docs/research/quantization-experiments.md). Conditional weighting ("lite")
# passes more rounding on than naive blocks do, which need no more than fixed ranges of 8 bits.
RECIPES: dict[tuple[str, str], dict[str, Recipe]] = {
    ("lite_hrnet", ""): {
        "unsigned": QDQRecipe("lite_hrnet-unsigned", float_share=TENTH, unsigned=True, form=DEFERRED_WEIGHTS),
        "symmetric": QDQRecipe("lite_hrnet-symmetric", float_share=TENTH, centering_additions=True),
        "kernels": KernelRecipe("lite_hrnet-kernels", float_share=TENTH, centering_additions=True, form=JOINED_STEM),
    },
    ("lite_hrnet", "lite"): {
        "unsigned": QDQRecipe(
            "lite_hrnet-unsigned", float_share=TENTH, unsigned=True, split_share=0.2, form=DEFERRED_WEIGHTS
        ),
        "symmetric": QDQRecipe("lite_hrnet-symmetric", float_share=TENTH, centering_additions=True, split_share=0.2),
        "kernels": KernelRecipe("lite_hrnet-dynamic", float_share=TENTH, dynamic=True, form=JOINED_STEM),
    },
    ("hrnet", ""): {
        "unsigned": QDQRecipe("hrnet-unsigned", float_ends=True, fit_crops=32, unsigned=True, form=DEFERRED_WEIGHTS),
        "symmetric": QDQRecipe("hrnet-symmetric", float_ends=True, fit_crops=32),
        "kernels": KernelRecipe("hrnet-kernels", float_ends=True, fit_crops=32, form=JOINED_STEM),
    },
}


# The other networks on HRNet's backbone are quantized as it is.
RECIPES |= {(name, ""): RECIPES["hrnet", ""] for name in ("hrnetv2", "hrnet_ocr", "hrnet_classifier")}
# So are backbone and pyramid of detectors; their heads look at all levels of it with the same filters.
RECIPES |= {
    (name, ""): {
        kind: replace(recipe, name=f"hrnetv2p-{kind}", float_shared=True)
        for kind, recipe in RECIPES["hrnet", ""].items()
    }
    for name in ("hrnet_fcos", "hrnet_rcnn")
}


def recipe_for(card: ModelCard, kind: str) -> Recipe:
    """Return the recipe of a model's family for the INT8 of a target.

    Args:
        card: The model.
        kind: ``unsigned`` for Q/DQ with zero points and unsigned tensors, which get twice the levels behind a ReLU;
            ``symmetric`` for Q/DQ without; ``kernels`` for a runtime's own integer kernels.

    Raises:
        EdgehrError: There is none.
    """
    architecture, variant = card.architecture, str(card.parameters.get("variant", ""))
    kinds = RECIPES.get((architecture, variant)) or RECIPES.get((architecture, ""))
    if kinds is None:
        known = " and ".join(dict.fromkeys(name for name, _ in RECIPES))
        raise EdgehrError(f"{card.name}: int8 is for networks of {known}, this is of {architecture}")
    if kind not in kinds:
        raise EdgehrError(f"no INT8 recipe of kind {kind!r}: expected one of {', '.join(kinds)}")
    return kinds[kind]
