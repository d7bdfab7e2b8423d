"""Filters between a depth map and the cloud that others work with: range, open directions, unknown points, voxels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import InputError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.pointcloud import POINT_DTYPE

VOXELS_PER_SIDE = 1 << 21  # three indices go into one 64-bit number


def limit_range(
    depth: NDArray[np.float32], camera: Camera, reach: float, far: float, keep_open: bool
) -> NDArray[np.float32]:
    """Depth with nothing farther from the camera than `reach`.

    Args:
        depth: [camera.height, camera.width] metres along z; NaN unknown, +inf farther than `far` (REP 118).
        camera: of that size.
        reach: metres from the optical centre, > 0; +inf for no limit.
        far: metres along z, up to which depth is given.
        keep_open: a pixel that is known to see nothing within `reach` gets the depth that lies at `reach` on its ray,
            or at `far` where that is nearer; otherwise it becomes NaN.

    Returns:
        [height, width] metres; finite or NaN.

    Raises:
        InputError: the depth has another size than the camera, or a length is not positive.
    """
    if depth.shape != (camera.height, camera.width):
        raise InputError(f"depth has shape {depth.shape}; the camera needs ({camera.height}, {camera.width})")
    if not (reach > 0 and far > 0):
        raise InputError(f"reach={reach} m and far={far} m must be above 0")
    limit = np.minimum(np.float32(reach) / _ray_lengths(camera), np.float32(far))
    return np.where(depth <= limit, depth, np.where(np.isnan(depth) | (not keep_open), np.float32(np.nan), limit))


def known_points(cloud: NDArray[np.void]) -> NDArray[np.void]:
    """The points of a cloud whose place is known, in their order, in one row.

    Args:
        cloud: any shape of `POINT_DTYPE`; an unknown point has NaN in z.

    Returns:
        [1, n].
    """
    known: NDArray[np.void] = cloud[np.isfinite(cloud["z"])]
    return known.reshape(1, -1)


def voxel_means(cloud: NDArray[np.void], edge: float) -> NDArray[np.void]:
    """One point for each cube of space that holds points: their mean in place and colour (as PCL's VoxelGrid).

    The cubes lie on a grid with a corner in the origin of the cloud's frame.

    Args:
        cloud: any shape of `POINT_DTYPE`; points with NaN in z are left out.
        edge: of the cubes in metres, > 0.

    Returns:
        [1, n] of `POINT_DTYPE`, all finite, in no meaningful order.

    Raises:
        InputError: the edge is not positive, or so small that the cubes cannot be counted.
    """
    if not edge > 0:
        raise InputError(f"voxel edge={edge} m must be above 0")
    points = known_points(cloud)[0]
    if not points.size:
        return known_points(cloud)
    places = np.stack([points[axis] for axis in "xyz"])
    indices = np.floor(places / np.float32(edge)).astype(np.int64)
    indices -= indices.min(axis=1, keepdims=True)
    if indices.max() >= VOXELS_PER_SIDE:
        raise InputError(f"voxel edge={edge} m is too small: the cloud spans {np.ptp(places, axis=1).max():.0f} m")
    _, cube, count = np.unique(
        (indices[0] * VOXELS_PER_SIDE + indices[1]) * VOXELS_PER_SIDE + indices[2],
        return_inverse=True,
        return_counts=True,
    )

    means = np.zeros(count.size, POINT_DTYPE)
    for axis, values in zip("xyz", places, strict=True):
        means[axis] = np.bincount(cube, values) / count
    colour_bytes = points.view(np.uint8).reshape(-1, POINT_DTYPE.itemsize)
    mean_bytes = means.view(np.uint8).reshape(-1, POINT_DTYPE.itemsize)
    for byte in (12, 13, 14):  # blue, green, red
        mean_bytes[:, byte] = np.rint(np.bincount(cube, colour_bytes[:, byte]) / count)
    return means.reshape(1, -1)


@lru_cache(maxsize=8)
def _ray_lengths(camera: Camera) -> NDArray[np.float32]:
    lengths = np.linalg.norm(camera.rays(), axis=-1)
    lengths.setflags(write=False)
    return np.asarray(lengths)
