"""Turned cameras: which way is upright, and the way back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from merge_ros.errors import InputError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import ground_depth
from merge_ros.geometry.upright import turned_back, turned_upright


def test_ninety_degrees_are_clockwise() -> None:
    picture = np.array([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(turned_upright(picture, 90), [[4, 1], [5, 2], [6, 3]])


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_back_is_the_inverse_and_memory_is_in_one_piece(rotation: int) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (5, 7, 3)).astype(np.uint8)
    upright = turned_upright(picture, rotation)
    assert upright.flags.c_contiguous and upright.shape[:2] == ((7, 5) if rotation in (90, 270) else (5, 7))
    np.testing.assert_array_equal(turned_back(upright, rotation), picture)


@pytest.mark.parametrize(("rotation", "roll"), [(90, math.pi / 2), (180, math.pi), (270, -math.pi / 2)])
def test_a_floor_seen_by_a_camera_with_that_roll_lies_below_once_upright(rotation: int, roll: float) -> None:
    """`image_rotation` and `camera_roll` of one camera, as docs/node.md pairs them."""
    floor = ground_depth(Camera.from_fov(64, 64, 1.2), 0.5, 0.2, roll)
    upright = turned_upright(floor, rotation)
    assert np.isinf(upright[0]).all() and np.isfinite(upright[-1]).all()
    np.testing.assert_allclose(upright, ground_depth(Camera.from_fov(64, 64, 1.2), 0.5, 0.2, 0.0), rtol=1e-4)


@pytest.mark.parametrize("turn", [turned_upright, turned_back])
def test_other_angles_are_refused(turn: object) -> None:
    with pytest.raises(InputError, match="45"):
        turn(np.zeros((2, 2)), 45)  # type: ignore[operator]
