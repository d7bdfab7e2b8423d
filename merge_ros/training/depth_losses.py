"""Losses on decoded depth, which do not care for scale and shift: those are fitted to each frame first."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

OUTLINE_SCALES = 3  # halvings at which depth jumps are compared
LEAST_FLOOR = 0.05  # of a frame's pixels, for the floor to tell its scale


def align(predicted: Tensor, metres: Tensor, known: Tensor | None = None) -> Tensor:
    """s p + t with the least-squares (s, t) of each frame, differentiable: [batch, H, W] metres.

    Args:
        predicted: [batch, H, W], any scale and shift.
        metres: [batch, H, W], > 0 where known.
        known: [batch, H, W], the weight of each pixel in the fit, 0 for those that do not count; None: all alike.
    """
    p, z = predicted.flatten(1), metres.flatten(1)
    k = None if known is None else known.flatten(1)
    p_mean, z_mean = _mean(p, k), _mean(z, k)
    covariance = _mean((p - p_mean) * (z - z_mean), k)
    scale = covariance / (_mean((p - p_mean).square(), k) + 1e-4)
    return ((p - p_mean) * scale + z_mean).view_as(metres)


def abs_rel(aligned: Tensor, metres: Tensor, known: Tensor | None = None) -> Tensor:
    """Mean of |aligned - z| / z, the first figure that depth is judged by; each frame weighs the same."""
    error: Tensor = _mean(_relative(aligned, metres, known).abs().flatten(1), _flat(known)).mean()
    return error


def floor_error(predicted: Tensor, metres: Tensor, floor: Tensor) -> Tensor:
    """Relative error e of everything, as e / (1 + e), when scale and shift come from the floor alone.

    So a robot gets its metres (`scale.ground_plane`): walls and things have to lie on one line with the floor. Bounded,
    because the far end of a hall can be off by many times. Frames that show hardly any floor do not count.

    Args:
        predicted: [batch, H, W], any scale and shift.
        metres: [batch, H, W], > 0.
        floor: [batch, H, W], 1 on the floor, 0 elsewhere; near floor weighs more, in proportion to 1 / metres^2.
    """
    error = _relative(align(predicted, metres, floor / metres.square()), metres, None).abs()
    counts = (floor.flatten(1).mean(1) > LEAST_FLOOR).float()
    each: Tensor = (error / (1 + error)).flatten(1).mean(1)
    return (counts * each).sum() / counts.sum().clamp(min=1)


def outline_error(aligned: Tensor, metres: Tensor, known: Tensor | None = None) -> Tensor:
    """Mean difference of the slopes of relative error, at several resolutions (MiDaS, arXiv 1907.01341, equation 11).

    Flat surfaces should be flat and edges sharp, wherever a whole object may stand. A slope counts where both its ends
    are known.
    """
    error = _relative(aligned, metres, known)[:, None]
    mask = torch.ones_like(error) if known is None else known[:, None]
    total = error.new_zeros(())
    for _ in range(OUTLINE_SCALES):
        for dim in (-1, -2):
            slope, length = error.diff(dim=dim).abs(), error.shape[dim] - 1
            both = mask.narrow(dim, 0, length) * mask.narrow(dim, 1, length)
            total = total + _mean(slope.flatten(1), both.flatten(1)).mean()
        error = functional.avg_pool2d(error, 2)
        mask = 1 - functional.max_pool2d(1 - mask, 2)
    return total


def _relative(aligned: Tensor, metres: Tensor, known: Tensor | None) -> Tensor:
    if known is None:
        return (aligned - metres) / metres
    return known * (aligned - metres) / torch.where(known > 0, metres, 1)


def _flat(known: Tensor | None) -> Tensor | None:
    return None if known is None else known.flatten(1)


def _mean(values: Tensor, known: Tensor | None) -> Tensor:
    """Weighted mean of each row over what is known, 0 where nothing is: [batch, n] to [batch, 1]."""
    if known is None:
        return values.mean(1, keepdim=True)
    return (values * known).sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp(min=1e-6)
