"""What is believed of a frame's metric scale, and what a reference says of it: Gaussians over (near, far)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from merge_ros.geometry.alignment import Affine
from merge_ros.scale.registration import Registration

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

# Innovations that a reading has by chance in 1 of 100 cases, squared and weighed: chi-squared, 99 %, by degrees of
# freedom (Bar-Shalom, Li, Kirubarajan: Estimation with Applications to Tracking and Navigation, 2001, 5.4).
GATE = {1: 6.63, 2: 9.21}


@dataclass(frozen=True)
class Reading:
    """What a reference says of one frame: `design @ (near, far) = metres`, up to noise.

    Args:
        design: [n, 2], n = 1 or 2; a row is (1 - r, r) for metres known at relative depth r.
        metres: [n].
        noise: [n, n], covariance that is new in every frame, so that averaging over frames takes it away.
        bias: [2, 2], covariance of (near, far) that stays the same from frame to frame, as that of a camera height.
        inliers: share of the samples that agree, in [0, 1].
        residual: of the inliers, root mean square relative to the depth.
        spread: farthest over nearest inlier (95 % and 5 % quantiles), >= 1.
    """

    design: Matrix
    metres: Vector
    noise: Matrix
    bias: Matrix
    inliers: float = 1.0
    residual: float = 0.0
    spread: float = 1.0

    def affine(self) -> Affine | None:
        """Scale and shift by this reading alone; None when it knows the depth at one place only."""
        if len(self.metres) < 2:
            return None
        near, far = np.linalg.solve(self.design, self.metres)
        return Affine(float(far - near), float(near))


@dataclass(frozen=True)
class NearFar:
    """A frame's metric scale as a Gaussian: metres at relative depth 0 (near) and 1 (far).

    Args:
        mean: [2] near, far.
        covariance: [2, 2] square metres, of what averaging over frames takes away.
        bias: [2, 2] square metres, of what it does not.
    """

    mean: Vector
    covariance: Matrix
    bias: Matrix = field(default_factory=lambda: np.zeros((2, 2)))

    @classmethod
    def unknown(cls) -> NearFar:
        """Before any reading: some room or street, to within tens of metres."""
        return cls(np.array([1.0, 5.0]), np.diag([10.0**2, 30.0**2]))

    @property
    def affine(self) -> Affine:
        near, far = map(float, self.mean)
        return Affine(far - near, near)

    def sigma(self, metres: float) -> float:
        """One standard deviation of the range, in metres, where the range is `metres`."""
        near, far = self.mean
        if not far > near:
            return math.inf
        place = (metres - near) / (far - near)
        row = np.array([1 - place, place])
        return math.sqrt(max(float(row @ (self.covariance + self.bias) @ row), 0.0))

    def carried(self, to: Registration) -> NearFar:
        """The same things' metres in the units of the next frame, less certain by the uncertainty of the way.

        A new frame's 0 and 1 lie at old relative depths -offset / slope and (1 - offset) / slope.
        """
        at = np.array([-to.offset, 1 - to.offset]) / to.slope
        carry = np.column_stack([1 - at, at])
        along = np.column_stack([-at / to.slope, np.full(2, -1 / to.slope)])  # by slope, by offset
        scale = float(self.mean[1] - self.mean[0])
        return NearFar(
            carry @ self.mean,
            carry @ self.covariance @ carry.T + scale**2 * along @ to.covariance @ along.T,
            carry @ self.bias @ carry.T,
        )

    def blurred(self, variance: float) -> NearFar:
        """Less certain of every depth alike, by `variance` square metres."""
        return NearFar(self.mean, self.covariance + variance, self.bias)

    def surprise(self, reading: Reading) -> float:
        """Squared Mahalanobis distance of a reading; above `GATE` the two hardly belong together."""
        innovation, total = self._innovation(reading, self.covariance)
        return float(innovation @ np.linalg.solve(total, innovation))

    def fused(self, reading: Reading) -> NearFar:
        """Kalman update (Joseph form). A reading that surprises makes what was believed before count less.

        That is a fading memory: the old covariance grows until the reading is no surprise, so a view that changes
        faster than the frames can be registered is followed at once.
        """
        covariance = self.covariance
        gate = GATE[len(reading.metres)]
        innovation, total = self._innovation(reading, covariance)
        while float(innovation @ np.linalg.solve(total, innovation)) > gate and np.trace(covariance) < 1e8:
            covariance = 2 * covariance + 1e-9 * np.eye(2)
            innovation, total = self._innovation(reading, covariance)
        gain = np.linalg.solve(total, reading.design @ covariance).T
        left = np.eye(2) - gain @ reading.design
        return NearFar(
            self.mean + gain @ innovation,
            left @ covariance @ left.T + gain @ reading.noise @ gain.T,
            reading.bias,
        )

    def _innovation(self, reading: Reading, covariance: Matrix) -> tuple[Vector, Matrix]:
        design = reading.design
        return reading.metres - design @ self.mean, design @ covariance @ design.T + reading.noise
