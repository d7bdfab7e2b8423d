"""Losses on decoded depth, which do not care for scale and shift: those are fitted to each frame first."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

OUTLINE_SCALES = 3  # halvings at which depth jumps are compared


def align(predicted: Tensor, metres: Tensor) -> Tensor:
    """s p + t with the least-squares (s, t) of each frame, differentiable: [batch, H, W] metres.

    Args:
        predicted: [batch, H, W], any scale and shift.
        metres: [batch, H, W], > 0.
    """
    p, z = predicted.flatten(1), metres.flatten(1)
    p_mean, z_mean = p.mean(1, keepdim=True), z.mean(1, keepdim=True)
    covariance = ((p - p_mean) * (z - z_mean)).mean(1, keepdim=True)
    scale = covariance / ((p - p_mean).square().mean(1, keepdim=True) + 1e-4)
    return ((p - p_mean) * scale + z_mean).view_as(metres)


def abs_rel(aligned: Tensor, metres: Tensor) -> Tensor:
    """Mean of |aligned - z| / z, the first figure that depth is judged by."""
    error: Tensor = ((aligned - metres).abs() / metres).mean()
    return error


def outline_error(aligned: Tensor, metres: Tensor) -> Tensor:
    """Mean difference of the slopes of relative error, at several resolutions (MiDaS, arXiv 1907.01341, equation 11).

    Flat surfaces should be flat and edges sharp, wherever a whole object may stand.
    """
    error = ((aligned - metres) / metres)[:, None]
    total = error.new_zeros(())
    for _ in range(OUTLINE_SCALES):
        total = total + error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
        error = functional.avg_pool2d(error, 2)
    return total
