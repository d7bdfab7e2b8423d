"""The pinhole camera: intrinsics that follow the image through resizing, and the rays of its pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import CalibrationError


@dataclass(frozen=True)
class Camera:
    """An undistorted pinhole camera in the optical frame (x right, y down, z forward; REP 103).

    Args:
        width, height: image size in pixels, >= 1.
        fx, fy: focal lengths in pixels, > 0.
        cx, cy: principal point in pixels; the centre of the top-left pixel is (0, 0), as in
            sensor_msgs/CameraInfo.

    Raises:
        CalibrationError: a size below 1, a focal length that is not positive, or a value that is not finite.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise CalibrationError(f"camera size {self.width}x{self.height}: both sides must be at least 1 pixel")
        values = (self.fx, self.fy, self.cx, self.cy)
        if not all(math.isfinite(value) for value in values):
            raise CalibrationError(f"camera intrinsics fx, fy, cx, cy = {values} must be finite")
        if self.fx <= 0 or self.fy <= 0:
            raise CalibrationError(f"focal lengths fx={self.fx}, fy={self.fy} must be positive (uncalibrated camera?)")

    @classmethod
    def from_fov(cls, width: int, height: int, horizontal_fov: float) -> Camera:
        """A camera with square pixels and a centred principal point.

        Args:
            width, height: pixels.
            horizontal_fov: angle between the left and the right image border in radians, in (0, pi).

        Raises:
            CalibrationError: the field of view is outside (0, pi).
        """
        if not 0 < horizontal_fov < math.pi:
            raise CalibrationError(f"horizontal_fov={horizontal_fov} rad must lie between 0 and pi")
        focal = width / 2 / math.tan(horizontal_fov / 2)
        return cls(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The 3x3 intrinsic matrix K."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def horizontal_fov(self) -> float:
        """Angle between the outer edges of the first and the last column, in radians."""
        return math.atan((self.cx + 0.5) / self.fx) + math.atan((self.width - 0.5 - self.cx) / self.fx)

    def resized(self, width: int, height: int) -> Camera:
        """The same view in another image size.

        fx and cx scale with the width, fy and cy with the height: the rule of image_proc's ResizeNode, so that the
        paired camera_info agrees with what the rest of a ROS graph does.

        Raises:
            CalibrationError: a side below 1 pixel.
        """
        if width < 1 or height < 1:
            raise CalibrationError(f"cannot resize a camera to {width}x{height}: both sides must be at least 1 pixel")
        sx, sy = width / self.width, height / self.height
        return Camera(width, height, self.fx * sx, self.fy * sy, self.cx * sx, self.cy * sy)

    def cropped(self, left: int, top: int, width: int, height: int) -> Camera:
        """The view through a window of the image (region of interest), in pixels of this image.

        Raises:
            CalibrationError: the window is empty or leaves the image.
        """
        inside = left >= 0 and top >= 0 and left + width <= self.width and top + height <= self.height
        if width < 1 or height < 1 or not inside:
            raise CalibrationError(
                f"region {width}x{height} at ({left}, {top}) does not lie inside the {self.width}x{self.height} image"
            )
        return Camera(width, height, self.fx, self.fy, self.cx - left, self.cy - top)

    def rays(self) -> NDArray[np.float32]:
        """Direction of every pixel, [height, width, 3], scaled to z = 1: depth times ray is the point.

        The array is cached per camera and read-only.
        """
        return _rays(self)


@lru_cache(maxsize=8)
def _rays(camera: Camera) -> NDArray[np.float32]:
    x = (np.arange(camera.width) - camera.cx) / camera.fx
    y = (np.arange(camera.height) - camera.cy) / camera.fy
    rays = np.ones((camera.height, camera.width, 3), np.float32)
    rays[..., 0] = x[None, :]
    rays[..., 1] = y[:, None]
    rays.setflags(write=False)
    return rays
