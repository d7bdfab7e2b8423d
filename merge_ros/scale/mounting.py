"""Where the camera is over the floor: by parameters, by an IMU's gravity, or by TF."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import CalibrationError, ScaleError
from merge_ros.geometry.ground import pitch_and_roll
from merge_ros.scale.transforms import Transforms

STANDARD_GRAVITY = 9.80665  # m/s^2 (CGPM 1901)
MOVING = 0.1  # of gravity: an acceleration whose length differs by more is not gravity alone
SETTLING = 0.5  # seconds, time constant of the mean over accelerations
STALE = 1.0  # seconds without an acceleration that counts


@dataclass(frozen=True)
class Mounting:
    """Where a camera is over a flat floor.

    Args:
        height: metres of the optical centre above the floor, > 0.
        pitch, roll: radians, as in `down_in_camera`.
    """

    height: float
    pitch: float
    roll: float


class MountingSource(Protocol):
    """Knows where the camera is."""

    def at(self, frame: str, stamp: float) -> Mounting:
        """Where the camera is.

        Args:
            frame: the optical frame of the camera.
            stamp: seconds.

        Raises:
            ScaleError: it is not known; says why.
        """


class FixedMounting:
    """A camera that keeps its place on a robot that does not nod."""

    def __init__(self, height: float, pitch: float, roll: float) -> None:
        self._mounting = Mounting(height, pitch, roll)

    def at(self, frame: str, stamp: float) -> Mounting:
        return self._mounting


class GravityMounting:
    """Height by parameter; pitch and roll from what an accelerometer at rest feels. Safe to use from two threads.

    Accelerations while the robot speeds up, brakes or bumps are left out by their length, and the rest is averaged
    over `SETTLING` seconds. A steady acceleration of 1 m/s^2 passes and tilts the result by 6 degrees.

    Args:
        height: metres.
    """

    def __init__(self, height: float) -> None:
        self._height = height
        self._lock = threading.Lock()
        self._mean: NDArray[np.float64] | None = None
        self._stamp = -math.inf
        self._refused = 0

    def add_acceleration(self, acceleration: NDArray[np.floating], stamp: float) -> None:
        """An accelerometer's reading: [3] m/s^2 in the optical frame of the camera, pointing up at rest (REP 145)."""
        length = float(np.linalg.norm(acceleration))
        if not abs(length / STANDARD_GRAVITY - 1) <= MOVING:  # also for NaN
            with self._lock:
                self._refused += 1
            return
        with self._lock:
            gap = stamp - self._stamp
            if self._mean is None or not 0 <= gap <= STALE:
                self._mean = np.asarray(acceleration, np.float64)
            else:
                self._mean = self._mean + (1 - math.exp(-gap / SETTLING)) * (acceleration - self._mean)
            self._stamp = stamp

    def at(self, frame: str, stamp: float) -> Mounting:
        with self._lock:
            mean, since, refused = self._mean, stamp - self._stamp, self._refused
        if mean is None:
            moving = f"; {refused} were refused, as their length is not that of gravity" if refused else ""
            raise ScaleError(f"the attitude is not known: no acceleration has come from the IMU{moving}")
        if abs(since) > STALE:
            raise ScaleError(
                f"the attitude is not known: the last acceleration of the IMU at rest is {since:.1f} s away"
            )
        pitch, roll = pitch_and_roll(-mean)
        return Mounting(self._height, pitch, roll)


class TransformMounting:
    """Height, pitch and roll from where TF has the camera over the z = 0 plane of a frame on the floor.

    Args:
        transforms: of the robot.
        ground_frame: its z axis points up, its origin lies on the floor (REP 120: base_footprint).
    """

    def __init__(self, transforms: Transforms, ground_frame: str) -> None:
        self._transforms, self._ground_frame = transforms, ground_frame

    def at(self, frame: str, stamp: float) -> Mounting:
        pose = self._transforms.lookup(self._ground_frame, frame, stamp)
        height = float(pose[2, 3])
        if height <= 0:
            raise ScaleError(
                f"TF has {frame} {height:.3f} m over the floor of {self._ground_frame}; a camera must be above it"
            )
        try:
            pitch, roll = pitch_and_roll(pose[:3, :3].T @ np.array([0.0, 0.0, -1.0]))
        except CalibrationError as error:
            raise ScaleError(f"TF from {frame} to {self._ground_frame}: {error}") from error
        return Mounting(height, pitch, roll)
