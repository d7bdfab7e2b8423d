"""Camera poses over a floor, from height, heading, pitch and roll."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def camera_pose(
    x: float, y: float, height: float, heading: float, pitch: float, roll: float = 0.0
) -> NDArray[np.float64]:
    """World from optical frame, [4, 4].

    Args:
        x, y, height: of the optical centre in the world, metres; Z is up.
        heading: of the optical axis about Z in radians, 0 along +X, anticlockwise.
        pitch: radians, positive looks down.
        roll: radians, positive turns the camera clockwise about its optical axis.
    """
    level = np.array(
        [
            [math.sin(heading), 0.0, math.cos(heading)],
            [-math.cos(heading), 0.0, math.sin(heading)],
            [0.0, -1.0, 0.0],
        ]
    )  # columns: right, down, forward
    cos, sin = math.cos(pitch), math.sin(pitch)
    pitched = np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])
    cos, sin = math.cos(roll), math.sin(roll)
    rolled = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3] = level @ pitched @ rolled
    pose[:3, 3] = (x, y, height)
    return pose
