"""How one frame's relative depth became the next frame's: the affine change that most pixels agree on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import ScaleError

THUMBNAIL = (64, 48)  # pixels, width and height, at which frames are compared
# A model's output saturates at both ends of its range (2 % and 98 % quantiles): such pixels say only "at most", "at
# least".
SATURATED = (0.005, 0.995)
MIN_PIXELS = 100
MIN_AGREEMENT = 0.3  # of the pixels; fewer, and the two frames do not show the same things
TOLERANCE = 0.05  # of the range of relative depth, for a pixel to agree
SMALLEST_TOLERANCE = 1e-3  # of the same, below which pixels are not told apart
PAIRS = 150
ROUNDS = 6
# Noise of single pixels averages out. What a moving camera or a model's whims change does not, as it is alike over
# whole surfaces: it is what remains of the residuals in the means of blocks, and counts as if so many blocks did err by
# themselves.
BLOCK = 8  # pixels of the thumbnail
BLOCKS = 4


@dataclass(frozen=True)
class Registration:
    """new = slope * old + offset, for what has not moved.

    Args:
        slope: > 0.
        offset: in units of the new frame's relative depth.
        covariance: [2, 2] of slope and offset.
        agreement: share of the pixels that follow it, in [0, 1].
    """

    slope: float
    offset: float
    covariance: NDArray[np.float64]
    agreement: float


def thumbnail(relative: NDArray[np.float32]) -> NDArray[np.float32]:
    """Relative depth at the size of `register`, [48, 64]; NaN where it is saturated or not finite."""
    known = np.where((relative > SATURATED[0]) & (relative < SATURATED[1]), relative, np.float32(np.nan))
    # Of a block that holds a saturated pixel the mean is NaN: it says nothing exact.
    smaller = known.shape[0] >= THUMBNAIL[1] and known.shape[1] >= THUMBNAIL[0]
    return np.asarray(
        cv2.resize(known, THUMBNAIL, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_NEAREST), np.float32
    )


def register(old: NDArray[np.float32], new: NDArray[np.float32]) -> Registration:
    """The affine change between two frames' relative depth.

    Every frame's relative depth is normalised by itself, so it changes for all pixels when the nearest or the farthest
    thing does. Pixels whose depth in metres is the same in both frames - all of a still view, and the floor also for a
    robot that drives on it - share one affine change, which RANSAC and reweighted least squares find; the others are
    outliers. Both frames are noisy alike, so the slope is the ratio of standard deviations (reduced major axis), which
    noise does not shrink from frame to frame.

    Args:
        old, new: from `thumbnail`, same shape.

    Raises:
        ScaleError: too few pixels agree on any change.
    """
    usable = np.isfinite(old) & np.isfinite(new)
    x, y = old[usable].astype(np.float64), new[usable].astype(np.float64)
    if x.size < MIN_PIXELS:
        raise ScaleError(f"the view cannot be compared with the one before: {x.size} pixels are usable in both")
    (x_low, x_high), (y_low, y_high) = np.quantile(x, (0.05, 0.95)), np.quantile(y, (0.05, 0.95))
    if x_high - x_low < 1e-6 or y_high - y_low < 1e-6:
        raise ScaleError("the view cannot be compared with the one before: its relative depth does not vary")
    tolerance = TOLERANCE * (y_high - y_low)
    slope, offset = _best_of_pairs(x, y, 0.1 * (x_high - x_low), tolerance)
    bound = tolerance
    for _ in range(ROUNDS):
        residual = slope * x + offset - y
        inside = np.abs(residual) < bound
        weight = np.where(inside, (1 - (residual / bound) ** 2) ** 2, 0.0)  # Tukey's biweight
        total = float(weight.sum())
        if total < MIN_PIXELS / 4:
            break
        mean_x, mean_y = float(weight @ x) / total, float(weight @ y) / total
        var_x, var_y = (float(weight @ (a - m) ** 2) / total for a, m in ((x, mean_x), (y, mean_y)))
        if var_x <= 0 or var_y <= 0:
            break
        slope = float(np.sqrt(var_y / var_x))
        offset = mean_y - slope * mean_x
        spread = 1.4826 * float(np.median(np.abs(residual[inside])))  # of a normal distribution
        bound = float(np.clip(4.685 * spread, SMALLEST_TOLERANCE * (y_high - y_low), tolerance))
    residual = slope * x + offset - y
    inside = np.abs(residual) < tolerance
    agreement = float(inside.mean())
    if agreement < MIN_AGREEMENT:
        raise ScaleError(f"the view changed: {agreement:.0%} of the pixels agree with the frame before")
    variance = _variance_of_blocks(np.where(inside, residual, np.nan), usable)
    design = np.column_stack([x[inside], np.ones(np.count_nonzero(inside))])
    normal = design.T @ design / len(design) + 1e-9 * np.eye(2)
    return Registration(slope, offset, variance / BLOCKS * np.linalg.inv(normal), agreement)


def _variance_of_blocks(residual: NDArray[np.float64], usable: NDArray[np.bool_]) -> float:
    """Mean square of the residuals' block means, weighed by the pixels that each block has; residuals may be NaN."""
    rows, columns = usable.shape
    full = np.full((-(-rows // BLOCK) * BLOCK, -(-columns // BLOCK) * BLOCK), np.nan)
    full[:rows, :columns][usable] = residual
    blocks = full.reshape(full.shape[0] // BLOCK, BLOCK, full.shape[1] // BLOCK, BLOCK)
    count = np.isfinite(blocks).sum(axis=(1, 3))
    mean = np.nansum(blocks, axis=(1, 3)) / np.maximum(count, 1)
    return float((count * mean**2).sum() / max(count.sum(), 1))


def _best_of_pairs(
    x: NDArray[np.float64], y: NDArray[np.float64], apart: float, tolerance: float
) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    first, second = rng.integers(x.size, size=(2, 4 * PAIRS))
    usable = (np.abs(x[first] - x[second]) > apart) & ((y[first] - y[second]) * (x[first] - x[second]) > 0)
    first, second = first[usable][:PAIRS], second[usable][:PAIRS]
    if not first.size:
        raise ScaleError("the view changed: relative depth has nothing in common with the frame before")
    slopes = (y[first] - y[second]) / (x[first] - x[second])
    offsets = y[first] - slopes * x[first]
    some = np.linspace(0, x.size - 1, min(x.size, 600)).astype(np.intp)
    residual = slopes[:, None] * x[some] + offsets[:, None] - y[some]
    score = np.maximum(1 - (residual / tolerance) ** 2, 0).sum(1)
    best = int(np.argmax(score))
    return float(slopes[best]), float(offsets[best])
