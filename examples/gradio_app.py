"""People and their keypoints in the browser: upload a picture, or take one with the webcam.

    pip install "edgehr[openvino]" gradio
    python examples/gradio_app.py

Gradio prints the address of the page. A program can ask it, too: "Use via API" at its foot says how.
"""

from __future__ import annotations

from typing import Any

import gradio
import numpy as np
from numpy.typing import NDArray

import edgehr

estimator = edgehr.PoseEstimator()  # may be called from several threads, as Gradio does


def find_people(picture: NDArray[np.uint8] | None) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Draw skeletons into a picture, RGB as Gradio has it, and return it with the people in it."""
    if picture is None:
        raise gradio.Error("choose a picture first", print_exception=False)
    drawn = np.ascontiguousarray(picture[..., ::-1])  # edgehr has BGR, as OpenCV
    poses = estimator(drawn)
    edgehr.draw_poses(drawn, poses)
    return drawn[..., ::-1], poses.to_dict()


app = gradio.Interface(
    find_people,
    gradio.Image(label="Picture"),
    [gradio.Image(label="People"), gradio.JSON(label="Keypoints")],
    title="edgehr",
    flagging_mode="never",
)

if __name__ == "__main__":
    app.launch()
