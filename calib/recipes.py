"""How each family of networks is quantized for each target, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from edgehr.calib.quantizer.ranges import BOTH_ENDS
from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.models.deploy.forms import SHUFFLE_FREE, Form

JUDGED_FIT_CROPS = 200


@dataclass(frozen=True)
class Recipe:
    """What is quantized, and how. Weights are always symmetric, with a step for each output channel.

    Attributes:
        name: What artifacts record.
        ends: The first and the last convolution stay in float.
        float_share: Of all multiply-adds, how many may stay in float, see `edgehr.calib.quantizer.budget`.
        doubled_share: Of the convolutions in INT8, how many may take what they read in two steps, see
            `edgehr.calib.quantizer.budget`; not with kernels, nor with free zero points.
        points: Convolutions that make 1x1 maps stay in float, with weights of 8 bits.
        unsigned: Tensors that are never negative take 0 to 255.
        ranges: How the ranges of activations are found, see `edgehr.calib.quantizer.ranges`.
        ridge: See `edgehr.calib.quantizer.reconstruct`.
        equalize_crops: How many crops equalization looks at, see `edgehr.calib.quantizer.equalize`.
        range_crops: How many the ranges are from.
        fit_crops: How many layers are fitted on.
        additions: What no bias can center, an addition may, see `edgehr.calib.quantizer.off_center`.
        also: Names of further convolutions that stay in float, with weights of 8 bits.
        full: Names of further ones whose weights stay in float, too.
        kernels: The runtime's INT8 convolutions of INT8 data return INT8, see `edgehr.calib.quantizer.kernels`; what is
            never negative takes all steps then, and zero points are free.
        dynamic: With kernels, those of all but depthwise convolutions take dynamic ranges, see
            `edgehr.calib.quantizer.dynamic`.
        form: How the network is written down before it is quantized.
    """

    name: str
    ends: bool = False
    float_share: float = 0.0
    doubled_share: float = 0.0
    points: bool = True
    unsigned: bool = False
    ranges: str = "mse"
    ridge: float = 3e-3
    equalize_crops: int = 100
    range_crops: int = 100
    fit_crops: int = 300
    additions: bool = False
    also: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    kernels: bool = False
    dynamic: bool = False
    form: Form = SHUFFLE_FREE

    def __post_init__(self) -> None:
        if self.dynamic and not self.kernels:
            raise ValueError("dynamic ranges are those of kernels")
        if self.doubled_share and (self.kernels or self.ranges == BOTH_ENDS):
            raise ValueError("what reads in two steps has no zero points, and sums in float behind it")

    @property
    def crops(self) -> int:
        """The most crops that a step of it takes."""
        return max(self.equalize_crops, self.range_crops, self.fit_crops)

    def to_judge(self) -> Recipe:
        """The same that leaves crops of a usual set to judge the result on."""
        return replace(self, fit_crops=min(self.fit_crops, JUDGED_FIT_CROPS))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "also": list(self.also), "full": list(self.full)}


# TensorRT's INT8 has no zero points and no unsigned type. ONNX Runtime and OpenVINO have both, so that tensors behind a
# ReLU get twice the steps there.
UNSIGNED = {"onnx": True, "openvino": True, "tensorrt": False, "trt-bundle": False}

# Of the forms that float takes (`edgehr.models.deploy.forms`), quantizers know those without broadcasting. TFLite's
# first convolution is in INT8 in the network with conditional weighting, where float does more good elsewhere.
FORMS = {True: Form(defer_weights=True), False: SHUFFLE_FREE}
WITH_KERNELS = Form(joined_stem=True)

# Variants of Lite-HRNet for `Recipe.doubled_share` and `Recipe.dynamic`. Conditional weighting passes more rounding on
# than naive blocks do, which need no more than fixed ranges of 8 bits (docs/quantization.md).
DOUBLED_SHARES = {"lite": 0.2}
DYNAMIC = ("lite",)


@dataclass(frozen=True)
class Family:
    """What differs between families of networks.

    Attributes:
        ends: See `Recipe`.
        float_share: See `Recipe`.
        fit_crops: See `Recipe`; a larger network has larger tensors, all of which are in memory for every crop.
        additions: See `Recipe`; not with unsigned tensors, where they brought nothing (docs/quantization.md), nor with
            dynamic ranges.
    """

    ends: bool
    float_share: float
    fit_crops: int
    additions: bool


FAMILIES = {
    "lite_hrnet": Family(ends=False, float_share=0.099, fit_crops=300, additions=True),
    "hrnet": Family(ends=True, float_share=0.0, fit_crops=32, additions=False),
}


def recipe_for(card: ModelCard, target: str) -> Recipe:
    """The recipe of a model's family for a target.

    Raises:
        EdgehrError: There is none.
    """
    if card.architecture not in FAMILIES:
        raise EdgehrError(
            f"{card.name}: int8 is for networks of {' and '.join(FAMILIES)}, this is of {card.architecture}"
        )
    if target not in (*UNSIGNED, "tflite"):
        raise EdgehrError(f"no INT8 recipe for {target}: expected one of {', '.join((*UNSIGNED, 'tflite'))}")
    family, variant = asdict(FAMILIES[card.architecture]), card.parameters.get("variant", "")
    if target == "tflite":
        dynamic = variant in DYNAMIC
        family["additions"] = family["additions"] and not dynamic
        name = f"{card.architecture}-{'dynamic' if dynamic else 'kernels'}"
        return Recipe(name, kernels=True, dynamic=dynamic, ranges=BOTH_ENDS, form=WITH_KERNELS, **family)
    unsigned = UNSIGNED[target]
    doubled_share = DOUBLED_SHARES.get(variant, 0.0)
    family["additions"] = family["additions"] and not unsigned
    name = f"{card.architecture}-{'unsigned' if unsigned else 'symmetric'}"
    return Recipe(name, unsigned=unsigned, doubled_share=doubled_share, form=FORMS[unsigned], **family)
