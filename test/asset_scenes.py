"""A scene whose depth is known in closed form: a chequered floor, a wall behind, and a box on the floor."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import down_in_camera

CAMERA_HEIGHT, PITCH = 0.6, 0.25  # metres, radians
BOX = ((1.2, -0.25, 0.0), (1.6, 0.15, 0.4))  # x forward, y left, z up from the point below the camera; metres
WALL = 3.0  # metres before the camera
FOV = math.radians(65)


def camera(width: int = 160, height: int = 120) -> Camera:
    return Camera.from_fov(width, height, FOV)


def room(size: tuple[int, int] = (160, 120), *, box: bool = True) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Colours and depth along the optical axis, in metres."""
    rays = camera(*size).rays().astype(np.float64)
    down = down_in_camera(PITCH, 0.0)
    forward = np.array([0.0, -math.sin(PITCH), math.cos(PITCH)])
    # Rays in the levelled frame: x forward, y left, z up.
    level = np.stack([rays @ forward, -rays[..., 0], -rays @ down], axis=-1)
    origin = np.array([0.0, 0.0, CAMERA_HEIGHT])
    with np.errstate(divide="ignore", invalid="ignore"):
        floor = np.where(level[..., 2] < 0, -CAMERA_HEIGHT / level[..., 2], np.inf)
        wall = np.where(level[..., 0] > 0, WALL / level[..., 0], np.inf)
        slabs = np.sort((np.array(BOX)[:, None, None] - origin) / level, axis=0)
    enter, leave = slabs[0].max(-1), slabs[1].min(-1)
    solid = np.where((enter < leave) & (enter > 0) & box, enter, np.inf)
    depth = np.minimum(np.minimum(floor, wall), solid)

    place = origin + depth[..., None] * level
    rgb = np.empty((*depth.shape, 3))
    chequer = (np.floor(place[..., 0] / 0.2) + np.floor(place[..., 1] / 0.2)) % 2
    rgb[:] = 90 + 80 * chequer[..., None] * np.array([1.0, 0.9, 0.7])
    rgb[(depth == wall)] = (200, 205, 190)
    front = np.abs(place[..., 0] - BOX[0][0]) < 1e-6
    rgb[depth == solid] = (170, 50, 40)
    rgb[(depth == solid) & front] = (200, 70, 50)
    return rgb.astype(np.uint8), depth.astype(np.float32)


def is_box(depth: NDArray[np.float32], size: tuple[int, int] = (160, 120)) -> NDArray[np.bool_]:
    """Pixels that show the box."""
    return np.asarray(depth < room(size, box=False)[1] - 1e-4)
