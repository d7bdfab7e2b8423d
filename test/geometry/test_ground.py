import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from merge_ros.errors import CalibrationError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import down_in_camera, ground_depth
from merge_ros.geometry.pointcloud import back_project

heights, pitches, rolls = st.floats(0.05, 3), st.floats(-1.2, 1.5), st.floats(-1.0, 1.0)


@given(heights, pitches, rolls)
def test_every_floor_point_lies_one_camera_height_below(height: float, pitch: float, roll: float) -> None:
    camera = Camera.from_fov(32, 24, 1.4)
    depth = ground_depth(camera, height, pitch, roll)
    near = np.where(depth < 1e3, depth, np.nan)
    drop = back_project(near, camera).astype(np.float64) @ down_in_camera(pitch, roll)
    assert (depth > 0).all()
    np.testing.assert_allclose(drop[np.isfinite(near)], height, rtol=1e-3)


@given(pitches, rolls)
def test_down_is_a_unit_vector(pitch: float, roll: float) -> None:
    assert np.linalg.norm(down_in_camera(pitch, roll)) == pytest.approx(1)


def test_a_level_camera_sees_the_floor_below_its_horizon_only() -> None:
    camera = Camera(9, 9, 4.0, 4.0, 4.0, 4.0)
    depth = ground_depth(camera, 1.0, 0.0, 0.0)
    assert np.isinf(depth[:5]).all()
    np.testing.assert_allclose(depth[5:, 0], [4.0, 2.0, 4 / 3, 1.0], rtol=1e-6)


def test_pitching_down_brings_the_floor_nearer() -> None:
    camera = Camera.from_fov(9, 9, 1.0)
    centre = [ground_depth(camera, 1.0, pitch, 0.0)[4, 4] for pitch in (0.2, 0.5, 1.2)]
    np.testing.assert_allclose(centre, [1 / math.sin(p) for p in (0.2, 0.5, 1.2)], rtol=1e-6)


def test_leaning_right_brings_the_floor_on_the_right_nearer() -> None:
    depth = ground_depth(Camera.from_fov(9, 9, 1.0), 1.0, 0.6, 0.3)
    assert depth[4, 8] < depth[4, 4] < depth[4, 0]


@pytest.mark.parametrize("height", [0.0, -1.0, math.nan, math.inf])
def test_refuses_a_height_that_is_none(height: float) -> None:
    with pytest.raises(CalibrationError, match="height"):
        ground_depth(Camera.from_fov(4, 4, 1.0), height, 0.0, 0.0)
