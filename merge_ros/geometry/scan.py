"""A planar laser scan out of a depth map: the nearest thing between two heights over the floor, by bearing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import InputError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import down_in_camera


@dataclass(frozen=True)
class Scan:
    """What a planar scanner at the camera would see, in the level frame of `level_from_optical`.

    Args:
        first_angle: bearing of the first beam in radians, anticlockwise from straight ahead.
        step: radians from one beam to the next, > 0.
        ranges: [beams] horizontal metres; REP 117: +inf nothing within reach, -inf too near, NaN not known.
    """

    first_angle: float
    step: float
    ranges: NDArray[np.float32]


@dataclass(frozen=True)
class _Beams:
    """Where each pixel's ray goes in the level frame; flat arrays, one value for each pixel."""

    first_angle: float
    step: float
    count: int
    beam: NDArray[np.intp]
    forward: NDArray[np.float32]  # horizontal metres per metre of depth
    drop: NDArray[np.float32]  # metres downwards per metre of depth


def level_from_optical(pitch: float, roll: float) -> NDArray[np.float64]:
    """Rotation [3, 3] from the optical frame to one that is level: x forward, y left, z up (REP 103).

    Args:
        pitch, roll: radians, as in `down_in_camera`.
    """
    down = down_in_camera(pitch, roll)
    ahead = np.array([0.0, 0.0, 1.0]) - down[2] * down
    forward = ahead / np.linalg.norm(ahead)
    return np.stack([forward, np.cross(-down, forward), -down])


def scan_depth(
    depth: NDArray[np.float32],
    camera: Camera,
    height: float,
    pitch: float,
    roll: float,
    band: tuple[float, float],
    limits: tuple[float, float],
) -> Scan:
    """Scan a depth map.

    A beam is as wide as a pixel at the image's centre. It gives the nearest point between the two heights. It is +inf
    where a ray of the beam is known to reach the far limit without such a point, at or below the upper height; a beam
    that sees only floor up to some metres, or nothing known, is NaN.

    Args:
        depth: [camera.height, camera.width] metres along z; NaN unknown, +inf too far (REP 118).
        camera: of that size.
        height: metres of the optical centre over the floor.
        pitch, roll: of the camera in radians, as in `down_in_camera`.
        band: lowest and highest height over the floor in metres.
        limits: nearest and farthest range in metres.

    Raises:
        InputError: the depth has another size than the camera, or the first of a pair is not below the second.
    """
    if depth.shape != (camera.height, camera.width):
        raise InputError(f"depth has shape {depth.shape}; the camera needs ({camera.height}, {camera.width})")
    if not band[0] < band[1] or not 0 <= limits[0] < limits[1]:
        raise InputError(f"band={band} m and limits={limits} m must each rise, and limits not be negative")
    beams = _beams(camera, pitch, roll)
    z = depth.ravel()
    finite = np.isfinite(z)
    near, reach = limits

    distance = z * beams.forward
    with np.errstate(invalid="ignore"):  # inf * 0
        over_floor = np.float32(height) - z * beams.drop
    hit = finite & (over_floor >= band[0]) & (over_floor <= band[1]) & (distance <= reach)
    at_reach = height - reach * beams.drop / beams.forward
    clear = (distance >= reach) & (at_reach <= band[1])  # false for NaN

    ranges = np.full(beams.count, np.nan, np.float32)
    ranges[beams.beam[clear]] = np.inf
    nearest = np.full(beams.count, np.inf, np.float32)
    np.minimum.at(nearest, beams.beam[hit], distance[hit])
    found = np.isfinite(nearest)
    ranges[found] = np.where(nearest[found] < near, np.float32(-np.inf), nearest[found])
    return Scan(beams.first_angle, beams.step, ranges)


@lru_cache(maxsize=4)
def _beams(camera: Camera, pitch: float, roll: float) -> _Beams:
    level = camera.rays().reshape(-1, 3) @ level_from_optical(pitch, roll).astype(np.float32).T
    bearing = np.arctan2(level[:, 1], level[:, 0])
    first, last = float(bearing.min()), float(bearing.max())
    step = 1 / camera.fx
    count = int((last - first) / step) + 1
    beam = np.minimum(((bearing - first) / step).astype(np.intp), count - 1)
    forward = np.maximum(np.hypot(level[:, 0], level[:, 1]), np.float32(1e-6))  # straight down has no bearing
    return _Beams(first + step / 2, step, count, beam, forward, -level[:, 2])
