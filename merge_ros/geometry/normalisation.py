"""Linear depth to the [-1, 1] that the converters are trained on: quantiles of each image, as MERGE has it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import DatasetError

NEAR_QUANTILE, FAR_QUANTILE = 0.02, 0.98  # of linear depth, mapped to -1 and 1 (MERGE, arXiv 2510.23574)


def depth_range(metres: NDArray[np.float32]) -> tuple[float, float]:
    """The 2 % and 98 % quantiles of the known depths of [height, width] metres, where 0 is unknown.

    Raises:
        DatasetError: no known depth, or all of it equal.
    """
    known = metres[metres > 0]
    if known.size == 0:
        raise DatasetError("a depth map without a single known pixel")
    near, far = np.quantile(known, (NEAR_QUANTILE, FAR_QUANTILE))
    if far <= near:
        raise DatasetError(f"a flat depth map: {known.size} pixels, all {near} m")
    return float(near), float(far)


def normalise_depth(metres: NDArray[np.float32], near: float, far: float) -> NDArray[np.float32]:
    """Linear depth with `near` mapped to -1 and `far` to 1, clipped; unknown pixels (0) become 1, the far end."""
    scaled = np.clip((metres - near) / (far - near) * 2 - 1, -1, 1)
    return np.where(metres > 0, scaled, 1.0).astype(np.float32)
