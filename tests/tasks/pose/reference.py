"""Heatmap decoding as the papers describe it: one map at a time, with loops, to hold the batched code against."""

from __future__ import annotations

import cv2
import numpy as np


def peak(heatmap: np.ndarray) -> tuple[np.ndarray, float]:
    y, x = np.unravel_index(np.argmax(heatmap), heatmap.shape)
    score = float(heatmap[y, x])
    return (np.array([x, y], np.float64) if score > 0 else np.array([-1.0, -1.0])), score


def msra(heatmap: np.ndarray, _: int) -> np.ndarray:
    point, score = peak(heatmap)
    height, width = heatmap.shape
    x, y = point.astype(int)
    if score > 0 and 1 < x < width - 1 and 0 < y < height:
        point[0] += 0.25 * np.sign(heatmap[y, x + 1] - heatmap[y, x - 1])
    if score > 0 and 1 < y < height - 1 and 0 < x < width:
        point[1] += 0.25 * np.sign(heatmap[y + 1, x] - heatmap[y - 1, x])
    return point


def smoothed(heatmap: np.ndarray, kernel: int) -> np.ndarray:
    border = kernel // 2
    padded = np.pad(heatmap.astype(np.float64), border)
    result = cv2.GaussianBlur(padded, (kernel, kernel), 0)[border:-border, border:-border]
    return result * (heatmap.max() / result.max())


def dark(heatmap: np.ndarray, kernel: int) -> np.ndarray:
    point, score = peak(heatmap)
    height, width = heatmap.shape
    x, y = point.astype(int)
    if score <= 0 or not (1 < x < width - 2 and 1 < y < height - 2):
        return point
    log = np.log(np.maximum(smoothed(heatmap, kernel), 1e-10))
    gradient = 0.5 * np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]])
    dxx = 0.25 * (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2])
    dyy = 0.25 * (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x])
    dxy = 0.25 * (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1])
    hessian = np.array([[dxx, dxy], [dxy, dyy]])
    return point - np.linalg.solve(hessian, gradient) if np.linalg.det(hessian) else point


def udp(heatmap: np.ndarray, kernel: int) -> np.ndarray:
    point, score = peak(heatmap)
    if score <= 0:
        return point
    log = np.pad(np.log(np.clip(smoothed(heatmap, kernel), 1e-3, 50)), 1, mode="edge")
    x, y = point.astype(int) + 1
    gradient = 0.5 * np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]])
    dxx = log[y, x + 1] - 2 * log[y, x] + log[y, x - 1]
    dyy = log[y + 1, x] - 2 * log[y, x] + log[y - 1, x]
    dxy = 0.5 * (
        log[y + 1, x + 1] - log[y, x + 1] - log[y + 1, x] + 2 * log[y, x] - log[y, x - 1] - log[y - 1, x]
        + log[y - 1, x - 1]
    )  # fmt: skip
    hessian = np.array([[dxx, dxy], [dxy, dyy]]) + np.eye(2) * np.finfo(np.float32).eps
    return point - np.linalg.solve(hessian, gradient)


METHODS = {"msra": msra, "dark": dark, "udp": udp}
