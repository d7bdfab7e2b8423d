"""The frame of an asset: Z up, metres, the origin in the middle of its base; X away from the camera, Y to its left.

That is REP 103's body frame of the camera, levelled and moved: what the camera saw faces -X.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVEL = np.array([0.0, 1.0, 0.0])  # down, for a camera that is held level


def level_rotation(down: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation from the optical frame to the levelled frame (x forward, y left, z up), [3, 3].

    Args:
        down: [3] unit vector of gravity in the optical frame.
    """
    up = -down
    # A camera that looks straight down has no "forward" but the top of its picture.
    axis = np.array([0.0, 0.0, 1.0]) if abs(down[2]) < 0.999 else np.array([0.0, -1.0, 0.0])
    forward = axis - (axis @ up) * up
    forward /= np.linalg.norm(forward)
    return np.stack([forward, np.cross(up, forward), up])


def asset_pose(points: NDArray[np.float64], down: NDArray[np.float64], ground: float | None) -> NDArray[np.float64]:
    """The asset's frame, as the transform from the optical frame, [4, 4].

    Args:
        points: [n, 3] metres in the optical frame, finite.
        down: [3] unit vector of gravity in the optical frame.
        ground: metres from the optical centre down to the base; None: the base is the lowest point.
    """
    rotation = level_rotation(down)
    levelled = points @ rotation.T
    low, high = levelled.min(0), levelled.max(0)
    base = low[2] if ground is None else -ground
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = -(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -base
    return pose


def transform(pose: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points [..., 3] through a [4, 4] pose."""
    return np.asarray(points @ pose[:3, :3].T + pose[:3, 3], np.float64)
