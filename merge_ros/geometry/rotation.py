"""Rotations as ROS messages want them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def quaternion(rotation: NDArray[np.floating]) -> tuple[float, float, float, float]:
    """The unit quaternion (x, y, z, w) of a rotation matrix [3, 3], w >= 0.

    Its largest component is found first, which is safe for every rotation (Shepperd, J. Guidance and Control, 1978).
    """
    r = np.asarray(rotation, np.float64)
    squares = np.array(
        [
            1 + r[0, 0] - r[1, 1] - r[2, 2],
            1 - r[0, 0] + r[1, 1] - r[2, 2],
            1 - r[0, 0] - r[1, 1] + r[2, 2],
            1 + r[0, 0] + r[1, 1] + r[2, 2],
        ]
    )
    largest = int(np.argmax(squares))
    x, y, z, w = (
        (squares[0], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0], r[2, 1] - r[1, 2]),
        (r[0, 1] + r[1, 0], squares[1], r[1, 2] + r[2, 1], r[0, 2] - r[2, 0]),
        (r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], squares[2], r[1, 0] - r[0, 1]),
        (r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], squares[3]),
    )[largest]
    scale = math.copysign(2 * math.sqrt(squares[largest]), w)
    return x / scale, y / scale, z / scale, w / scale
