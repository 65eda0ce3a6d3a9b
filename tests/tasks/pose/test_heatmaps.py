from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgehr.errors import TensorError
from edgehr.tasks.image.boxes import fraction_of_window
from edgehr.tasks.pose.heatmaps import average_flipped, decode
from edgehr.tasks.pose.spec import Decoding
from tests import golden_files
from tests.tasks.pose.reference import METHODS

WARP = {"msra": "affine", "dark": "affine", "udp": "udp"}
TOLERANCE = 0.01  # pixels of the network input


@pytest.mark.parametrize("path", golden_files.decodes())
@pytest.mark.parametrize("method", METHODS)
def test_golden_keypoints_of_mmpose_are_found(method: str, path: Path) -> None:
    with np.load(path) as golden:
        heatmaps = golden["heatmaps"]
        expected, expected_scores = golden[f"{method}_keypoints"], golden[f"{method}_scores"]
    keypoints, scores = decode(heatmaps, Decoding(method, 11))
    sides = heatmaps.shape[:1:-1]  # width, height
    pixels = fraction_of_window(keypoints, sides, WARP[method]) * 4 * np.array(sides, np.float32)
    defined = np.isfinite(expected).all(axis=-1)
    assert defined.sum() > 100
    assert np.abs(pixels - expected)[defined].max() <= TOLERANCE
    assert np.isfinite(pixels).all()
    np.testing.assert_array_equal(scores, expected_scores)


def gaussians(count: int, height: int, width: int, seed: int) -> np.ndarray:
    """Peaks anywhere, the edges included, of any height, with noise on some, as a network makes them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    maps = []
    for index in range(count):
        cx, cy, sigma = rng.uniform(-1, width), rng.uniform(-1, height), rng.uniform(1.2, 3)
        peak = rng.uniform(0.05, 1.1) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))
        maps.append(peak + (0.01 * rng.standard_normal(peak.shape) if index % 3 == 0 else 0))
    return np.array(maps, np.float32)


@pytest.mark.parametrize("kernel", [11, 17])
@pytest.mark.parametrize("method", METHODS)
def test_agrees_with_the_loop_over_joints(method: str, kernel: int) -> None:
    heatmaps = gaussians(120, 64, 48, seed=kernel).reshape(8, 15, 64, 48)
    keypoints, _ = decode(heatmaps, Decoding(method, kernel))
    expected = np.array([[METHODS[method](heatmap, kernel) for heatmap in person] for person in heatmaps])
    near = np.abs(expected - keypoints.round()).max(axis=-1) < 3  # a step that flies off is noise in either
    assert near.mean() > 0.9
    assert np.abs(keypoints - expected)[near].max() < TOLERANCE / 4


@pytest.mark.parametrize("method", METHODS)
def test_a_clean_peak_is_found_within_its_method_s_reach(method: str) -> None:
    y, x = np.mgrid[:64, :48]
    heatmap = np.exp(-((x - 20.3) ** 2 + (y - 33.6) ** 2) / 8).astype(np.float32)
    keypoints, scores = decode(heatmap[None, None], Decoding(method))
    reach = 0.2 if method == "msra" else 0.01
    assert np.abs(keypoints[0, 0] - [20.3, 33.6]).max() < reach
    assert scores[0, 0] == heatmap.max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, -1.0, 0.5, 100.0])
def test_flat_maps_give_finite_answers(method: str, value: float) -> None:
    keypoints, scores = decode(np.full((1, 2, 16, 12), value, np.float32), Decoding(method))
    assert np.isfinite(keypoints).all()
    assert (scores == value).all()
    if value <= 0:
        assert (keypoints == -1).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("place", [(0, 0), (0, 11), (15, 0), (15, 11), (1, 1), (14, 10), (7, 0)])
def test_peaks_at_the_edge_stay_near_it(method: str, place: tuple[int, int]) -> None:
    heatmap = np.zeros((1, 1, 16, 12), np.float32)
    heatmap[0, 0][place] = 1
    keypoints, _ = decode(heatmap, Decoding(method))
    assert np.abs(keypoints[0, 0] - place[::-1]).max() <= 1


def test_half_precision_and_strided_maps_decode_alike() -> None:
    heatmaps = gaussians(6, 32, 24, seed=3).reshape(2, 3, 32, 24)
    expected, _ = decode(heatmaps, Decoding("dark"))
    strided, _ = decode(np.asfortranarray(heatmaps), Decoding("dark"))
    np.testing.assert_array_equal(strided, expected)
    half, _ = decode(heatmaps.astype(np.float16), Decoding("msra"))
    assert np.abs(half - decode(heatmaps, Decoding("msra"))[0]).max() <= 0.5


@pytest.mark.parametrize("shape", [(17, 64, 48), (1, 17, 2, 48), (1, 17, 64)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TensorError, match=r"\(N, K, H, W\)"):
        decode(np.zeros(shape, np.float32), Decoding())


def test_flipped_maps_are_mirrored_swapped_and_shifted() -> None:
    heatmaps = np.zeros((1, 3, 4, 5), np.float32)
    heatmaps[0, 0, 1, 1] = heatmaps[0, 1, 2, 3] = heatmaps[0, 2, 3, 4] = 1
    mirrored = heatmaps[:, [0, 2, 1], :, ::-1]
    np.testing.assert_array_equal(average_flipped(heatmaps, mirrored, (0, 2, 1), shift=False), heatmaps)
    shifted = average_flipped(np.zeros_like(heatmaps), mirrored, (0, 2, 1), shift=True)
    assert shifted[0, 0, 1, 2] == 0.5
    assert shifted[0, 0, 1, 1] == 0
    assert shifted[0, 2, 3, 4] == 0  # moved out of the map
