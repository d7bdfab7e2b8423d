"""Scans of worlds whose shape is known: a wall, a low box, open space."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from merge_ros.errors import InputError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import down_in_camera
from merge_ros.geometry.rotation import quaternion
from merge_ros.geometry.scan import level_from_optical, scan_depth

CAMERA = Camera.from_fov(160, 120, math.radians(75))
HEIGHT = 0.5
BAND, LIMITS = (0.1, 1.0), (0.05, 5.0)
angles = st.floats(-0.5, 0.7), st.floats(-0.3, 0.3)


def world(pitch: float, roll: float, wall: float | None, top: float = np.inf, bottom: float = 0.0) -> np.ndarray:
    """Depth of a floor and of an upright wall `wall` metres ahead, between two heights; +inf elsewhere."""
    level = CAMERA.rays() @ level_from_optical(pitch, roll).T
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(level[..., 2] < 0, -HEIGHT / level[..., 2], np.inf)
        if wall is not None:
            at_wall = np.where(level[..., 0] > 0, wall / level[..., 0], np.inf)
            z = HEIGHT + at_wall * level[..., 2]
            depth = np.where((at_wall < depth) & (z >= bottom) & (z <= top), at_wall, depth)
    return np.where(depth > 20, np.inf, depth).astype(np.float32)


@given(*angles)
def test_the_level_frame_is_level_and_looks_ahead(pitch: float, roll: float) -> None:
    rotation = level_from_optical(pitch, roll)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rotation @ down_in_camera(pitch, roll), [0, 0, -1], atol=1e-12)
    ahead = rotation @ [0, 0, 1]
    assert ahead[0] > 0 and abs(ahead[1]) < 1e-12
    x, y, z, w = quaternion(rotation)
    turned = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    np.testing.assert_allclose(turned, rotation, atol=1e-12)


@pytest.mark.parametrize("turn", [(0, 0, math.pi), (math.pi, 0, 0), (0, math.pi, 0)])
def test_half_turns_have_quaternions(turn: tuple[float, float, float]) -> None:
    axis = np.array(turn) / math.pi
    rotation = 2 * np.outer(axis, axis) - np.eye(3)
    np.testing.assert_allclose(np.abs(quaternion(rotation)), [*np.abs(axis), 0], atol=1e-12)


@given(st.floats(-0.4, 0.4), st.floats(-0.2, 0.2))
def test_a_wall_is_seen_at_its_distance_in_every_direction(pitch: float, roll: float) -> None:
    scan = scan_depth(world(pitch, roll, 2.0), CAMERA, HEIGHT, pitch, roll, BAND, LIMITS)
    bearing = scan.first_angle + scan.step * np.arange(len(scan.ranges))
    # Only where the band is in view: a corner of a rolled image may look at the floor alone.
    found = np.isfinite(scan.ranges)
    assert found.mean() > 0.5
    ahead = scan.ranges[found] * np.cos(bearing[found])
    tolerance = 2.0 * np.abs(np.tan(bearing[found])) * scan.step + 1e-3  # a point lies anywhere in its beam
    assert (np.abs(ahead - 2.0) <= tolerance).all()


def test_a_low_box_before_a_wall_hides_it_and_one_outside_the_band_does_not() -> None:
    middle = slice(60, 70)
    both = np.minimum(world(0.3, 0, 3.0), world(0.3, 0, 1.5, top=0.3))
    assert np.nanmax(np.abs(scan_depth(both, CAMERA, HEIGHT, 0.3, 0, BAND, LIMITS).ranges[middle] - 1.5)) < 0.1
    doorstep = np.minimum(world(0.3, 0, 3.0), world(0.3, 0, 1.5, top=0.08))
    assert np.nanmin(scan_depth(doorstep, CAMERA, HEIGHT, 0.3, 0, BAND, LIMITS).ranges[middle]) > 2.9
    lamp = np.minimum(world(-0.1, 0, 3.0), world(-0.1, 0, 1.5, bottom=1.1))
    assert np.nanmin(scan_depth(lamp, CAMERA, HEIGHT, -0.1, 0, BAND, LIMITS).ranges[middle]) > 2.9


def test_open_space_is_infinite_unknown_is_nan_and_too_near_is_minus_infinite() -> None:
    open_space = world(0.0, 0.0, None)
    assert np.isposinf(scan_depth(open_space, CAMERA, HEIGHT, 0, 0, BAND, LIMITS).ranges).mean() > 0.95
    beyond = scan_depth(world(0.0, 0.0, 6.0), CAMERA, HEIGHT, 0, 0, BAND, LIMITS)
    assert np.isposinf(beyond.ranges).mean() > 0.95
    unknown = np.full_like(open_space, np.nan)
    assert np.isnan(scan_depth(unknown, CAMERA, HEIGHT, 0, 0, BAND, LIMITS).ranges).all()
    near = scan_depth(world(0.0, 0.0, 0.3), CAMERA, HEIGHT, 0, 0, BAND, (0.5, 5.0))
    assert np.isneginf(near.ranges[70:90]).all()


def test_a_camera_that_sees_the_floor_alone_does_not_say_that_the_way_is_clear() -> None:
    """Looking down 60 degrees it sees less than two metres of floor."""
    pitch = math.radians(60)
    scan = scan_depth(world(pitch, 0, None), CAMERA, HEIGHT, pitch, 0, BAND, LIMITS)
    assert np.isnan(scan.ranges).all()


def test_what_cannot_be_is_refused() -> None:
    depth = world(0, 0, 2.0)
    with pytest.raises(InputError, match="shape"):
        scan_depth(depth[1:], CAMERA, HEIGHT, 0, 0, BAND, LIMITS)
    with pytest.raises(InputError, match="band"):
        scan_depth(depth, CAMERA, HEIGHT, 0, 0, (1.0, 0.1), LIMITS)
