"""The scale lock: readings of a reference, filtered over frames, and what may be said in metres."""

from __future__ import annotations

import math
import threading

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import ScaleSettings
from merge_ros.errors import ScaleError
from merge_ros.geometry.camera import Camera
from merge_ros.scale.estimate import REPORTED_AT, ScaleEstimate, ScaleState, check_size
from merge_ros.scale.near_far import GATE, NearFar, Reading
from merge_ros.scale.reference import Reference
from merge_ros.scale.registration import Registration, register, thumbnail

JUDGED_AT = 3.0  # metres: where `max_uncertainty` counts, or at the farthest thing in view if that is nearer
# How fast things may come nearer while only the comparison of frames carries the scale, which cannot tell an approach
# to a wall from a change of normalisation.
UNSEEN_SPEED = 0.5  # metres per second, one standard deviation
DRIFT = 0.005  # relative, per square root of a second: nothing is averaged for ever
# A reading that differs by more from the scale carried on, while the view hardly changed, contradicts it.
CONTRADICTION = 0.25  # of the range
STILL = 0.8  # agreement with the frame before, from which on the view hardly changed
# Below this agreement two frames can be taken for each other in more than one way, and only a reading tells which.
TRACKED = 0.6


class ScaleLock:
    """A running estimate of the metric scale.

    Relative depth is normalised in every frame by itself, so (scale, shift) change whenever the nearest or the
    farthest thing in view does, also while nothing is wrong: they are not what can be averaged. What stays is how far
    things are. So the estimate is carried from frame to frame by how the frames' relative depth changed where things
    did not move (`register`), and then corrected by what the reference says of this frame: a Kalman filter over the
    metres at relative depth 0 and 1, with the registration as its motion. The depth of a still scene is thereby
    averaged over many readings and does not flicker, whatever the normalisation does; a changed view is no surprise to
    the filter, or makes it forget (`NearFar.fused`).

    Frames come from one thread; `restart` may be called from another.

    Args:
        reference: what measures.
        settings: when to lock, hold and give up.
    """

    def __init__(self, reference: Reference, settings: ScaleSettings) -> None:
        self.reference = reference
        self.settings = settings
        self._restarted = threading.Event()
        self._stamp, self._shape = math.nan, (0, 0)
        self._believed: NearFar | None
        self._before: NDArray[np.float32] | None
        self._readings: int
        self._forget(math.nan)

    def restart(self) -> None:
        """Forget everything: SEARCHING again, from the next frame on."""
        self._restarted.set()

    def update(self, relative: NDArray[np.float32], camera: Camera, frame: str, stamp: float) -> ScaleEstimate:
        """What is known of a frame.

        Args:
            relative: [camera.height, camera.width], 0 near to 1 far.
            camera: of the frame.
            frame: the optical frame of the camera.
            stamp: of the frame in seconds.

        Raises:
            InputError: `relative` has another size than the camera.
        """
        check_size(relative, camera)
        step = self._begin((camera.height, camera.width), stamp)
        small = thumbnail(relative)
        carried, agreement, lost_track = self._carry(small, step)
        reading, refused = self._read(relative, camera, frame, stamp)
        if carried is not None and reading is None and agreement < TRACKED:
            carried, lost_track = None, f"the view changed: {agreement:.0%} of the pixels agree with the frame before"
        if carried is not None and reading is not None:
            refused = self._contradiction(carried, reading, agreement)
            if refused and (self._state == ScaleState.SEARCHING or self._disagreeing_since(stamp) > self._patience):
                # Either may be wrong. Nothing is said in metres until readings agree with each other.
                searching = self._state == ScaleState.SEARCHING
                self._forget(self._searching_since if searching else stamp)
                carried, refused = None, ""
            reading = None if refused else reading
        if not refused:
            self._disputed = math.nan

        if reading is not None:
            # Not carried: the readings before say nothing of this view.
            self._believed = (carried or NearFar.unknown()).fused(reading)
            self._confirmed = stamp
            self._readings += 1
        else:
            held = max(stamp - self._confirmed, 0.0)
            since = max(held - step, 0.0)
            self._believed = carried.blurred(UNSEEN_SPEED**2 * (held**2 - since**2)) if carried else None
        self._before = small
        problem = "; ".join(part for part in (refused, lost_track) if part)
        reason = self._decide(stamp, reading is not None, problem)
        return self._estimate(stamp, reason, reading, agreement)

    @property
    def _patience(self) -> float:
        return self.settings.hold_seconds

    def _forget(self, searching_since: float) -> None:
        self._state = ScaleState.SEARCHING
        self._searching_since = searching_since
        self._believed = None
        self._before = None
        self._readings = 0
        self._confirmed = -math.inf
        self._disputed = math.nan  # since when readings contradict what is believed

    def _begin(self, shape: tuple[int, int], stamp: float) -> float:
        """Seconds since the frame before; starts afresh where there is none that could be compared."""
        step = stamp - self._stamp
        # A clock that jumped back, a camera that was silent for long or has another format now: another stream.
        another = not 0 <= step <= max(self.settings.hold_seconds, 1.0) or shape != self._shape
        if self._restarted.is_set() or another:
            self._restarted.clear()
            self._forget(stamp)
            step = 0.0
        self._stamp, self._shape = stamp, shape
        return step

    def _carry(self, small: NDArray[np.float32], step: float) -> tuple[NearFar | None, float, str]:
        if self._believed is None or self._before is None:
            return None, math.nan, ""
        try:
            change: Registration = register(self._before, small)
        except ScaleError as error:
            return None, 0.0, str(error)
        believed = self._believed.carried(change)
        drift = DRIFT**2 * step * np.outer(believed.mean, believed.mean)
        return NearFar(believed.mean, believed.covariance + drift, believed.bias), change.agreement, ""

    def _read(
        self, relative: NDArray[np.float32], camera: Camera, frame: str, stamp: float
    ) -> tuple[Reading | None, str]:
        try:
            return self.reference.read(relative, camera, frame, stamp), ""
        except ScaleError as error:
            return None, str(error)

    def _contradiction(self, carried: NearFar, reading: Reading, agreement: float) -> str:
        """Why a reading cannot be true if what was believed is; "" when both can."""
        if agreement < STILL or carried.surprise(reading) <= GATE[len(reading.metres)]:
            return ""
        said = reading.affine()
        if said is None:
            expected, depth = float((reading.design @ carried.mean)[0]), float(reading.metres[0])
        else:
            # In the middle of the view, where every reading knows something.
            expected, depth = carried.affine.scale / 2 + carried.affine.shift, said.scale / 2 + said.shift
        off = abs(depth / expected - 1) if expected > 0 else math.inf
        if off <= CONTRADICTION:
            return ""
        return (
            f"{self.reference.name} contradicts the scale of the frames before: {depth:.2f} m instead of "
            f"{expected:.2f} m, and the view hardly changed"
        )

    def _disagreeing_since(self, stamp: float) -> float:
        if math.isnan(self._disputed):
            self._disputed = stamp
        return stamp - self._disputed

    def _decide(self, stamp: float, confirmed: bool, problem: str) -> str:
        """Set the state; returns why it is not LOCKED."""
        settings = self.settings
        doubt = self._doubt()
        if confirmed:
            if self._state in (ScaleState.LOCKED, ScaleState.HOLDING) and not doubt:
                self._state = ScaleState.LOCKED
                return ""
            if self._state == ScaleState.LOST or (doubt and self._state != ScaleState.SEARCHING):
                self._state, self._searching_since, self._readings = ScaleState.SEARCHING, stamp, 1
            if self._readings >= settings.lock_frames and not doubt:
                self._state = ScaleState.LOCKED
                return ""
            if stamp - self._searching_since > settings.search_seconds:
                self._state = ScaleState.LOST
            return doubt or f"{self._readings} of {settings.lock_frames} readings that it takes to lock"

        if self._believed is None:
            self._readings = 0
        if self._state in (ScaleState.LOCKED, ScaleState.HOLDING):
            held = stamp - self._confirmed
            if self._believed is not None and held <= settings.hold_seconds and not doubt:
                self._state = ScaleState.HOLDING
                return problem
            self._state = ScaleState.LOST
            return problem + (f"; {doubt}" if doubt else f"; not confirmed for {held:.1f} s")
        if self._state == ScaleState.SEARCHING and stamp - self._searching_since > settings.search_seconds:
            self._state = ScaleState.LOST
        return problem

    def _doubt(self) -> str:
        """Why what is believed is too uncertain to be used; "" when it is not."""
        if self._believed is None:
            return ""
        near, far = map(float, self._believed.mean)
        if not far > near:
            return (
                f"the scale is not positive: {near:.2f} m at the near end of relative depth, {far:.2f} m at the far end"
            )
        at = min(JUDGED_AT, max(far, near + 0.1))
        sigma = self._believed.sigma(at) / at
        if sigma <= self.settings.max_uncertainty:
            return ""
        return (
            f"the range at {at:.1f} m is known to {sigma:.0%} only (one standard deviation), "
            f"{self.settings.max_uncertainty:.0%} is allowed (max_uncertainty)"
        )

    def _estimate(self, stamp: float, reason: str, reading: Reading | None, agreement: float) -> ScaleEstimate:
        believed = self._believed
        speaks = self._state in (ScaleState.LOCKED, ScaleState.HOLDING)
        return ScaleEstimate(
            self._state,
            believed.affine if speaks and believed is not None else None,
            reason,
            tuple(believed.sigma(at) for at in REPORTED_AT) if believed is not None else (math.nan,) * 3,
            reading,
            agreement,
            stamp - self._confirmed if math.isfinite(self._confirmed) else math.nan,
        )
