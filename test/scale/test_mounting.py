"""Where the camera is: gravity of an IMU, and TF."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from merge_ros.errors import CalibrationError, ScaleError
from merge_ros.geometry.ground import down_in_camera, pitch_and_roll
from merge_ros.scale.mounting import STANDARD_GRAVITY, GravityMounting, TransformMounting
from merge_ros.scale.transforms import OPTICAL_FROM_BODY, rotation


@given(st.floats(-1.5, 1.5), st.floats(-3.1, 3.1), st.floats(0.1, 20))
def test_pitch_and_roll_are_what_gravity_says(pitch: float, roll: float, length: float) -> None:
    assert pitch_and_roll(length * down_in_camera(pitch, roll)) == pytest.approx((pitch, roll), abs=1e-7)


@pytest.mark.parametrize("down", [np.zeros(3), np.array([0.0, np.nan, 1.0])])
def test_gravity_that_is_none_is_refused(down: np.ndarray) -> None:
    with pytest.raises(CalibrationError, match="gravity"):
        pitch_and_roll(down)


def felt(pitch: float, roll: float = 0.0) -> np.ndarray:
    return -STANDARD_GRAVITY * down_in_camera(pitch, roll)


def test_gravity_is_averaged_and_bumps_are_left_out() -> None:
    mounting = GravityMounting(0.5)
    rng = np.random.default_rng(0)
    for index in range(300):
        acceleration = felt(0.2, 0.05) + rng.normal(0, 0.3, 3)
        if index % 10 == 0:
            acceleration = acceleration * 2  # a bump
        mounting.add_acceleration(acceleration, 0.01 * index)
    place = mounting.at("camera", 3.0)
    assert place.height == 0.5
    assert (place.pitch, place.roll) == (pytest.approx(0.2, abs=0.02), pytest.approx(0.05, abs=0.02))


def test_an_imu_that_is_silent_or_shaken_says_so() -> None:
    mounting = GravityMounting(0.5)
    with pytest.raises(ScaleError, match="no acceleration has come"):
        mounting.at("camera", 0.0)
    mounting.add_acceleration(np.array([0.0, 0.0, np.nan]), 0.0)
    with pytest.raises(ScaleError, match="1 were refused"):
        mounting.at("camera", 0.0)
    mounting.add_acceleration(felt(0.1), 1.0)
    assert mounting.at("camera", 1.5).pitch == pytest.approx(0.1)
    with pytest.raises(ScaleError, match=r"2\.5 s away"):
        mounting.at("camera", 3.5)


class Frames:
    def __init__(self, pose: np.ndarray) -> None:
        self.pose = pose

    def lookup(self, target: str, source: str, stamp: float) -> np.ndarray:
        assert (target, source) == ("base_footprint", "camera_optical")
        return self.pose


def camera_on_robot(height: float, pitch: float, yaw: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = rotation(0.0, pitch, yaw) @ OPTICAL_FROM_BODY.T
    pose[:3, 3] = 0.3, -0.1, height
    return pose


def test_tf_gives_height_and_attitude_however_the_camera_is_turned() -> None:
    for yaw in (0.0, 1.0, 3.0):
        place = TransformMounting(Frames(camera_on_robot(0.42, 0.3, yaw)), "base_footprint").at("camera_optical", 0.0)
        assert (place.height, place.pitch, place.roll) == pytest.approx((0.42, 0.3, 0.0), abs=1e-9)


def test_a_camera_below_the_floor_is_refused() -> None:
    with pytest.raises(ScaleError, match=r"-0\.200 m over the floor"):
        TransformMounting(Frames(camera_on_robot(-0.2, 0.3, 0.0)), "base_footprint").at("camera_optical", 0.0)
