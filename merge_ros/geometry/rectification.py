"""Lens distortion out of an image: what a pinhole camera would have seen from the same place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import CalibrationError

# Distortion models of sensor_msgs/distortion_models.hpp, with the numbers of coefficients that OpenCV takes for them.
MODELS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}
Matrix = tuple[float, ...]  # 3x3, row by row


@dataclass(frozen=True)
class DistortedCamera:
    """A camera whose lens bends straight lines, and the pinhole camera that it shall become.

    Args:
        width, height: pixels of both.
        k: [9] intrinsics of the image as it comes.
        model: one of `MODELS`; anything where all coefficients are zero.
        d: distortion coefficients in the model's order; empty or all zero: none.
        r: [9] rotation from the camera to the rectified one; all zero: none.
        new_k: [9] intrinsics of the rectified image (the left 3x3 of CameraInfo.P).

    Raises:
        CalibrationError: an unknown model, a number of coefficients that it does not have, or one that is not finite.
    """

    width: int
    height: int
    k: Matrix
    model: str
    d: tuple[float, ...]
    r: Matrix
    new_k: Matrix

    def __post_init__(self) -> None:
        if not np.isfinite([*self.d, *self.r]).all():
            raise CalibrationError("camera_info: D or R holds values that are not finite")
        if not any(self.d):
            return
        if self.model not in MODELS:
            raise CalibrationError(
                f"camera_info: distortion_model {self.model!r} cannot be rectified; allowed: {', '.join(MODELS)}"
            )
        if len(self.d) not in MODELS[self.model]:
            numbers = " or ".join(map(str, MODELS[self.model]))
            raise CalibrationError(f"camera_info: {self.model} has {numbers} coefficients D, not {len(self.d)}")


@dataclass(frozen=True, eq=False)
class Rectification:
    """How to rectify the images of one camera.

    Args:
        maps: where each pixel of the rectified image comes from, as OpenCV's remap takes it; None: nothing changes.
        seen: [height, width], false where the camera did not see what the rectified image would show; None: all seen.
    """

    maps: tuple[NDArray, NDArray] | None
    seen: NDArray[np.bool_] | None

    def rectify(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The rectified image; [height, width, 3]. Where the camera saw nothing the border is repeated."""
        if self.maps is None:
            return rgb
        return np.asarray(cv2.remap(rgb, *self.maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


NOTHING_TO_RECTIFY = Rectification(None, None)


@lru_cache(maxsize=8)
def rectification(camera: DistortedCamera) -> Rectification:
    """How to rectify; computed once for each camera.

    The models are OpenCV's (calib3d and fisheye), which ROS's calibration and image_proc use.
    """
    turned = any(camera.r) and not np.array_equal(np.reshape(camera.r, (3, 3)), np.eye(3))
    if not any(camera.d) and not turned and camera.k == camera.new_k:
        return NOTHING_TO_RECTIFY
    k, new_k = (np.reshape(matrix, (3, 3)).astype(np.float64) for matrix in (camera.k, camera.new_k))
    r = np.reshape(camera.r, (3, 3)).astype(np.float64) if turned else np.eye(3)
    d = np.array(camera.d if any(camera.d) else (0.0,) * 4, np.float64)
    size = (camera.width, camera.height)
    fisheye = camera.model == "equidistant" and any(camera.d)
    make_maps = cv2.fisheye.initUndistortRectifyMap if fisheye else cv2.initUndistortRectifyMap
    x, y = make_maps(k, d, r, new_k, size, cv2.CV_32FC1)
    # Half a pixel over the outermost centres is still within the picture.
    inside = (x >= -0.5) & (x <= camera.width - 0.5) & (y >= -0.5) & (y <= camera.height - 0.5)
    return Rectification(cv2.convertMaps(x, y, cv2.CV_16SC2), None if inside.all() else inside)
