"""Metres from another sensor's returns: laser scans, clouds, depth images, and single ranges with a wide beam."""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import ScaleError
from merge_ros.geometry.alignment import fit_affine_robust
from merge_ros.geometry.camera import Camera
from merge_ros.scale.fitting import Gate, reading_from_fit, usable
from merge_ros.scale.near_far import Reading
from merge_ros.scale.registration import SATURATED
from merge_ros.scale.transforms import SensorPose

REMEMBERED = 60  # messages; one second of a fast sensor
SAMPLES = 3000
NEAREST = 0.05  # metres along the optical axis
# Returns from behind what the camera sees (the sensor looks from elsewhere) are left out: of each so many pixels the
# nearest counts.
CELLS_ACROSS = 160

TOLERANCE = 0.15  # relative; a model's depth of a whole surface is easily 10 % off
GATE = Gate(inliers=0.5, spread=1.3, residual=0.1, what="the reference")
RANGE_ERROR = 0.02  # relative, one standard deviation of a range sensor's own scale

# Of a beam with a cone, the range is that of the nearest thing in it (sensor_msgs/Range).
BEAM_QUANTILE = 0.1  # of the relative depth in the beam: the nearest, without single wrong pixels
BEAM_ERROR = 0.08  # relative, one standard deviation: which thing in the beam it was is not known
MAX_BEAMS = 8


@dataclass(frozen=True)
class Returns:
    """What one message of a sensor says.

    Args:
        points: [n, 3] metres in the sensor's frame, finite.
        frame: the sensor's frame id.
        stamp: seconds.
        beam: radians, width of the cone that each return may come from; 0: that of a laser.
    """

    points: NDArray[np.floating]
    frame: str
    stamp: float
    beam: float = 0.0


class RangeReturns:
    """Scale and shift fitted to returns that are projected into the camera. Safe to use from two threads.

    Args:
        name: of the source.
        pose: of the sensors.
        max_age: seconds between the stamps of an image and of the returns that it is compared with.
    """

    def __init__(self, name: str, pose: SensorPose, max_age: float) -> None:
        self.name = name
        self.pose = pose
        self._max_age = max_age
        self._lock = threading.Lock()
        self._recent: deque[Returns] = deque(maxlen=REMEMBERED)

    def add(self, returns: Returns) -> None:
        """Remember a message for the frames that it belongs to."""
        with self._lock:
            self._recent.append(returns)

    def read(self, relative: NDArray[np.float32], camera: Camera, frame: str, stamp: float) -> Reading:
        """What the sensor says of a frame; see `Reference.read`."""
        nearest = self._nearest(stamp)
        if nearest[0].beam > 0:
            return self._read_beams(nearest, relative, camera, frame)
        seen = self._in_camera(nearest[0], frame)
        pixels, metres = project(seen, camera)
        if not metres.size:
            raise ScaleError(f"none of the {len(seen)} returns of {nearest[0].frame} lies in the camera's view")
        samples = usable(relative.ravel()[pixels], SATURATED)
        fit = fit_affine_robust(samples, metres, tolerance=TOLERANCE)
        return reading_from_fit(samples, metres, fit, GATE, shifts=[], scale_error=RANGE_ERROR, tolerance=TOLERANCE)

    def _nearest(self, stamp: float) -> list[Returns]:
        """The message nearest in time; of sensors with a beam, that of every frame id."""
        with self._lock:
            recent = list(self._recent)
        if not recent:
            raise ScaleError("no reference has come yet")
        best: dict[str, Returns] = {}
        for returns in recent:
            other = best.get(returns.frame)
            if other is None or abs(returns.stamp - stamp) <= abs(other.stamp - stamp):
                best[returns.frame] = returns
        ordered = sorted(best.values(), key=lambda returns: abs(returns.stamp - stamp))
        if abs(ordered[0].stamp - stamp) > self._max_age:
            raise ScaleError(
                f"the nearest reference is {abs(ordered[0].stamp - stamp):.2f} s away from the image; "
                f"{self._max_age:g} s is allowed (reference_max_age)"
            )
        return [returns for returns in ordered if abs(returns.stamp - stamp) <= self._max_age]

    def _in_camera(self, returns: Returns, frame: str) -> NDArray[np.float64]:
        pose = self.pose.at(returns.frame, frame, returns.stamp)
        return np.asarray(returns.points @ pose[:3, :3].T + pose[:3, 3], np.float64)

    def _read_beams(self, sensors: list[Returns], relative: NDArray[np.float32], camera: Camera, frame: str) -> Reading:
        places, metres = [], []
        for returns in sensors:
            if returns.beam <= 0 or not len(returns.points):
                continue
            point = self._in_camera(returns, frame)[0]
            values = _in_beam(relative, camera, point, returns.beam)
            if values.size:
                places.append(float(np.quantile(values, BEAM_QUANTILE)))
                metres.append(float(point[2]))
        if not places:
            raise ScaleError("the beam of no range sensor meets what the camera sees and the model can tell apart")
        place, depth = np.array(places[:MAX_BEAMS]), np.array(metres[:MAX_BEAMS])
        return Reading(np.column_stack([1 - place, place]), depth, np.diag((BEAM_ERROR * depth) ** 2), np.zeros((2, 2)))


def project(points: NDArray[np.float64], camera: Camera) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Points to pixels: flat indices and depths of those in view, the nearest of each small cell, at most `SAMPLES`.

    Args:
        points: [n, 3] metres in the optical frame; those that are not finite are left out.
        camera: into whose image they are projected.
    """
    points = points[np.isfinite(points).all(axis=1)]
    points = points[points[:, 2] > NEAREST]
    z = points[:, 2]
    u = points[:, 0] / z * camera.fx + camera.cx
    v = points[:, 1] / z * camera.fy + camera.cy
    inside = (u > -0.5) & (u < camera.width - 0.5) & (v > -0.5) & (v < camera.height - 0.5)
    u, v, z = u[inside], v[inside], z[inside]
    columns, rows = np.rint(u).astype(np.intp), np.rint(v).astype(np.intp)
    side = max(camera.width / CELLS_ACROSS, 1.0)
    cell = (rows / side).astype(np.intp) * (CELLS_ACROSS + 1) + (columns / side).astype(np.intp)
    order = np.lexsort((z, cell))
    _, first = np.unique(cell[order], return_index=True)
    chosen = order[first]
    if chosen.size > SAMPLES:
        chosen = np.random.default_rng(0).choice(chosen, SAMPLES, replace=False)
    return rows[chosen] * camera.width + columns[chosen], z[chosen]


def _in_beam(
    relative: NDArray[np.float32], camera: Camera, point: NDArray[np.float64], beam: float
) -> NDArray[np.float64]:
    """Relative depth, as far as it is not saturated, in a cone round a point in the optical frame."""
    x, y, z = point
    if not np.isfinite(point).all() or z <= NEAREST:
        return np.empty(0)
    radius = max(camera.fx * math.tan(min(beam, 1.5) / 2), 1.0)
    u, v = x / z * camera.fx + camera.cx, y / z * camera.fy + camera.cy
    left, right = (int(np.clip(edge, 0, camera.width)) for edge in (u - radius, u + radius + 1))
    top, bottom = (int(np.clip(edge, 0, camera.height)) for edge in (v - radius, v + radius + 1))
    rows, columns = np.mgrid[top:bottom, left:right]
    patch = usable(relative[top:bottom, left:right], SATURATED)[np.hypot(columns - u, rows - v) <= radius]
    return np.asarray(patch[np.isfinite(patch)])
