"""Point clouds from depth: back-projection, the packed layout of PCL, and PLY files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import InputError
from merge_ros.files import atomic_write
from merge_ros.geometry.camera import Camera

# One point as PCL and RViz expect it: 16 bytes, little endian, `rgb` holding 0x00RRGGBB in a float's bits.
POINT_DTYPE = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<f4")])


def back_project(depth: NDArray[np.floating], camera: Camera) -> NDArray[np.float32]:
    """Points in the optical frame of the camera.

    Args:
        depth: [camera.height, camera.width] metres along the optical z axis.

    Returns:
        [height, width, 3] float32; NaN where the depth is not finite.

    Raises:
        InputError: the depth has another size than the camera.
    """
    _check_size("depth", depth.shape, camera)
    finite = np.where(np.isfinite(depth), depth, np.nan).astype(np.float32, copy=False)
    return finite[..., None] * camera.rays()


def packed_cloud(
    depth: NDArray[np.floating], rgb: NDArray[np.uint8], camera: Camera, stride: int = 1
) -> NDArray[np.void]:
    """An organised coloured cloud, ready for the data of a sensor_msgs/PointCloud2.

    Args:
        depth: [height, width] metres; not finite is unknown.
        rgb: [height, width, 3] uint8.
        camera: of that size.
        stride: every stride-th pixel of every stride-th row is taken, starting with the first, >= 1.

    Returns:
        [ceil(height / stride), ceil(width / stride)] of `POINT_DTYPE`; x, y, z NaN where the depth is
        unknown.

    Raises:
        InputError: sizes differ, or the stride is below 1.
    """
    _check_size("depth", depth.shape, camera)
    if rgb.shape != (camera.height, camera.width, 3) or rgb.dtype != np.uint8:
        raise InputError(
            f"colours are {rgb.dtype} {rgb.shape}; the {camera.width}x{camera.height} cloud needs uint8 "
            f"({camera.height}, {camera.width}, 3)"
        )
    if stride < 1:
        raise InputError(f"stride={stride} must be at least 1")
    z = depth[::stride, ::stride]
    z = np.where(np.isfinite(z), z, np.float32(np.nan)).astype(np.float32, copy=False)
    rays = camera.rays()
    # Whole fields, one after the other: several times faster than pixel by pixel.
    cloud = np.empty(z.shape, POINT_DTYPE)
    np.multiply(rays[0, ::stride, 0], z, out=cloud["x"])
    np.multiply(rays[::stride, :1, 1], z, out=cloud["y"])
    cloud["z"] = z
    colours, colour_bytes = rgb[::stride, ::stride], cloud.view(np.uint8).reshape(*z.shape, POINT_DTYPE.itemsize)
    for byte, channel in enumerate((2, 1, 0), start=12):
        colour_bytes[..., byte] = colours[..., channel]
    colour_bytes[..., 15] = 0
    return cloud


def write_ply(path: Path, points: NDArray[np.floating], colours: NDArray[np.uint8]) -> int:
    """Write a coloured cloud as binary little-endian PLY; points that are not finite are left out.

    The file appears complete or not at all.

    Args:
        path: of the file; its folder is made.
        points: [..., 3] metres.
        colours: [..., 3] uint8 RGB, one per point.

    Returns:
        The number of points written.

    Raises:
        InputError: the shapes do not belong together.
        OSError: the file cannot be written.
    """
    if points.shape != colours.shape or points.shape[-1:] != (3,):
        raise InputError(f"points {points.shape} and colours {colours.shape} must both be [..., 3] of one shape")
    finite = np.isfinite(points).all(axis=-1)
    vertices = np.empty(
        np.count_nonzero(finite),
        [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")],
    )
    for index, (axis, channel) in enumerate((("x", "red"), ("y", "green"), ("z", "blue"))):
        vertices[axis] = points[finite][:, index]
        vertices[channel] = colours[finite][:, index]
    kinds = {"f": "float", "u": "uchar"}
    properties = [f"property {kinds[vertices.dtype[name].kind]} {name}" for name in vertices.dtype.names or ()]
    lines = (
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *properties,
        "end_header",
        "",
    )

    with atomic_write(path) as temporary:
        temporary.write_bytes("\n".join(lines).encode("ascii") + vertices.tobytes())
    return len(vertices)


def _check_size(name: str, shape: tuple[int, ...], camera: Camera) -> None:
    if shape != (camera.height, camera.width):
        raise InputError(f"{name} has shape {shape}; the camera needs ({camera.height}, {camera.width})")
