"""Metres from the floor, whose true depth follows from the camera's height, pitch and roll."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import ScaleError
from merge_ros.geometry.alignment import RobustFit, fit_affine_robust
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import floor_depth
from merge_ros.scale.fitting import Gate, reading_from_fit, usable
from merge_ros.scale.mounting import MountingSource
from merge_ros.scale.near_far import Reading, Vector
from merge_ros.scale.registration import SATURATED

# Where floor is looked for. Past MAX_GRAZING camera heights, half a degree of pitch moves the floor by more than 13 %.
MAX_FLOOR_DEPTH = 8.0  # metres
MAX_GRAZING = 15.0  # floor depth in camera heights
SAMPLES = 2000  # pixels of a fit

# Of the depth, for a pixel to be floor. A good model's floor is found within the tight one, where nothing else passes
# for it; a floor that a model bends by 20 % needs the wide one.
TIGHT, WIDE = 0.04, 0.15
TIGHT_SHARE = 0.6  # of the pixels that fit within the wide tolerance; so many must do within the tight one
TIGHT_GATE = Gate(inliers=0.12, spread=1.15, residual=0.1, what="the floor")
WIDE_GATE = Gate(inliers=0.2, spread=1.4, residual=0.07, what="the floor")
# A wall that crosses the floor's depth far away and a box that does so nearby agree with a floor on average, each by a
# level step. Within the parts of a floor relative depth rises as it does over the whole.
PARTS = 8  # of like floor depth
MIN_RISE = 0.65  # of the rise over the whole
MAX_OVERSHOOT = 0.25  # of the pixels may lie below the floor
OVERSHOOT_PENALTY = 2.0  # a pixel below the floor costs what two floor pixels earn

# How well a camera's mounting is usually known; one standard deviation.
HEIGHT_ERROR = 0.02  # relative
PITCH_ERROR = math.radians(0.5)


class GroundPlane:
    """Scale and shift fitted to the floor of one frame.

    The depth that the floor has along each ray is known; relative depth is an affine function of it wherever floor is
    seen. Which pixels are floor is not known: walls and obstacles hide it, and they are always nearer than the floor
    that they hide. A robust fit finds the line on which the floor's pixels agree, and lines that put many pixels below
    the floor lose (so that a table top does not pass for the floor while some floor is in view).

    Args:
        mounting: where the camera is.
    """

    name = "ground_plane"

    def __init__(self, mounting: MountingSource) -> None:
        self.mounting = mounting
        self._drawn: tuple[Camera, NDArray[np.intp]] | None = None

    def read(self, relative: NDArray[np.float32], camera: Camera, frame: str, stamp: float) -> Reading:
        """What the floor says of a frame; see `Reference.read`."""
        place = self.mounting.at(frame, stamp)
        pixels = self._pixels(camera)
        rays = camera.rays().reshape(-1, 3)[pixels]
        floor = floor_depth(rays, place.height, place.pitch, place.roll)
        seen = floor <= min(MAX_FLOOR_DEPTH, MAX_GRAZING * place.height)
        if not seen.any():
            raise ScaleError(
                "no pixel looks at the floor: with this pitch and roll the camera sees only what is above it"
            )
        chosen = np.flatnonzero(seen)[:SAMPLES]
        pixels, rays, floor = pixels[chosen], rays[chosen], floor[chosen]
        samples = usable(relative.ravel()[pixels], SATURATED)
        fit, gate = _fit(samples, floor)
        if fit.inlier_fraction >= gate.inliers and fit.overshoot_fraction > MAX_OVERSHOOT:
            raise ScaleError(
                f"{fit.overshoot_fraction:.0%} of the pixels would lie below the floor "
                f"({MAX_OVERSHOOT:.0%} may): camera height, pitch or roll is wrong, or the floor is not flat"
            )
        rise = _rise_within_parts(samples[fit.inliers], floor[fit.inliers]) * fit.affine.scale
        if fit.inlier_fraction >= gate.inliers and rise < MIN_RISE:
            raise ScaleError(
                f"what agrees with the floor rises in steps ({max(rise, 0):.0%} of a floor's slope within each): walls "
                "or obstacles hide the floor"
            )
        pitched = floor_depth(rays, place.height, place.pitch + PITCH_ERROR, place.roll) - floor
        return reading_from_fit(samples, floor, fit, gate, shifts=[pitched], scale_error=HEIGHT_ERROR, tolerance=WIDE)

    def _pixels(self, camera: Camera) -> NDArray[np.intp]:
        """Pixels to look at, in random order, the same for every frame: enough when an eighth of the image is floor."""
        if self._drawn is None or self._drawn[0] != camera:
            total = camera.width * camera.height
            drawn = np.random.default_rng(0).permutation(total)[: 8 * SAMPLES]
            self._drawn = (camera, drawn)
        return self._drawn[1]


def _rise_within_parts(samples: Vector, floor: Vector) -> float:
    """Relative depth per metre of floor depth within parts of like floor depth, all parts together."""
    part = np.digitize(floor, np.geomspace(floor.min(), floor.max(), PARTS + 1)[1:-1])
    shared = varied = 0.0
    for index in range(PARTS):
        x, y = samples[part == index], floor[part == index]
        if x.size > 1:
            shared += float(((x - x.mean()) * (y - y.mean())).sum())
            varied += float(((y - y.mean()) ** 2).sum())
    return shared / varied if varied > 0 else 0.0


def _fit(samples: Vector, floor: Vector) -> tuple[RobustFit, Gate]:
    wide = fit_affine_robust(samples, floor, tolerance=WIDE, overshoot_penalty=OVERSHOOT_PENALTY)
    try:
        tight = fit_affine_robust(samples, floor, tolerance=TIGHT, overshoot_penalty=OVERSHOOT_PENALTY)
    except ScaleError:
        return wide, WIDE_GATE
    if tight.inlier_fraction < TIGHT_SHARE * wide.inlier_fraction:
        return wide, WIDE_GATE
    return tight, TIGHT_GATE
