"""Scenes with known depth, as a model with its own normalisation in every frame would see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import ground_depth

CAMERA = Camera.from_fov(160, 120, 1.25)
HEIGHT, PITCH = 0.6, 0.25


@dataclass(frozen=True)
class Room:
    """Floor, a wall and a box, seen by `camera`.

    Args:
        wall: metres along the optical axis.
        box: metres along the optical axis of something in the left half of the view, 0: nothing there.
        pitch: radians.
    """

    wall: float = 4.0
    box: float = 1.6
    pitch: float = PITCH
    camera: Camera = CAMERA

    @property
    def depth(self) -> np.ndarray:
        depth = np.minimum(ground_depth(self.camera, HEIGHT, self.pitch, 0.0), self.wall)
        if self.box:
            depth[20:70, 20:60] = np.minimum(depth[20:70, 20:60], self.box)
        return depth

    def seen(self, seed: int = 0, noise: float = 0.0) -> np.ndarray:
        """Relative depth under a random affine change of the frame, with noise relative to depth."""
        return as_a_model(self.depth, seed, noise)


def as_a_model(depth: np.ndarray, seed: int, noise: float = 0.0) -> np.ndarray:
    """Relative depth in [0, 1] under a random affine change; seeds make frames that differ in it and in the noise."""
    rng = np.random.default_rng(seed)
    low, high = np.quantile(depth, (0.02, 0.98))
    low, high = low * rng.uniform(0.5, 1.0), high * rng.uniform(1.0, 1.5)
    noisy = depth * (1 + noise * rng.standard_normal(depth.shape))
    return np.clip((noisy - low) / (high - low), 0, 1).astype(np.float32)


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture(scope="session")
def make_room() -> type[Room]:
    return Room


@pytest.fixture(scope="session")
def seen_by_a_model() -> Callable[..., np.ndarray]:
    return as_a_model
