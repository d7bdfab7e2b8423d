"""CameraInfo messages: what they say about an image, and the one that is published beside a depth map."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from merge_ros.errors import CalibrationError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.rectification import DistortedCamera

REMEMBERED = 30  # infos; one second of a usual camera


class RecentInfos:
    """The last camera infos, found by stamp. Safe to use from two threads.

    A frame that waits for its turn is then paired with its own info, also when the region of interest or the zoom has
    changed meanwhile.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._infos: OrderedDict[tuple[int, int], CameraInfo] = OrderedDict()

    def add(self, info: CameraInfo) -> None:
        with self._lock:
            stamp = (info.header.stamp.sec, info.header.stamp.nanosec)
            self._infos.pop(stamp, None)
            self._infos[stamp] = info
            if len(self._infos) > REMEMBERED:
                self._infos.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._infos.clear()

    def newest(self) -> CameraInfo | None:
        """The info that came last, None when none has come."""
        with self._lock:
            return next(reversed(self._infos.values()), None)

    def for_stamp(self, stamp: Time) -> CameraInfo | None:
        """The info with this stamp, else the one that came last; None when none has come."""
        with self._lock:
            paired = self._infos.get((stamp.sec, stamp.nanosec))
        return paired or self.newest()


def resolve(info: CameraInfo, header: Header) -> CameraInfo:
    """The info of the image as it is, with binning and region of interest worked into K and P, and P filled.

    The region is in pixels of the full sensor and is cut first, then pixels are binned (sensor_msgs/CameraInfo). Where
    the driver left P empty it comes from K. Distortion and R stay.

    Args:
        info: as received.
        header: of the image, copied into the result.

    Raises:
        CalibrationError: K is empty, a value is not finite, or the region leaves the sensor.
    """
    k, p = info.k.astype(float), info.p.astype(float)
    if not (np.isfinite(k).all() and np.isfinite(p).all()):
        raise CalibrationError("camera_info: K or P holds values that are not finite")
    if k[0] <= 0 or k[4] <= 0:
        raise CalibrationError(
            f"camera_info: the focal lengths in K are {k[0]:g} and {k[4]:g}; the camera is not calibrated, or its "
            "driver does not know the calibration"
        )
    if p[0] == 0:
        p = np.column_stack([k.reshape(3, 3), np.zeros(3)]).ravel()

    roi = info.roi
    whole = roi.width == 0 and roi.height == 0
    width, height = (info.width, info.height) if whole else (roi.width, roi.height)
    if roi.x_offset + width > info.width or roi.y_offset + height > info.height:
        raise CalibrationError(
            f"camera_info: the region of interest {width}x{height} at ({roi.x_offset}, {roi.y_offset}) leaves the "
            f"{info.width}x{info.height} sensor"
        )
    bin_x, bin_y = max(info.binning_x, 1), max(info.binning_y, 1)
    for matrix, columns in ((k, 3), (p, 4)):
        rows = matrix.reshape(3, columns)
        rows[0, 2] -= roi.x_offset
        rows[1, 2] -= roi.y_offset
        rows[0] /= bin_x
        rows[1] /= bin_y

    resolved = CameraInfo(header=header, width=width // bin_x, height=height // bin_y)
    resolved.distortion_model, resolved.d, resolved.r = info.distortion_model, info.d, info.r
    resolved.k, resolved.p = k, p
    resolved.roi = RegionOfInterest()
    return resolved


def camera_for_image(resolved: CameraInfo, width: int, height: int) -> Camera:
    """The pinhole camera of an image, from P, which is what consumers of the depth map use too.

    Args:
        resolved: from `resolve`.
        width, height: of the image that it shall describe.

    Raises:
        CalibrationError: the image has another size, or P is not that of a camera.
    """
    if (resolved.width, resolved.height) != (width, height):
        raise CalibrationError(
            f"camera_info describes {resolved.width}x{resolved.height} pixels (binning and region of interest worked "
            f"in), the image has {width}x{height}"
        )
    p = resolved.p
    return Camera(width, height, fx=float(p[0]), fy=float(p[5]), cx=float(p[2]), cy=float(p[6]))


def distorted_camera(resolved: CameraInfo) -> DistortedCamera:
    """The lens of a camera, and the pinhole camera that its rectified images have: that of P, turned by R (image_proc).

    Args:
        resolved: from `resolve`.

    Raises:
        CalibrationError: the distortion model is unknown, or D or R are not what it takes.
    """
    p = resolved.p.reshape(3, 4)[:, :3]
    k, r, new_k = (tuple(map(float, np.ravel(matrix))) for matrix in (resolved.k, resolved.r, p))
    d = tuple(map(float, resolved.d))
    return DistortedCamera(resolved.width, resolved.height, k, resolved.distortion_model, d, r, new_k)


def rectified_info(resolved: CameraInfo) -> CameraInfo:
    """The info of a rectified image: no distortion, not turned, K the left part of P.

    Args:
        resolved: from `resolve`.
    """
    info = CameraInfo(header=resolved.header, width=resolved.width, height=resolved.height)
    info.distortion_model, info.d = "plumb_bob", [0.0] * 5
    info.r, info.p = np.eye(3).ravel(), resolved.p
    info.k = resolved.p.reshape(3, 4)[:, :3].ravel()
    return info


def resized_info(info: CameraInfo, width: int, height: int) -> CameraInfo:
    """The info of the same view in another size, by the rule of `Camera.resized`.

    Args:
        info: from `resolve` or `rectified_info`.
        width, height: pixels.
    """
    resized = CameraInfo(header=info.header, width=width, height=height)
    resized.distortion_model, resized.d, resized.r = info.distortion_model, info.d, info.r
    across, down = width / info.width, height / info.height
    scaling = np.array([[across], [down], [1.0]])
    resized.k = (info.k.reshape(3, 3) * scaling).ravel()
    resized.p = (info.p.reshape(3, 4) * scaling).ravel()
    return resized


def info_from_camera(camera: Camera, header: Header) -> CameraInfo:
    """The info of an undistorted, rectified camera."""
    k = [float(value) for value in camera.matrix.ravel()]
    info = CameraInfo(header=header, width=camera.width, height=camera.height, distortion_model="plumb_bob", k=k)
    info.d, info.r = [0.0] * 5, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
    return info


def distortion_warning(info: CameraInfo, image_topic: str) -> str:
    """What to tell the user about lens distortion; "" when there is none, or when the image is free of it.

    Args:
        info: as received. A rectified image comes with the info of the distorted one, so the info alone does not tell.
        image_topic: resolved name. image_proc calls what it has rectified image_rect or image_rect_color.
    """
    if not any(info.d) or "rect" in image_topic.rsplit("/", 1)[-1]:
        return ""
    return (
        f"camera_info has lens distortion ({info.distortion_model or 'model not named'}), which is not corrected: set "
        f"rectify to true, or remap image from {image_topic} to the rectified image (image_rect); otherwise depth is "
        "bent towards the borders"
    )
