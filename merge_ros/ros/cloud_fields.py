"""Fields of PointCloud2 messages as arrays."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField

from merge_ros.errors import InputError

FLOATS = {PointField.FLOAT32: "f4", PointField.FLOAT64: "f8"}


def read_points(cloud: PointCloud2, most: int) -> tuple[NDArray[np.float64], NDArray[np.uint8] | None]:
    """The points of a cloud, organised or not, with or without padding.

    Args:
        cloud: with fields x, y, z, and rgb or not.
        most: points; more are thinned evenly.

    Returns:
        [n, 3] in the cloud's units, those that are finite; and their colours [n, 3], None where the cloud has none.

    Raises:
        InputError: a field is missing or not a float, or the data is shorter than its description.
    """
    fields = {field.name: field for field in cloud.fields}
    missing = [name for name in "xyz" if name not in fields]
    if missing:
        raise InputError(f"cloud without the fields {', '.join(missing)}; it has {', '.join(fields) or 'none'}")
    if cloud.width * cloud.height == 0:
        return np.empty((0, 3)), None
    step = max(1, math.ceil(cloud.width * cloud.height / most))
    points = np.stack([_column(cloud, fields[name], step).astype(np.float64) for name in "xyz"], axis=1)
    known = np.isfinite(points).all(axis=1)
    if "rgb" not in fields or fields["rgb"].datatype != PointField.FLOAT32:
        return points[known], None
    # PCL packs 0x00RRGGBB into a float's bits.
    packed = _column(cloud, fields["rgb"], step)[known].astype(np.float32, copy=True).view(np.uint32)
    return points[known], np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=1).astype(np.uint8)


def _column(cloud: PointCloud2, field: PointField, step: int) -> NDArray:
    """One field of every `step`-th point."""
    if field.datatype not in FLOATS:
        raise InputError(f"field {field.name} of the cloud has datatype {field.datatype}; allowed: FLOAT32, FLOAT64")
    kind = np.dtype((">" if cloud.is_bigendian else "<") + FLOATS[field.datatype])
    width, height = int(cloud.width), int(cloud.height)
    row_step = max(int(cloud.row_step), width * cloud.point_step) if height > 1 else width * cloud.point_step
    needed = (height - 1) * row_step + (width - 1) * cloud.point_step + field.offset + kind.itemsize
    if cloud.point_step < field.offset + kind.itemsize or len(cloud.data) < needed:
        raise InputError(
            f"cloud of {width}x{height} points, point_step {cloud.point_step}, has {len(cloud.data)} bytes; field "
            f"{field.name} at offset {field.offset} needs {needed}"
        )
    strided: NDArray = np.ndarray(
        (height, width), kind, np.frombuffer(cloud.data, np.uint8), field.offset, (row_step, cloud.point_step)
    )
    return strided.ravel()[::step]
