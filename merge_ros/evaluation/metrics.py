"""Depth metrics of one image, in metres and after the affine alignment of the zero-shot protocol.

The protocol is that of Marigold (Ke et al., CVPR 2024, arXiv 2312.02145), which MERGE reports with: fit scale
and shift to the truth by least squares on the valid pixels in depth space, clip to the data set's range and
to at least 1e-6, take the mean over the valid pixels; data sets then average over images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import InputError
from merge_ros.geometry.alignment import fit_affine

SMALLEST_DEPTH = 1e-6  # metres, the protocol's floor of an aligned prediction
SMALLEST_DISPARITY = 1e-3  # 1/m, the protocol's floor of an aligned disparity
DELTA1_RATIO = 1.25  # Eigen et al. 2014; strictly below


@dataclass(frozen=True)
class DepthMetrics:
    """Metrics over the valid pixels of one image.

    Args:
        abs_rel: mean of |prediction - truth| / truth.
        delta1: share of pixels with max(prediction / truth, truth / prediction) < 1.25, in [0, 1].
        rmse: root mean square error in metres.
        n: valid pixels.
    """

    abs_rel: float
    delta1: float
    rmse: float
    n: int


def abs_rel(prediction: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """Mean of |prediction - truth| / truth over all elements; both > 0, same shape, not empty."""
    return float(np.mean(np.abs(prediction - truth) / truth))


def delta1(prediction: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """Share of elements whose ratio to the truth, either way, is strictly below 1.25; both > 0, not empty."""
    return float(np.mean(np.maximum(prediction / truth, truth / prediction) < DELTA1_RATIO))


def metric_metrics(
    prediction: NDArray[np.floating], truth: NDArray[np.floating], valid: NDArray[np.bool_]
) -> DepthMetrics:
    """Metrics of depth in metres as it is, without any alignment.

    Args:
        prediction: metres, any shape, finite and > 0 where valid.
        truth: metres, same shape, finite and > 0 where valid.
        valid: bool, same shape.

    Raises:
        InputError: shapes differ, nothing is valid, or a valid value is not finite or not positive.
    """
    p, t = _valid_values(prediction, truth, valid)
    if not (np.isfinite(p).all() and (p > 0).all()):
        raise InputError(
            "the prediction is not finite and positive at every valid pixel: leave such pixels out of `valid`"
        )
    return _measure(p, t)


def aligned_metrics(
    prediction: NDArray[np.floating],
    truth: NDArray[np.floating],
    valid: NDArray[np.bool_],
    clip: tuple[float, float],
) -> DepthMetrics:
    """Metrics of relative depth after the least-squares alignment (scale and shift) to the truth.

    Args:
        prediction: affine-invariant depth, any shape, finite where valid.
        truth: metres, same shape, finite and > 0 where valid.
        valid: bool, same shape.
        clip: metres (low, high), the data set's range, to which the aligned prediction is clipped.

    Raises:
        InputError: shapes differ, nothing is valid, a valid value is not finite, or the clip is not a range.
        ScaleError: the prediction is constant over the valid pixels.
    """
    return metric_metrics(align(prediction, truth, valid, clip), truth, valid)


def align(
    prediction: NDArray[np.floating],
    truth: NDArray[np.floating],
    fit_on: NDArray[np.bool_],
    clip: tuple[float, float],
    space: str = "depth",
) -> NDArray[np.float64]:
    """Relative depth or disparity to metres: scale and shift by least squares, then the set's range, then the floor.

    Args:
        prediction: affine-invariant depth, or disparity (large is near), any shape, finite where `fit_on`.
        truth: metres, same shape, finite and > 0 where `fit_on`.
        fit_on: bool, same shape: the pixels that scale and shift are fitted on.
        clip: metres (low, high), high may be inf.
        space: "depth", or "disparity": then the fit is to 1 / truth where the prediction is positive, and the inverse
            of the fit is the depth, as Marigold's evaluation does it for models of disparity.

    Returns:
        Metres, same shape, in clip; not finite where the prediction is not.

    Raises:
        InputError: shapes differ, nothing to fit on, a value there is not finite, or the clip is not a range.
        ScaleError: the prediction is constant over the pixels of the fit.
    """
    low, high = clip
    if not 0 <= low < high:
        raise InputError(f"clip={clip} must be (low, high) in metres with 0 <= low < high")
    p, t = _valid_values(prediction, truth, fit_on)
    if not np.isfinite(p).all():
        raise InputError("the prediction is not finite at every valid pixel: leave such pixels out of `valid`")
    everywhere = prediction.astype(np.float64)
    if space == "disparity":
        near_enough = p > 0
        affine = fit_affine(p[near_enough], 1 / t[near_enough])
        metres = 1 / np.maximum(affine.scale * everywhere + affine.shift, SMALLEST_DISPARITY)
    else:
        affine = fit_affine(p, t)
        metres = affine.scale * everywhere + affine.shift
    return np.maximum(np.clip(metres, low, high), SMALLEST_DEPTH)


def _measure(p: NDArray[np.float64], t: NDArray[np.float64]) -> DepthMetrics:
    return DepthMetrics(abs_rel(p, t), delta1(p, t), float(np.sqrt(np.mean((p - t) ** 2))), p.size)


def _valid_values(
    prediction: NDArray[np.floating], truth: NDArray[np.floating], valid: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not prediction.shape == truth.shape == valid.shape:
        raise InputError(
            f"prediction {prediction.shape}, truth {truth.shape}, valid {valid.shape}: shapes must be equal"
        )
    if valid.dtype != np.bool_:
        raise InputError(f"valid must be bool, not {valid.dtype}")
    p, t = prediction[valid].astype(np.float64), truth[valid].astype(np.float64)
    if not p.size:
        raise InputError("no pixel is valid")
    if not (np.isfinite(t).all() and (t > 0).all()):
        raise InputError("the truth is not finite and positive at every valid pixel: leave such pixels out of `valid`")
    return p, t
