"""Affine alignment: the (scale, shift) that turns relative depth into metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from merge_ros.errors import InputError, ScaleError

Samples = NDArray[np.float64]

MIN_SAMPLES = 8  # of a robust fit: below, two outliers can agree by chance
IRLS_ROUNDS = 8
SHARPEST_TOLERANCE = 0.005  # the residual below which samples are not told apart, relative to the depth
ROBUST_SIGMA = 1.4826  # median absolute deviation to standard deviation of a normal distribution


@dataclass(frozen=True)
class Affine:
    """metres = scale * relative + shift."""

    scale: float
    shift: float

    def apply(self, relative: NDArray[np.float32]) -> NDArray[np.float32]:
        """Relative depth of any shape to metres, float32."""
        metres: NDArray[np.float32] = relative * np.float32(self.scale) + np.float32(self.shift)
        return metres


@dataclass(frozen=True)
class RobustFit:
    """What a robust fit found.

    Args:
        affine: the fit.
        inliers: bool in the shape of the samples: those that the fit explains.
        inlier_fraction: of the usable samples (finite, target and weight > 0), in [0, 1].
        overshoot_fraction: of the usable samples, those that the fit puts farther than their target by more
            than the tolerance, in [0, 1].
        residual: root mean square of (fit - target) / target over the inliers.
    """

    affine: Affine
    inliers: NDArray[np.bool_]
    inlier_fraction: float
    overshoot_fraction: float
    residual: float


def fit_affine(relative: ArrayLike, target: ArrayLike, weights: ArrayLike | None = None) -> Affine:
    """Weighted least squares: smallest sum of weights * (scale * relative + shift - target)^2.

    Args:
        relative, target: same shape; samples where either is not finite are left out.
        weights: same shape, >= 0; None weighs all alike.

    Raises:
        InputError: shapes differ, or a weight is negative.
        ScaleError: fewer than two usable samples, or `relative` does not vary.
    """
    x, y, w, _ = _usable(relative, target, weights)
    scale, shift = _line(x, y, w)
    return Affine(scale, shift)


def fit_affine_robust(
    relative: ArrayLike,
    target: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    tolerance: float = 0.1,
    overshoot_penalty: float = 0.0,
    trials: int = 200,
    seed: int = 0,
) -> RobustFit:
    """Scale and shift from samples of which many may be wrong: RANSAC, then reweighted least squares.

    RANSAC (Fischler and Bolles 1981) with the truncated quadratic score of MSAC (Torr and Zisserman 2000)
    picks the best of `trials` lines through two samples each; Tukey's biweight then refines it on all
    samples. Residuals are relative to the target, as errors of estimated depth grow with depth. The target
    counts as exact and the noise as that of `relative`, so the refinement regresses `relative` on the target,
    which does not shrink the scale when `relative` is noisy. Same samples, same result.

    Args:
        relative: samples of relative depth, any shape.
        target: metres, same shape. Samples that are not finite, or whose target is not positive, are left
            out.
        weights: same shape, >= 0; None weighs all alike.
        tolerance: the relative error up to which a sample may be an inlier, in (0, 1).
        overshoot_penalty: score lost per sample that the line puts farther than its target by more than the
            tolerance; > 0 where the target is the farthest that a sample can be, as the floor is along a ray
            that hits it.
        trials: lines tried, >= 1.
        seed: of the choice of pairs.

    Raises:
        InputError: shapes differ, a weight is negative, or tolerance, trials or penalty is out of its range.
        ScaleError: too few usable samples, no spread, or no line of positive scale explains them.
    """
    if not 0 < tolerance < 1 or trials < 1 or overshoot_penalty < 0:
        raise InputError(
            f"tolerance={tolerance} must lie in (0, 1), trials={trials} be >= 1 and "
            f"overshoot_penalty={overshoot_penalty} be >= 0"
        )
    x, y, w, usable = _usable(relative, target, weights, positive_target=True)
    if x.size < MIN_SAMPLES:
        raise ScaleError(f"a robust fit needs {MIN_SAMPLES} usable samples and got {x.size}")

    scale, shift = _best_of_pairs(x, y, w, tolerance, overshoot_penalty, trials, seed)
    bound = tolerance
    for _ in range(IRLS_ROUNDS):
        residual = (scale * x + shift) / y - 1
        inside = np.abs(residual) < bound
        if np.count_nonzero(inside) < MIN_SAMPLES:
            raise ScaleError("no line of positive scale explains the samples")
        spread = ROBUST_SIGMA * float(np.median(np.abs(residual[inside])))
        bound = float(np.clip(4.685 * spread, SHARPEST_TOLERANCE, tolerance))  # 4.685: 95 % efficiency (Tukey)
        biweight = np.where(np.abs(residual) < bound, (1 - (residual / bound) ** 2) ** 2, 0.0)
        slope, offset = _line(y, x, w * biweight / y**2)
        if slope <= 0:
            raise ScaleError(
                "relative depth falls where the reference depth grows: no positive scale explains the samples"
            )
        scale, shift = 1 / slope, -offset / slope

    residual = (scale * x + shift) / y - 1
    inside = np.abs(residual) < tolerance
    if np.count_nonzero(inside) < MIN_SAMPLES:
        raise ScaleError("no line of positive scale explains the samples")
    inliers = np.zeros(usable.shape, bool)
    inliers[usable] = inside
    return RobustFit(
        Affine(scale, shift),
        inliers,
        float(inside.mean()),
        float((residual > tolerance).mean()),
        float(np.sqrt(np.mean(residual[inside] ** 2))),
    )


def _usable(
    relative: ArrayLike, target: ArrayLike, weights: ArrayLike | None, *, positive_target: bool = False
) -> tuple[Samples, Samples, Samples, NDArray[np.bool_]]:
    """The usable samples as flat float64 arrays, and where they are."""
    x, y = np.asarray(relative, np.float64), np.asarray(target, np.float64)
    w = np.ones(x.shape) if weights is None else np.asarray(weights, np.float64)
    if x.shape != y.shape or w.shape != x.shape:
        raise InputError(f"relative {x.shape}, target {y.shape} and weights {w.shape} must have the same shape")
    if np.any(w < 0):
        raise InputError(f"weights must be >= 0, the smallest is {float(np.nanmin(w))}")
    usable = np.isfinite(x) & np.isfinite(y) & np.isfinite(w) & (w > 0)
    if positive_target:
        usable &= y > 0
    return x[usable], y[usable], w[usable], usable


def _line(x: Samples, y: Samples, w: Samples) -> tuple[float, float]:
    """Weighted least squares y = slope * x + offset."""
    total = float(w.sum())
    if x.size < 2 or total <= 0:
        raise ScaleError(f"an affine fit needs at least two usable samples and got {x.size}")
    mean_x, mean_y = float(w @ x) / total, float(w @ y) / total
    dx = x - mean_x
    variance = float(w @ dx**2) / total
    if variance <= 1e-14 * max(float(np.max(np.abs(x))) ** 2, 1e-30):
        raise ScaleError(f"an affine fit needs samples that differ; all {x.size} are {mean_x:g}")
    slope = float(w @ (dx * (y - mean_y))) / total / variance
    return slope, mean_y - slope * mean_x


def _best_of_pairs(
    x: Samples, y: Samples, w: Samples, tolerance: float, penalty: float, trials: int, seed: int
) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(x.size, size=(2, 4 * trials))
    # Two samples of nearly the same depth say nothing about the scale.
    apart = (np.abs(y[first] - y[second]) > tolerance * (y[first] + y[second])) & (x[first] != x[second])
    first, second = first[apart][:trials], second[apart][:trials]
    if not first.size:
        raise ScaleError(f"the reference depth hardly varies: {float(y.min()):.3g} to {float(y.max()):.3g} m")
    scales = (y[first] - y[second]) / (x[first] - x[second])
    shifts = y[first] - scales * x[first]
    scales, shifts = scales[scales > 0], shifts[scales > 0]
    if not scales.size:
        raise ScaleError("relative depth falls where the reference depth grows: no positive scale explains the samples")

    # float32 halves the time of the one large array here, [lines, samples].
    ratio_x, ratio_1 = (x / y).astype(np.float32), (1 / y).astype(np.float32)
    residual = scales.astype(np.float32)[:, None] * ratio_x + shifts.astype(np.float32)[:, None] * ratio_1 - 1
    weight = w.astype(np.float32)
    score = np.maximum(1 - (residual / np.float32(tolerance)) ** 2, 0) @ weight
    if penalty:
        score -= np.float32(penalty) * ((residual > tolerance) @ weight)
    best = int(np.argmax(score))
    return float(scales[best]), float(shifts[best])
