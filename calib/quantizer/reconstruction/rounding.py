"""Weights rounded to integers, so that a layer's output changes as little as can be."""

from __future__ import annotations

import torch
from torch import Tensor

from edgehr.calib.quantizer.simulation import MAX_WEIGHT

# Scales that are tried, as fractions of the one at which a row's largest weight is the largest integer.
FRACTIONS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6)
MIN_DAMPING = 1e-2  # in parts of the mean of a diagonal
BLOCK = 64  # columns whose errors are handed on to those after them at once, which is faster


def choose_scales(weight: Tensor, hessian: Tensor) -> Tensor:
    """Choose the scale of each row: that of least square error of weights, counted by how strong their inputs are.

    Args:
        weight: (..., R, C), C weights for each of R outputs.
        hessian: (..., C, C), second moments of the inputs.

    Returns:
        (..., R).
    """
    strength = torch.diagonal(hessian, dim1=-2, dim2=-1).unsqueeze(-2)
    widest = weight.abs().amax(-1) / MAX_WEIGHT
    # A row of zeros takes any scale; kernels multiply by it, so it is one like the others'.
    widest = torch.where(widest > 0, widest, widest.max().clamp(min=1e-9))
    scales = torch.stack([widest * fraction for fraction in FRACTIONS])
    errors = torch.stack([((round_to(weight, scale) - weight) ** 2 * strength).sum(-1) for scale in scales])
    return scales.gather(0, errors.argmin(0, keepdim=True))[0]


def round_to(weight: Tensor, scale: Tensor) -> Tensor:
    """Round weights (..., R, C) to the nearest multiples of their row's scale (..., R)."""
    return (weight / scale[..., None]).round().clamp(-MAX_WEIGHT, MAX_WEIGHT) * scale[..., None]


def round_with_feedback(weight: Tensor, hessian: Tensor, scale: Tensor) -> Tensor:
    """Round weights one input after the other, each input's error made up for by those that are still free.

    Optimal brain quantization (Frantar and Alistarh, Optimal Brain Compression, 2022) in the fixed order of GPTQ
    (Frantar et al., 2023): with U the upper Cholesky factor of the inverse Hessian, the error of column c is spread
    over the columns after it by U[c, c:] / U[c, c]. The strongest inputs come first, while most others are free.

    Args:
        weight: (..., R, C).
        hessian: (..., C, C), symmetric, with positive elements on its diagonal.
        scale: (..., R).

    Returns:
        (..., R, C), whole multiples of the scales.
    """
    order = torch.diagonal(hessian, dim1=-2, dim2=-1).reshape(-1, hessian.shape[-1]).sum(0).argsort(descending=True)
    free = weight[..., order].clone()
    inverse = torch.cholesky_inverse(_cholesky(hessian[..., order, :][..., :, order]))
    factor = torch.linalg.cholesky(inverse, upper=True)
    rounded = torch.empty_like(free)
    for start in range(0, free.shape[-1], BLOCK):
        stop = min(start + BLOCK, free.shape[-1])
        errors = torch.zeros_like(free[..., start:stop])
        for column in range(start, stop):
            before = free[..., column : column + 1]
            rounded[..., column : column + 1] = round_to(before, scale)
            error = (before - rounded[..., column : column + 1]) / factor[..., column, column, None, None]
            free[..., column:stop] -= error * factor[..., column, None, column:stop]
            errors[..., column - start : column - start + 1] = error
        free[..., stop:] -= errors @ factor[..., start:stop, stop:]
    return rounded[..., order.argsort()]


def _cholesky(hessian: Tensor) -> Tensor:
    """Factorize (..., C, C); more is added to its diagonal where rounding left it not quite positive definite.

    That happens to covariances of inputs that hardly vary around large means.
    """
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(hessian)
    damping = torch.diagonal(hessian, dim1=-2, dim2=-1).mean(-1)[..., None, None] * torch.eye(hessian.shape[-1])
    share = MIN_DAMPING
    while failed.any():
        factor, failed = torch.linalg.cholesky_ex(hessian + share * damping)
        share *= 10
    return factor
