"""The depth of a flat floor as a camera of known height and attitude sees it."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import CalibrationError
from merge_ros.geometry.camera import Camera


def down_in_camera(pitch: float, roll: float) -> NDArray[np.float64]:
    """Unit vector of gravity in the optical frame (x right, y down, z forward), [3].

    Args:
        pitch: radians that the optical axis points below the horizon, in (-pi/2, pi/2).
        roll: radians about the optical axis; positive when the camera leans to its right (clockwise seen from
            behind), so that the horizon tilts anticlockwise in the image.
    """
    return np.array(
        [math.sin(roll) * math.cos(pitch), math.cos(roll) * math.cos(pitch), math.sin(pitch)],
    )


@lru_cache(maxsize=8)
def ground_depth(camera: Camera, height: float, pitch: float, roll: float) -> NDArray[np.float32]:
    """Depth along the optical z axis of an infinite flat floor, per pixel: height / (ray . down).

    Args:
        camera: the intrinsics.
        height: metres of the optical centre above the floor, > 0.
        pitch, roll: radians, as in `down_in_camera`.

    Returns:
        [camera.height, camera.width] metres; +inf where the ray does not meet the floor (at or above the
        horizon). The array is cached and read-only.

    Raises:
        CalibrationError: the height is not positive, or a value is not finite.
    """
    if not (height > 0 and all(map(math.isfinite, (height, pitch, roll)))):
        raise CalibrationError(f"camera height={height} m must be > 0, and pitch={pitch}, roll={roll} rad finite")
    descent = camera.rays() @ down_in_camera(pitch, roll)
    depth = np.full(descent.shape, np.inf, np.float32)
    np.divide(height, descent, out=depth, where=descent > 1e-9, casting="same_kind")
    depth.setflags(write=False)
    return depth
