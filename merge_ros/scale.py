"""Metric scale: the (scale, shift) from a frame's relative depth to metres, or why it is not known.

Each source is a class with the interface of `ScaleSource`; `make_scale_source` picks one by the settings.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import ScaleSettings
from merge_ros.errors import InputError, ScaleError
from merge_ros.geometry.alignment import Affine, RobustFit, fit_affine_robust
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import ground_depth

# Where floor is looked for. Past MAX_GRAZING camera heights, half a degree of pitch moves the floor by more
# than 13 %.
MAX_FLOOR_DEPTH = 8.0  # metres
MAX_GRAZING = 15.0  # floor depth in camera heights
SAMPLES = 2000  # pixels of a fit
# A model's output saturates at both ends of its range (2 % and 98 % quantiles): such pixels say only "at
# most", "at least".
SATURATED = (0.005, 0.995)

# When a fit counts.
TOLERANCE = 0.15  # of the depth, for a pixel to be floor; 0.1 loses floors that a model bends by 20 %
MIN_INLIERS = 0.2  # of the pixels looked at
MIN_SPREAD = 1.4  # farthest over nearest floor inlier (95 % and 5 % quantiles)
MAX_OVERSHOOT = 0.25  # of the pixels may lie below the floor
OVERSHOOT_PENALTY = 2.0  # a pixel below the floor costs what two floor pixels earn


class ScaleSource(Protocol):
    """Gives the affine from relative depth to metres, frame by frame."""

    name: str
    reason: str  # why the last update gave None, in plain words; "" when it gave an affine

    def update(self, relative: NDArray[np.float32], camera: Camera, stamp: float) -> Affine | None:
        """The affine for this frame, or None with `reason` set.

        Args:
            relative: [camera.height, camera.width], 0 near to 1 far.
            camera: of the frame.
            stamp: of the frame in seconds.

        Raises:
            InputError: `relative` has another size than the camera.
        """

    def reset(self) -> None:
        """Forget what earlier frames said."""


class NoScale:
    """Relative depth only."""

    name = "none"
    reason = "scale_source is 'none': only relative depth is published"

    def update(self, relative: NDArray[np.float32], camera: Camera, stamp: float) -> Affine | None:
        _check_size(relative, camera)
        return None

    def reset(self) -> None:
        """Nothing to forget."""


class FixedScale:
    """The same scale and shift for every frame."""

    name = "fixed"
    reason = ""

    def __init__(self, affine: Affine) -> None:
        self.affine = affine

    def update(self, relative: NDArray[np.float32], camera: Camera, stamp: float) -> Affine | None:
        _check_size(relative, camera)
        return self.affine

    def reset(self) -> None:
        """Nothing to forget."""


class GroundPlaneScale:
    """Scale and shift fitted to the floor, whose true depth follows from the camera's height, pitch and roll.

    The depth that the floor has along each ray is known; relative depth is an affine function of it wherever
    floor is seen. Which pixels are floor is not known: walls and obstacles hide it, and they are always
    nearer than the floor that they hide. A robust fit finds the line on which the floor's pixels agree, and
    lines that put many pixels below the floor lose (so that a table top does not pass for the floor while
    some floor is in view).

    Every frame is fitted by itself, as its relative depth is normalised by itself: (scale, shift) change whenever the
    nearest or the farthest thing in view does. When a fit fails, the last good one is kept for up to `hold_seconds`,
    which bridges single frames; it is wrong by as much as the view has changed since.
    """

    name = "ground_plane"

    def __init__(self, camera_height: float, camera_pitch: float, camera_roll: float, hold_seconds: float) -> None:
        self.camera_height = camera_height
        self.camera_pitch = camera_pitch
        self.camera_roll = camera_roll
        self.hold_seconds = hold_seconds
        self.reason = "no frame yet"
        self.last_fit: RobustFit | None = None
        self._held: tuple[Affine, float] | None = None  # the last good fit and its stamp
        self._sampled: tuple[Camera, NDArray[np.intp], NDArray[np.float64]] | None = None

    def update(self, relative: NDArray[np.float32], camera: Camera, stamp: float) -> Affine | None:
        _check_size(relative, camera)
        try:
            affine = self._fit(relative, camera).affine
        except ScaleError as error:
            self.last_fit = None
            return self._hold(stamp, str(error))
        self._held = (affine, stamp)
        self.reason = ""
        return affine

    def reset(self) -> None:
        self._held = None
        self.last_fit = None
        self.reason = "no frame yet"

    def _hold(self, stamp: float, reason: str) -> Affine | None:
        if self._held is not None:
            affine, since = self._held
            if 0 <= stamp - since <= self.hold_seconds:  # a clock that jumped back also ends the hold
                self.reason = ""
                return affine
            self._held = None
        self.reason = reason
        return None

    def _fit(self, relative: NDArray[np.float32], camera: Camera) -> RobustFit:
        pixels, floor = self._floor_samples(camera)
        samples = relative.ravel()[pixels].astype(np.float64)
        samples[~((samples > SATURATED[0]) & (samples < SATURATED[1]))] = np.nan
        fit = fit_affine_robust(samples, floor, tolerance=TOLERANCE, overshoot_penalty=OVERSHOOT_PENALTY)
        self.last_fit = fit

        if fit.inlier_fraction < MIN_INLIERS:
            raise ScaleError(
                f"the floor is hardly visible: {fit.inlier_fraction:.0%} of the pixels where it could be "
                f"agree with it, {MIN_INLIERS:.0%} are needed"
            )
        if fit.overshoot_fraction > MAX_OVERSHOOT:
            raise ScaleError(
                f"{fit.overshoot_fraction:.0%} of the pixels would lie below the floor "
                f"({MAX_OVERSHOOT:.0%} may): camera height, pitch or roll is wrong, or the floor is not flat"
            )
        near, far = np.quantile(floor[fit.inliers], (0.05, 0.95))
        if far < MIN_SPREAD * near:
            raise ScaleError(
                f"the visible floor spans only {near:.2f} to {far:.2f} m; its farthest must be "
                f"{MIN_SPREAD} times its nearest"
            )
        return fit

    def _floor_samples(self, camera: Camera) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Flat indices of the pixels that are compared with the floor, and the floor's depth there."""
        if self._sampled is None or self._sampled[0] != camera:
            depth = ground_depth(camera, self.camera_height, self.camera_pitch, self.camera_roll).ravel()
            pixels = np.flatnonzero(depth <= min(MAX_FLOOR_DEPTH, MAX_GRAZING * self.camera_height))
            if pixels.size > SAMPLES:
                pixels = np.sort(np.random.default_rng(0).choice(pixels, SAMPLES, replace=False))
            self._sampled = (camera, pixels, depth[pixels].astype(np.float64))
        _, indices, floor = self._sampled
        if not indices.size:
            raise ScaleError(
                "no pixel looks at the floor: with this pitch and roll the camera sees only what is above it"
            )
        return indices, floor


def make_scale_source(settings: ScaleSettings) -> ScaleSource:
    """The scale source that the settings ask for."""
    if settings.source == "fixed":
        return FixedScale(Affine(settings.scale, settings.shift))
    if settings.source == "ground_plane":
        return GroundPlaneScale(
            settings.camera_height, settings.camera_pitch, settings.camera_roll, settings.hold_seconds
        )
    return NoScale()


def _check_size(relative: NDArray[np.float32], camera: Camera) -> None:
    if relative.shape != (camera.height, camera.width):
        raise InputError(
            f"relative depth has shape {relative.shape}; the camera needs ({camera.height}, {camera.width})"
        )
