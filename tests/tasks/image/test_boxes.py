from pathlib import Path

import numpy as np
import pytest

from edgehr.errors import TensorError
from edgehr.tasks.image.boxes import Windows, as_boxes
from tests import golden_files


@pytest.mark.parametrize("path", golden_files.decodes())
def test_golden_windows_and_warps_of_mmpose_are_made(path: Path) -> None:
    with np.load(path) as golden:
        xywh = golden["boxes_xywh"]
        height, width = (4 * side for side in golden["heatmaps"].shape[2:])
        windows = Windows.from_boxes(np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1), width / height)
        np.testing.assert_allclose(windows.center, golden["center"], atol=1e-3)
        np.testing.assert_allclose(windows.size, golden["scale"], atol=1e-3)
        np.testing.assert_allclose(windows.matrices(width, height, "affine"), golden["warp"], atol=1e-3)
        np.testing.assert_allclose(windows.matrices(width, height, "udp"), golden["udp_warp"], atol=1e-3)


@pytest.mark.parametrize("warp", ["affine", "udp"])
def test_keypoints_go_back_to_where_the_warp_took_them_from(warp: str) -> None:
    windows = Windows.from_boxes(as_boxes([[10, 20, 210, 120], [300, 40, 330, 400]]), 192 / 256)
    points = np.array([[50.0, 60.0], [320.0, 200.0]])
    matrices = windows.matrices(192, 256, warp)
    inputs = np.einsum("nij,nj->ni", matrices[:, :, :2], points) + matrices[:, :, 2]
    # A heatmap has a quarter of the pixels: by the corner pixels' centers for udp, by the edges for affine.
    cells = inputs * (np.array([47, 63]) / np.array([191, 255])) if warp == "udp" else inputs / 4
    back = windows.to_image(cells[:, None], (48, 64), warp)[:, 0]
    np.testing.assert_allclose(back, points, atol=1e-3)


def test_windows_have_the_aspect_and_hold_the_padded_box() -> None:
    boxes = as_boxes([[0, 0, 100, 50], [0, 0, 50, 100], [-20, -20, 10, 300]])
    windows = Windows.from_boxes(boxes, 0.75)
    np.testing.assert_allclose(windows.size[:, 0] / windows.size[:, 1], 0.75, rtol=1e-6)
    assert (windows.size >= 1.25 * (boxes[:, 2:] - boxes[:, :2]) - 1e-3).all()


def test_a_single_box_and_none() -> None:
    assert as_boxes([1, 2, 3, 4]).shape == (1, 4)
    assert as_boxes([]).shape == (0, 4)
    assert as_boxes(np.zeros((0, 4))).shape == (0, 4)


@pytest.mark.parametrize("boxes", [[[1, 2, 3]], [[3, 3, 3, 9]], [[5, 5, 1, 9]], [[0, 0, np.nan, 5]], [[[1, 2, 3, 4]]]])
def test_other_boxes_are_refused(boxes: object) -> None:
    with pytest.raises(TensorError, match="boxes must be"):
        as_boxes(boxes)  # type: ignore[arg-type]
