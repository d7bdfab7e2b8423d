"""One simulated camera image and everything that is true about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from merge_ros.geometry.camera import Camera
from merge_ros.simulation.normals import normals_from_depth


@dataclass(frozen=True)
class Frame:
    """An image with its ground truth.

    Args:
        rgb: [height, width, 3] uint8.
        depth: [height, width] float32, metres along the optical z axis (REP 118), finite and positive everywhere.
        camera: the intrinsics.
        camera_height: of the optical centre above the floor in metres.
        camera_pitch: radians; positive when the camera looks down.
        camera_roll: radians; positive when the camera is turned clockwise, so that the horizon tilts anticlockwise.
        pose: [4, 4] float64, world from optical (x right, y down, z forward); the world's Z is up, its floor at 0.
        caption: one sentence on the room and its main objects.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    camera: Camera
    camera_height: float
    camera_pitch: float
    camera_roll: float
    pose: NDArray[np.float64]
    caption: str

    @cached_property
    def normals(self) -> NDArray[np.float32]:
        """[height, width, 3], unit length, in the optical frame and facing the camera; computed when asked for."""
        return normals_from_depth(self.depth, self.camera)
