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


def pitch_and_roll(down: NDArray[np.floating]) -> tuple[float, float]:
    """The attitude of a camera that sees gravity in this direction: the inverse of `down_in_camera`.

    Args:
        down: [3] in the optical frame, of any length but 0.

    Returns:
        (pitch, roll) in radians; the roll is 0 when the camera looks straight down or up.

    Raises:
        CalibrationError: the vector is zero or not finite.
    """
    length = float(np.linalg.norm(down))
    if not (math.isfinite(length) and length > 0):
        raise CalibrationError(f"gravity {np.asarray(down).tolist()} must be finite and not zero")
    x, y, z = (float(value) / length for value in down)
    return math.asin(max(-1.0, min(1.0, z))), math.atan2(x, y) if math.hypot(x, y) > 1e-9 else 0.0


def floor_depth(rays: NDArray[np.floating], height: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Depth along the optical z axis of an infinite flat floor, per ray: height / (ray . down).

    Args:
        rays: [..., 3], scaled to z = 1.
        height: metres of the optical centre above the floor, > 0.
        pitch, roll: radians, as in `down_in_camera`.

    Returns:
        [...] metres; +inf where the ray does not meet the floor (at or above the horizon).

    Raises:
        CalibrationError: the height is not positive, or a value is not finite.
    """
    if not (height > 0 and all(map(math.isfinite, (height, pitch, roll)))):
        raise CalibrationError(f"camera height={height} m must be > 0, and pitch={pitch}, roll={roll} rad finite")
    descent = rays @ down_in_camera(pitch, roll)
    depth = np.full(descent.shape, np.inf)
    np.divide(height, descent, out=depth, where=descent > 1e-9)
    return depth


@lru_cache(maxsize=8)
def ground_depth(camera: Camera, height: float, pitch: float, roll: float) -> NDArray[np.float32]:
    """`floor_depth` of every pixel.

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
    depth = floor_depth(camera.rays(), height, pitch, roll).astype(np.float32)
    depth.setflags(write=False)
    return depth
