"""Which recipe a model gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgehr.calib.recipes import KernelRecipe, QDQRecipe, recipe_for
from edgehr.converters.target import TARGETS, make_target
from edgehr.errors import EdgehrError
from edgehr.zoo import get_card

GATED, NAIVE, LARGE = (
    "litehrnet-18-coco-256x192",
    "litehrnet-18-wider-naive-coco-256x192",
    "hrnet-w32-coco-256x192",
)


def qdq(name: str, target: str) -> QDQRecipe:
    recipe = recipe_for(get_card(name), TARGETS.get(target).recipe_kind)
    assert isinstance(recipe, QDQRecipe)
    return recipe


def kernels(name: str) -> KernelRecipe:
    recipe = recipe_for(get_card(name), TARGETS.get("tflite").recipe_kind)
    assert isinstance(recipe, KernelRecipe)
    return recipe


@pytest.mark.parametrize("target", ["tensorrt", "trt-bundle"])
def test_tensorrt_gets_signed_bytes_only(target: str) -> None:
    assert not qdq(GATED, target).unsigned


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_runtimes_with_unsigned_bytes_use_them(target: str) -> None:
    recipe = qdq(GATED, target)
    assert recipe.unsigned
    assert recipe.name == "lite_hrnet-unsigned"


def test_additions_center_where_levels_would_be_lost() -> None:
    targets = ("trt-bundle", "tflite", "onnx", "openvino")
    found = [recipe_for(get_card(NAIVE), TARGETS.get(each).recipe_kind).centering_additions for each in targets]
    assert found == [True, True, False, False]
    assert not kernels(GATED).centering_additions  # no fixed ranges to center in
    assert not qdq(LARGE, "tensorrt").centering_additions


def test_conditional_weighting_has_split_activations_where_sums_are_in_float() -> None:
    assert qdq(GATED, "trt-bundle").split_share == qdq(GATED, "openvino").split_share == 0.2
    assert not qdq(NAIVE, "openvino").split_share
    assert not qdq(LARGE, "openvino").split_share


def test_a_large_network_is_fitted_on_fewer_crops() -> None:
    small, large = qdq(GATED, "onnx"), qdq(LARGE, "onnx")
    assert large.fit_crops < small.fit_crops
    assert large.max_crops == large.equalize_crops


def test_tflite_keeps_up_to_a_tenth_in_float() -> None:
    gated, naive = kernels(GATED), kernels(NAIVE)
    for recipe in (gated, naive):
        assert 0.09 < recipe.float_share < 0.1
    assert gated.form.joined_stem
    assert not naive.form.for_shuffle_units().joined_stem


def test_conditional_weighting_has_dynamic_ranges_where_kernels_return_8_bits() -> None:
    found = [kernels(name) for name in (GATED, NAIVE, LARGE)]
    assert [recipe.dynamic for recipe in found] == [True, False, False]
    assert [recipe.name for recipe in found] == ["lite_hrnet-dynamic", "lite_hrnet-kernels", "hrnet-kernels"]


def test_what_has_no_recipe_is_refused() -> None:
    with pytest.raises(EdgehrError, match="int8 is for networks of lite_hrnet and hrnet"):
        recipe_for(get_card("yolox-nano-coco-416x416"), "unsigned")
    with pytest.raises(EdgehrError, match="no INT8 recipe of kind 'coreml'"):
        recipe_for(get_card(GATED), "coreml")


def test_int8_without_a_recipe_is_refused_before_the_work() -> None:
    target = make_target("openvino", precision="int8")
    with pytest.raises(EdgehrError, match=r"int8 is for networks of .*, this is of vit"):
        target.check_model(replace(get_card("hrnetv2-w18-wflw-256x256"), architecture="vit"))
    target.check_model(get_card("hrnetv2-w18-wflw-256x256"))
