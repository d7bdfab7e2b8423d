"""Flying pixels: blurred edges lose what lies between; floors, corners, sharp edges and thin things lose nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from merge_ros.errors import InputError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.flying_pixels import remove_flying_pixels
from merge_ros.geometry.ground import ground_depth

CAMERA = Camera.from_fov(256, 192, 1.2)


def scene() -> np.ndarray:
    """A floor up to a wall at 6 m, with a box at 1.5 m before it: the exact depth."""
    depth = np.minimum(ground_depth(CAMERA, 0.5, 0.2, 0.0), np.float32(6.0))
    depth[60:120, 100:160] = 1.5
    return depth.astype(np.float32)


def blurred(depth: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(depth, (0, 0), 1.5)


def test_a_blurred_edge_loses_what_lies_between_and_nothing_else() -> None:
    exact = scene()
    depth = blurred(exact)
    filtered = remove_flying_pixels(depth, 0.1)
    removed = np.isnan(filtered)
    # In a row through the box's upper half: between the box and the wall, nearer to neither than a fifth of the step in
    # inverse depth.
    row = 1 / depth[70]
    box, wall = 1 / 1.5, 1 / 6.0
    between = (row < box - 0.25 * (box - wall)) & (row > wall + 0.25 * (box - wall))
    on_a_side = (row > box - 0.15 * (box - wall)) | (row < wall + 0.15 * (box - wall))
    assert between.sum() >= 4 and removed[70][between].all()
    assert not removed[70][on_a_side].any()
    assert removed.mean() < 0.02
    np.testing.assert_array_equal(filtered[~removed], depth[~removed])


def test_an_exact_scene_keeps_every_pixel() -> None:
    depth = scene()
    assert not np.isnan(remove_flying_pixels(depth, 0.05)).any()


def test_a_floor_up_to_its_horizon_stays() -> None:
    floor = ground_depth(CAMERA, 0.3, 0.1, 0.1)  # +inf above the horizon
    removed = np.isnan(remove_flying_pixels(floor, 0.05))
    # A few may go where the horizon itself meets the border of the picture.
    assert not removed[floor < 100].any() and removed.sum() < 10


def test_noise_of_two_percent_costs_a_floor_little() -> None:
    rng = np.random.default_rng(0)
    floor = np.minimum(ground_depth(CAMERA, 0.5, 0.3, 0.0), np.float32(8))
    noisy = (floor * (1 + 0.02 * rng.standard_normal(floor.shape))).astype(np.float32)
    assert np.isnan(remove_flying_pixels(noisy, 0.2)).mean() < 0.01


def test_unknown_stays_unknown_and_open_stays_open() -> None:
    depth = scene()
    depth[:, :40], depth[:40] = np.nan, np.inf
    filtered = remove_flying_pixels(depth, 0.1)
    assert np.isnan(filtered[50:, :40]).all() and np.isposinf(filtered[:40]).all()
    # A blurred edge before the open sky: inverse depth 0 on the one side.
    sky = np.full((192, 256), np.inf, np.float32)
    sky[:, :128] = 2.0
    sky[:, 128:131] = (3.0, 5.0, 9.0)
    assert np.isnan(remove_flying_pixels(sky, 0.1)[:, 128:131]).any()


@pytest.mark.parametrize(("depth", "step"), [(np.ones(4, np.float32), 0.1), (np.ones((4, 4), np.float32), 0.0)])
def test_bad_arguments_are_refused(depth: np.ndarray, step: float) -> None:
    with pytest.raises(InputError):
        remove_flying_pixels(depth, step)
