"""Which recipe a model gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgehr.calib.recipes import recipe_for
from edgehr.errors import EdgehrError
from edgehr.zoo import DEFAULT_DETECTOR, get_card


@pytest.mark.parametrize("target", ["tensorrt", "trt-bundle"])
def test_tensorrt_gets_signed_bytes_only(target: str) -> None:
    assert not recipe_for(get_card("litehrnet-18-coco-256x192"), target).unsigned


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_runtimes_with_unsigned_bytes_use_them(target: str) -> None:
    recipe = recipe_for(get_card("litehrnet-18-coco-256x192"), target)
    assert recipe.unsigned
    assert recipe.name == "lite_hrnet-unsigned"


def test_additions_center_where_steps_would_be_lost() -> None:
    targets = ("trt-bundle", "tflite", "onnx", "openvino")
    name = "litehrnet-18-wider-naive-coco-256x192"
    assert [recipe_for(get_card(name), each).additions for each in targets] == [True, True, False, False]
    assert not recipe_for(get_card("litehrnet-18-coco-256x192"), "tflite").additions  # no fixed ranges to center in
    assert not recipe_for(get_card("hrnet-w32-coco-256x192"), "tensorrt").additions


def test_conditional_weighting_is_read_in_two_steps_where_sums_are_in_float() -> None:
    gated, naive = get_card("litehrnet-18-coco-256x192"), get_card("litehrnet-18-wider-naive-coco-256x192")
    assert [recipe_for(gated, target).doubled_share > 0 for target in ("trt-bundle", "openvino", "tflite")] == [
        True,
        True,
        False,
    ]
    assert not recipe_for(naive, "openvino").doubled_share
    assert not recipe_for(get_card("hrnet-w32-coco-256x192"), "openvino").doubled_share


def test_a_large_network_is_fitted_on_fewer_crops() -> None:
    small, large = (
        recipe_for(get_card(name), "onnx") for name in ("litehrnet-18-coco-256x192", "hrnet-w32-coco-256x192")
    )
    assert large.fit_crops < small.fit_crops
    assert large.crops == large.equalize_crops


def test_a_judge_is_left_some_crops() -> None:
    recipe = recipe_for(get_card("litehrnet-18-coco-256x192"), "onnx")
    assert recipe.to_judge().crops < recipe.crops
    large = recipe_for(get_card("hrnet-w32-coco-256x192"), "onnx")
    assert large.to_judge() == large


def test_tflite_has_kernels_and_keeps_up_to_a_tenth_in_float() -> None:
    gated, naive = (recipe_for(get_card(f"litehrnet-18-{name}coco-256x192"), "tflite") for name in ("", "wider-naive-"))
    for recipe in (gated, naive):
        assert recipe.kernels
        assert 0.09 < recipe.float_share < 0.1
    assert gated.form.joined_stem
    assert not naive.form.for_shuffle_units().joined_stem
    assert recipe_for(get_card("hrnet-w32-coco-256x192"), "tflite").kernels


def test_conditional_weighting_has_dynamic_ranges_where_kernels_return_8_bits() -> None:
    names = ("litehrnet-18-coco-256x192", "litehrnet-18-wider-naive-coco-256x192", "hrnet-w32-coco-256x192")
    assert [recipe_for(get_card(name), "tflite").dynamic for name in names] == [True, False, False]
    assert [recipe_for(get_card(name), "tflite").name for name in names] == [
        "lite_hrnet-dynamic",
        "lite_hrnet-kernels",
        "hrnet-kernels",
    ]
    assert not any(recipe_for(get_card(names[0]), target).dynamic for target in ("onnx", "openvino", "tensorrt"))
    with pytest.raises(ValueError, match="dynamic ranges are those of kernels"):
        replace(recipe_for(get_card(names[0]), "onnx"), dynamic=True)


def test_what_has_no_recipe_is_refused() -> None:
    with pytest.raises(EdgehrError, match="int8 is for pose models"):
        recipe_for(get_card(DEFAULT_DETECTOR), "onnx")
    with pytest.raises(EdgehrError, match="no INT8 recipe for coreml"):
        recipe_for(get_card("litehrnet-18-coco-256x192"), "coreml")
