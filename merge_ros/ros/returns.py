"""Messages of range sensors and depth cameras to points."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image, LaserScan, PointCloud2, Range

from merge_ros.errors import EncodingError, InputError
from merge_ros.geometry.camera import Camera
from merge_ros.ros.cloud_fields import read_points
from merge_ros.ros.conversions import image_to_array, stamp_nanoseconds
from merge_ros.scale import Returns

MOST_POINTS = 20_000  # of one message; more are thinned before any arithmetic


def scan_to_returns(scan: LaserScan) -> Returns:
    """A laser scan; ranges outside [range_min, range_max], NaN and inf are no returns (REP 117).

    Raises:
        InputError: an angle or a limit is not finite.
    """
    angles = (scan.angle_min, scan.angle_increment, scan.range_min, scan.range_max)
    if not all(map(math.isfinite, angles[:3])) or math.isnan(scan.range_max):
        raise InputError(f"laser scan with angle_min, angle_increment, range_min, range_max = {angles}")
    ranges = np.asarray(scan.ranges, np.float64)
    angle = scan.angle_min + scan.angle_increment * np.arange(ranges.size)
    seen = np.isfinite(ranges) & (ranges >= scan.range_min) & (ranges <= scan.range_max) & (ranges > 0)
    ranges, angle = ranges[seen], angle[seen]
    points = np.stack([ranges * np.cos(angle), ranges * np.sin(angle), np.zeros(ranges.size)], axis=1)
    return _returns(scan, points)


def range_to_returns(message: Range) -> Returns:
    """A single range along the sensor's x axis, the nearest thing in its cone; none when out of its limits.

    Raises:
        InputError: the field of view is not an angle of a cone.
    """
    if not 0 < message.field_of_view < math.pi:
        raise InputError(f"range with field_of_view={message.field_of_view}; it must lie between 0 and pi rad")
    known = math.isfinite(message.range) and message.min_range <= message.range <= message.max_range
    points = np.array([[message.range, 0.0, 0.0]]) if known and message.range > 0 else np.empty((0, 3))
    return _returns(message, points, float(message.field_of_view))


def cloud_to_returns(cloud: PointCloud2) -> Returns:
    """A cloud with fields x, y, z, organised or not, with or without padding.

    Raises:
        InputError: a field is missing or not a float, or the data is shorter than its description.
    """
    return _returns(cloud, read_points(cloud, MOST_POINTS)[0])


def depth_to_returns(image: Image, camera: Camera) -> Returns:
    """A depth image: 32FC1 metres or 16UC1 millimetres along the optical axis, not positive or not finite unknown.

    Args:
        image: any size.
        camera: of that image; points are in its optical frame.

    Raises:
        EncodingError: another encoding.
        InputError: the camera has another size, or the data is too short.
    """
    if image.encoding not in ("32FC1", "16UC1"):
        raise EncodingError(f"depth image with encoding {image.encoding!r}; allowed: 32FC1, 16UC1")
    pixels = image_to_array(image)
    if pixels.shape != (camera.height, camera.width):
        raise InputError(
            f"the depth image has {image.width}x{image.height} pixels, its camera info describes "
            f"{camera.width}x{camera.height}"
        )
    step = max(1, math.ceil(math.sqrt(pixels.size / MOST_POINTS)))
    depth = pixels[::step, ::step].astype(np.float64)
    if image.encoding == "16UC1":
        depth /= 1000
    known = np.isfinite(depth) & (depth > 0)
    return _returns(image, camera.rays()[::step, ::step][known] * depth[known][:, None])


def _returns(message: LaserScan | Range | PointCloud2 | Image, points: NDArray, beam: float = 0.0) -> Returns:
    header = message.header
    return Returns(points, header.frame_id, stamp_nanoseconds(header.stamp) * 1e-9, beam)
