"""Where one frame is in another: by parameters, or by whoever knows the robot's frames."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# The optical frame (x right, y down, z forward) seen from the body frame (x forward, y left, z up); REP 103.
OPTICAL_FROM_BODY = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])


class Transforms(Protocol):
    """Knows the frames of a robot, as TF does."""

    def lookup(self, target: str, source: str, stamp: float) -> NDArray[np.float64]:
        """The pose of `source` in `target`: [4, 4], points of the source to points of the target.

        Args:
            target, source: frame ids.
            stamp: seconds; the newest is taken when there is none for this time yet.

        Raises:
            ScaleError: it is not known; says why.
        """


class SensorPose(Protocol):
    """Knows where a sensor is, seen from the camera."""

    def at(self, sensor: str, camera: str, stamp: float) -> NDArray[np.float64]:
        """[4, 4]: points in the sensor's frame to points in the camera's optical frame.

        Raises:
            ScaleError: it is not known; says why.
        """


class FixedPose:
    """The same pose for every sensor, by parameters.

    Args:
        x, y, z: metres of the sensor's origin in the camera's body frame (x forward, y left, z up, its origin the
            optical centre).
        roll, pitch, yaw: radians, about the fixed axes of that frame, in this order (REP 103).
    """

    def __init__(self, x: float, y: float, z: float, roll: float, pitch: float, yaw: float) -> None:
        self._pose = np.eye(4)
        self._pose[:3, :3] = OPTICAL_FROM_BODY @ rotation(roll, pitch, yaw)
        self._pose[:3, 3] = OPTICAL_FROM_BODY @ np.array([x, y, z])

    def at(self, sensor: str, camera: str, stamp: float) -> NDArray[np.float64]:
        return self._pose


class SamePose:
    """The sensor is the camera: its points are in the optical frame already."""

    def at(self, sensor: str, camera: str, stamp: float) -> NDArray[np.float64]:
        return np.eye(4)


class TransformPose:
    """What TF says."""

    def __init__(self, transforms: Transforms) -> None:
        self._transforms = transforms

    def at(self, sensor: str, camera: str, stamp: float) -> NDArray[np.float64]:
        return self._transforms.lookup(camera, sensor, stamp)


def rotation(roll: float, pitch: float, yaw: float) -> NDArray[np.float64]:
    """Rotation matrix [3, 3] of angles about the fixed x, y and z axes, in this order, in radians."""
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(angle), math.sin(angle)) for angle in (roll, pitch, yaw))
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def matrix(x: float, y: float, z: float, qx: float, qy: float, qz: float, qw: float) -> NDArray[np.float64]:
    """[4, 4] from a translation in metres and a unit quaternion, as geometry_msgs/Transform holds them."""
    length = math.sqrt(qx * qx + qy * qy + qz * qz + qw * qw)
    i, j, k, r = (value / length for value in (qx, qy, qz, qw))
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (j * j + k * k), 2 * (i * j - k * r), 2 * (i * k + j * r)],
        [2 * (i * j + k * r), 1 - 2 * (i * i + k * k), 2 * (j * k - i * r)],
        [2 * (i * k - j * r), 2 * (j * k + i * r), 1 - 2 * (i * i + j * j)],
    ]
    pose[:3, 3] = x, y, z
    return pose
