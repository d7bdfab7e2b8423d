"""Surface normals from exact depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import InputError
from merge_ros.geometry.camera import Camera


def normals_from_depth(depth: NDArray[np.float32], camera: Camera) -> NDArray[np.float32]:
    """Unit normals of the visible surfaces in the optical frame, facing the camera.

    On a plane n . P = d the inverse of the optical-z depth is linear in pixel coordinates: with P = z ray it is
    n . ray / d. So its slopes along rows and columns give the normal, exactly for planes; each is taken on that side of
    the pixel on which the inverse depth is straighter, so that outlines do not mix two surfaces. Meant for rendered
    depth: noise would be amplified.

    Args:
        depth: [height, width], metres along the optical axis, positive and finite.
        camera: its intrinsics.

    Returns:
        [height, width, 3] float32; x right, y down, z forward, so that a wall seen head on is (0, 0, -1).

    Raises:
        InputError: not a depth map of the camera's size, or not positive and finite everywhere.
    """
    if depth.shape != (camera.height, camera.width) or min(depth.shape) < 3:
        raise InputError(f"depth of shape {depth.shape} for {camera}; allowed: [height, width], at least 3 each")
    if not (np.isfinite(depth).all() and (depth > 0).all()):
        raise InputError("depth must be positive and finite everywhere to have normals")
    inverse = 1 / depth.astype(np.float64)
    along_x, along_y = _slope(inverse), _slope(inverse.T).T
    x, y = np.arange(camera.width) - camera.cx, (np.arange(camera.height) - camera.cy)[:, None]
    away = np.stack([camera.fx * along_x, camera.fy * along_y, inverse - along_x * x - along_y * y], -1)
    return np.asarray(-away / np.linalg.norm(away, axis=-1, keepdims=True), np.float32)


def _slope(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative along the last axis, from the side on which the values bend less."""
    steps = np.diff(values, axis=-1)
    # bend[i] belongs to the steps on both sides of pixel i; a step away from i is judged by the bend at its far end.
    bend = np.pad(np.abs(np.diff(steps, axis=-1)), ((0, 0), (1, 1)), mode="edge")
    before = np.pad(steps, ((0, 0), (1, 0)), mode="edge")
    after = np.pad(steps, ((0, 0), (0, 1)), mode="edge")
    bend_before = np.pad(bend, ((0, 0), (1, 0)), mode="edge")[:, :-1]
    bend_after = np.pad(bend, ((0, 0), (0, 1)), mode="edge")[:, 1:]
    return np.where(bend_after < bend_before, after, before)
