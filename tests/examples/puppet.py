"""A video with a known number of curls: the forearm of somebody in a photograph, turned about the elbow.

No clip at hand shows an exercise. Here the pixels of the person are real, and how often the arm bends is known.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

FPS = 15
HALF_WIDTH = 16  # of the forearm, pixels
HAND = 1.6  # elbow to fingertips, in lengths of the forearm


def write_curls(
    photograph: Path, elbow: tuple[float, float], wrist: tuple[float, float], turns: list[float], out: Path
) -> None:
    """Write a video in which the arm turns by each angle and back, a second and a half each, with a pause between.

    Args:
        photograph: Of somebody whose arm hangs down in front of a plain background.
        elbow: Its pixels.
        wrist: Its pixels.
        turns: Degrees, positive clockwise as one sees it.
        out: An `.mp4` file.
    """
    image = cv2.imread(str(photograph))
    assert image is not None
    joint, arm = np.array(elbow), np.array(wrist) - elbow
    mask = np.zeros(image.shape[:2], np.uint8)
    tip = joint + HAND * arm
    cv2.line(mask, tuple(map(round, elbow)), tuple(map(round, tip)), 255, 2 * HALF_WIDTH)
    behind = cv2.inpaint(image, cv2.dilate(mask, np.ones((9, 9), np.uint8)), 5, cv2.INPAINT_TELEA)
    video = cv2.VideoWriter(str(out), cv2.VideoWriter.fourcc(*"mp4v"), FPS, image.shape[1::-1])
    for turn in _course(turns):
        video.write(_turned(image, behind, mask, elbow, turn))
    video.release()


def _course(turns: list[float]) -> list[float]:
    """The angle of every frame."""
    rest = [0.0] * (FPS // 2)
    swing = (1 - np.cos(np.linspace(0, 2 * np.pi, 3 * FPS // 2))) / 2
    return rest + [angle for turn in turns for angle in [*(turn * swing).tolist(), *rest]]


def _turned(
    image: NDArray[np.uint8],
    behind: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    elbow: tuple[float, float],
    turn: float,
) -> NDArray[np.uint8]:
    matrix = cv2.getRotationMatrix2D(elbow, -turn, 1.0)
    size = image.shape[1::-1]
    arm = cv2.warpAffine(image, matrix, size)
    share = cv2.GaussianBlur(cv2.warpAffine(mask, matrix, size), (5, 5), 0)[..., None] / 255.0
    return np.asarray(share * arm + (1 - share) * behind, np.uint8)
