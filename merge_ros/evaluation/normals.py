"""Angular errors of surface normals, per image, as Marigold's evaluation takes them (arXiv 2312.02145v4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import InputError
from merge_ros.evaluation.models import NormalsModel
from merge_ros.evaluation.protocol import at_size, scaled_to_side
from merge_ros.evaluation.sample import NormalsSample

KNOWN_LENGTH = 1e-6  # of a true normal; the data sets store (0, 0, 0) where they know none


@dataclass(frozen=True)
class NormalsMetrics:
    """Angles between estimated and true normals over the known pixels of one image.

    Args:
        mean, median: degrees.
        within_11_25, within_22_5, within_30: share of pixels with an angle strictly below so many degrees, in [0, 1].
        n: known pixels.
    """

    mean: float
    median: float
    within_11_25: float
    within_22_5: float
    within_30: float
    n: int


@dataclass(frozen=True)
class MeasuredNormals:
    """A measured image, for those who want to see it.

    Args:
        sample: as it was read.
        estimated: [h, w, 3] of any length.
        angles: [h, w] degrees, NaN where the truth is unknown.
        metrics: of the known pixels.
    """

    sample: NormalsSample
    estimated: NDArray[np.float32]
    angles: NDArray[np.float64]
    metrics: NormalsMetrics


def measure_normals(sample: NormalsSample, model: NormalsModel, processing_side: int | None = None) -> MeasuredNormals:
    """Estimate, scale to the size of the truth, and measure.

    Raises:
        InputError: no true normal is known, or the estimate is not finite there.
    """
    estimated = at_size(model.estimate(scaled_to_side(sample.image, processing_side)), sample.normals.shape)
    angles = angles_between(estimated, sample.normals)
    return MeasuredNormals(sample, estimated, angles, normals_metrics(angles))


def angles_between(estimated: NDArray[np.floating], truth: NDArray[np.floating]) -> NDArray[np.float64]:
    """[h, w] degrees between [h, w, 3] vectors, NaN where the truth is unknown; an estimate of no length is 90 off.

    Raises:
        InputError: shapes differ, or the estimate is not finite where the truth is known.
    """
    if estimated.shape != truth.shape or truth.ndim != 3 or truth.shape[2] != 3:
        raise InputError(f"estimated normals {estimated.shape} and true ones {truth.shape}; allowed: both [h, w, 3]")
    true_length = np.linalg.norm(truth.astype(np.float64), axis=2)
    known = np.isfinite(true_length) & (true_length > KNOWN_LENGTH)
    a, b = estimated[known].astype(np.float64), truth[known].astype(np.float64)
    if not np.isfinite(a).all():
        raise InputError("the estimated normals are not finite everywhere where the true ones are known")
    lengths = np.linalg.norm(a, axis=1) * true_length[known]
    cosine = np.einsum("ij,ij->i", a, b) / np.where(lengths > 0, lengths, 1)
    angles = np.full(truth.shape[:2], np.nan)
    angles[known] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return angles


def normals_metrics(angles: NDArray[np.float64]) -> NormalsMetrics:
    """Metrics of [h, w] degrees, NaN left out.

    Raises:
        InputError: all are NaN.
    """
    known = angles[np.isfinite(angles)]
    if not known.size:
        raise InputError("no true normal is known in this image")
    narrow, wide, widest = (float(np.mean(known < limit)) for limit in (11.25, 22.5, 30.0))
    return NormalsMetrics(float(known.mean()), float(np.median(known)), narrow, wide, widest, int(known.size))
