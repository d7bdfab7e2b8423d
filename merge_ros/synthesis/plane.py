"""Planes in a depth map: fitted robustly, where most of the pixels belong to something else.

The inverse depth of a plane is linear in the ray (x, y, 1) of the pixel: 1 / z = p . ray. So p alone is the plane: it
points away from the camera along the normal, and its length is 1 over the plane's distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

SAMPLES = 2500  # pixels of a fit
TRIALS = 300  # a plane with a fifth of the pixels is then missed once in ten, one with a quarter once in a hundred
REFINEMENTS = 5
MIN_SAMPLES = 20
# Nothing is seen behind a floor or a wall, but much before it: a pixel behind costs what two pixels on it earn, so that
# neither a table top nor the front of a cupboard passes for the floor or the wall while that is in view.
OVERSHOOT_PENALTY = 2.0
STEEPEST_FLOOR = float(np.cos(np.radians(65.0)))  # between gravity and the picture's "down": pitch and roll together


@dataclass(frozen=True)
class Plane:
    """The points with p . point = 1, in the optical frame.

    Args:
        p: [3] 1 / metres.
    """

    p: Vector

    @property
    def distance(self) -> float:
        """Metres from the optical centre."""
        return float(1 / np.linalg.norm(self.p))

    @property
    def direction(self) -> Vector:
        """Unit vector from the camera to the plane; for a floor that is down."""
        return np.asarray(self.p / np.linalg.norm(self.p), np.float64)

    def beyond(self, depth: NDArray[np.floating], rays: NDArray[np.floating]) -> NDArray[np.float64]:
        """How far pixels lie behind the plane, as seen from the camera, relative to their distance from it.

        Args:
            depth: [...] metres.
            rays: [..., 3] scaled to z = 1.

        Returns:
            [...]: depth over the depth of the plane along that ray, minus 1: 0 on the plane, negative before it. In
            units of the plane's distance it is also the distance from the plane.
        """
        return np.asarray(depth * (rays @ self.p) - 1, np.float64)

    def scaled(self, factor: float) -> Plane:
        """The plane when everything is `factor` times as far."""
        return Plane(self.p / factor)


def find_floor(depth: NDArray[np.floating], rays: NDArray[np.floating], tolerance: float) -> tuple[Plane | None, float]:
    """The floor: the plane below the camera that holds the most pixels and has few below it.

    Args:
        depth: [n] metres, finite and positive.
        rays: [n, 3] scaled to z = 1, in the optical frame (y down).
        tolerance: of the depth; so near to the plane a pixel belongs to it.

    Returns:
        The plane and its share of the pixels; (None, 0) when no plane under the camera holds any. Same pixels, same
        plane.
    """
    return _fit(depth, rays, np.eye(3), tolerance, below=True)


def find_wall(
    depth: NDArray[np.floating], rays: NDArray[np.floating], down: Vector, tolerance: float
) -> tuple[Plane | None, float]:
    """The upright plane that holds the most pixels and has few behind it.

    Args:
        depth, rays, tolerance: as of `find_floor`.
        down: [3] unit vector of gravity.

    Returns:
        The plane and its share of the pixels; (None, 0) when there is none.
    """
    # Two directions that are level: every upright plane is p = upright @ q.
    upright = np.linalg.svd(down[None])[2][1:].T
    return _fit(depth, rays, upright, tolerance, below=False)


def _fit(
    depth: NDArray[np.floating],
    rays: NDArray[np.floating],
    basis: NDArray[np.float64],
    tolerance: float,
    *,
    below: bool,
) -> tuple[Plane | None, float]:
    """RANSAC over planes p = basis @ q through as few pixels as it takes, then least squares on those that agree."""
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(depth))[:SAMPLES]
    z, ray = depth[chosen].astype(np.float64), rays[chosen].astype(np.float64) @ basis
    if len(z) < MIN_SAMPLES:
        return None, 0.0
    candidates = _through_few(z, ray, rng)
    if below:
        candidates = candidates[candidates[:, 1] > STEEPEST_FLOOR * np.linalg.norm(candidates, axis=1)]
    if not len(candidates):
        return None, 0.0
    residual = (candidates @ ray.T) * z - 1
    score = np.maximum(1 - (residual / tolerance) ** 2, 0).sum(1)
    score -= OVERSHOOT_PENALTY * (residual > tolerance).sum(1)
    q = candidates[np.argmax(score)]
    for _ in range(REFINEMENTS):
        on = np.abs(z * (ray @ q) - 1) < tolerance
        if np.count_nonzero(on) < MIN_SAMPLES:
            return None, 0.0
        # Residuals relative to the depth: rows z * ray, all equal to 1.
        q = np.linalg.lstsq(ray[on] * z[on, None], np.ones(np.count_nonzero(on)), rcond=None)[0]
    p = basis @ q
    if below and not p[1] > STEEPEST_FLOOR * np.linalg.norm(p):
        return None, 0.0
    return Plane(p), float((np.abs(z * (ray @ q) - 1) < tolerance).mean())


def _through_few(z: Vector, ray: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """[m, d] planes through d pixels each, without those whose pixels do not fix one."""
    size = ray.shape[1]
    corners = rng.integers(len(z), size=(TRIALS, size))
    systems = ray[corners]
    fixed = np.abs(np.linalg.det(systems)) > 1e-3
    return np.asarray(np.linalg.solve(systems[fixed], 1 / z[corners[fixed]][..., None])[..., 0], np.float64)
