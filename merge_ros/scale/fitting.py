"""From samples of relative depth with known metres to a reading, or the reason why they do not make one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import ScaleError
from merge_ros.geometry.alignment import RobustFit
from merge_ros.scale.near_far import Reading, Vector

# A model errs alike over a whole surface, so the pixels of a fit are not independent. The part of the error that
# changes from frame to frame is as if so many did err by themselves ...
NOISE_PATCHES = 50
# ... and the part that stays (a floor that the model bends, above all) as if so many did: more
# than a single one could. Both found by comparing stated
# with actual errors on simulated drives (docs/scale.md).
BIAS_PATCHES = 0.5
SMALLEST_RESIDUAL = 0.002  # relative; below, it is the rounding of the model's output that speaks


@dataclass(frozen=True)
class Gate:
    """When a robust fit counts.

    Args:
        inliers: smallest share of the samples.
        spread: smallest ratio of the farthest to the nearest inlier (95 % and 5 % quantiles).
        residual: largest root mean square of the inliers, relative to the depth.
        what: of the samples, as in "WHAT is hardly visible".
    """

    inliers: float
    spread: float
    residual: float
    what: str


def reading_from_fit(
    relative: Vector,
    metres: Vector,
    fit: RobustFit,
    gate: Gate,
    *,
    shifts: list[Vector],
    scale_error: float,
    tolerance: float,
) -> Reading:
    """A fit as a reading, with the covariance that follows from its residual.

    Args:
        relative, metres: [n], the samples that were fitted; not usable ones may be among them.
        fit: of these.
        gate: what it must pass.
        shifts: how the metres would change, [n] each, if what the reference assumes (an angle, say) were off by one
            standard deviation.
        scale_error: one standard deviation of the reference's own scale, relative.
        tolerance: relative; samples so near to the fit may belong to it too, and count for how far it may be wrong.

    Raises:
        ScaleError: the fit does not pass the gate; says by how much.
    """
    if fit.inlier_fraction < gate.inliers:
        raise ScaleError(
            f"{gate.what} is hardly visible: {fit.inlier_fraction:.0%} of the pixels where it could be agree with it, "
            f"{gate.inliers:.0%} are needed"
        )
    x, y = relative[fit.inliers], metres[fit.inliers]
    low, high = (float(v) for v in np.quantile(y, (0.05, 0.95)))
    if high < gate.spread * low:
        raise ScaleError(
            f"{gate.what} in view spans only {low:.2f} to {high:.2f} m; its farthest must be {gate.spread} times its "
            "nearest"
        )
    if fit.residual > gate.residual:
        raise ScaleError(
            f"{gate.what} agrees with relative depth only to {fit.residual:.0%} (root mean square), "
            f"{gate.residual:.0%} is allowed"
        )
    design = np.column_stack([1 - x, x]) / y[:, None]  # relative residuals
    normal = design.T @ design
    inverse = np.linalg.inv(normal)
    per_patch = inverse * x.size
    off = (fit.affine.scale * relative + fit.affine.shift) / metres - 1
    doubt = float(np.sqrt(np.mean(off[np.abs(off) < tolerance] ** 2)))
    mean = np.array([fit.affine.shift, fit.affine.shift + fit.affine.scale])
    bias = scale_error**2 * np.outer(mean, mean) + per_patch * doubt**2 / BIAS_PATCHES
    for shift in shifts:
        moved = inverse @ design.T @ (shift[fit.inliers] / y)
        bias = bias + np.outer(moved, moved)
    noise = per_patch * max(fit.residual, SMALLEST_RESIDUAL) ** 2 / min(NOISE_PATCHES, x.size)
    return Reading(np.eye(2), mean, noise, bias, fit.inlier_fraction, fit.residual, high / low)


def usable(relative: NDArray[np.float32], saturated: tuple[float, float]) -> Vector:
    """Samples as float64, NaN where the model's output is saturated."""
    samples = relative.astype(np.float64)
    samples[~((samples > saturated[0]) & (samples < saturated[1]))] = np.nan
    return samples
