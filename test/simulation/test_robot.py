"""The simulated robot: it drives arcs, stops at walls, and its odometry and camera agree with where it is."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from merge_ros.errors import ConfigurationError, InputError, MissingDependencyError

pytest.importorskip("mujoco", reason="rendering needs the extra 'sim'")

from merge_ros.simulation.robot import Pose, RobotSettings, SimulatedRobot, free_start
from merge_ros.simulation.rooms import make_room
from merge_ros.simulation.scene import Light, Part, Scene

SETTINGS = RobotSettings(size=(64, 48))
WALL = 2.0  # metres ahead


def hall() -> Scene:
    parts = (
        Part("plane", (10, 10, 0), (0, 0, 0), rgb=(0.6, 0.5, 0.4)),
        Part("box", (0.05, 10, 1), (WALL + 0.05, 0, 1)),
        Part("box", (0.05, 10, 1), (-3, 0, 1)),
    )
    return Scene("room", 6, 6, 2, parts, {}, (Light((0, 0, 5), (0, 0, -1), (1, 1, 1), 80, False),), 0.4, (), "a hall")


def robot_at(pose: Pose) -> SimulatedRobot:
    try:
        return SimulatedRobot(hall(), SETTINGS, pose)
    except MissingDependencyError as error:
        pytest.skip(str(error))


def test_it_drives_a_circle_back_to_its_start() -> None:
    with robot_at(Pose(-1.0, 0.5, 0.7)) as robot:
        for _ in range(200):
            robot.move(0.4, 2 * math.pi / 10, 0.05)
        assert robot.odometry.x == pytest.approx(0, abs=1e-3) and robot.odometry.y == pytest.approx(0, abs=1e-3)
        assert robot.odometry.heading == pytest.approx(0, abs=1e-9)
        assert robot.velocity == pytest.approx((0.4, 2 * math.pi / 10))


def test_odometry_is_seen_from_the_start() -> None:
    with robot_at(Pose(0.0, 0.0, math.pi / 2)) as robot:
        for _ in range(10):
            robot.move(0.5, 0.0, 0.1)
        assert (robot.pose.x, robot.pose.y) == pytest.approx((0, 0.5), abs=1e-9)
        assert (robot.odometry.x, robot.odometry.y) == pytest.approx((0.5, 0), abs=1e-9)


def test_a_wall_stops_it_and_it_can_leave_again() -> None:
    with robot_at(Pose(0.0, 0.0, 0.0)) as robot:
        for _ in range(100):
            robot.move(0.5, 0.0, 0.1)
        assert robot.touching and robot.velocity[0] == 0
        assert WALL - SETTINGS.radius - 0.06 < robot.pose.x <= WALL - SETTINGS.radius
        robot.move(0.0, 1.0, 0.1)
        assert robot.pose.heading == pytest.approx(0.1)
        robot.move(-0.5, 0.0, 0.1)
        assert not robot.touching and robot.velocity[0] == -0.5


def test_it_drives_over_what_is_low_and_under_what_is_high() -> None:
    low = Part("box", (0.1, 3, SETTINGS.ground_clearance / 2 - 0.005), (0.5, 0, SETTINGS.ground_clearance / 2 - 0.005))
    high = Part("box", (0.1, 3, 0.1), (0.8, 0, SETTINGS.height + 0.11))
    scene = dataclasses.replace(hall(), parts=(*hall().parts, low, high))
    try:
        robot = SimulatedRobot(scene, SETTINGS, Pose(0.0, 0.0, 0.0))
    except MissingDependencyError as error:
        pytest.skip(str(error))
    with robot:
        for _ in range(30):
            robot.move(0.5, 0.0, 0.1)
        assert robot.pose.x == pytest.approx(1.5) and not robot.touching


def test_it_drives_no_faster_than_it_can() -> None:
    with robot_at(Pose(0.0, 0.0, 0.0)) as robot:
        robot.move(9.0, -9.0, 0.1)
        assert robot.velocity == (SETTINGS.max_speed, -SETTINGS.max_turn)


def test_the_camera_looks_from_where_the_robot_is() -> None:
    with robot_at(Pose(0.5, 0.0, 0.0)) as robot:
        frame = robot.look()
        assert frame.pose[:3, 3] == pytest.approx([0.5 + SETTINGS.camera_ahead, 0, SETTINGS.camera_height])
        # The row that looks level sees the wall ahead at its distance: z = x cos(pitch) for a level ray.
        pitch = math.radians(SETTINGS.camera_pitch)
        row = round(frame.camera.cy - frame.camera.fy * math.tan(pitch))
        expected = (WALL - frame.pose[0, 3]) * math.cos(pitch)
        assert frame.depth[row, 32] == pytest.approx(expected, abs=0.05)


def test_a_start_in_a_room_is_free() -> None:
    scene = make_room(np.random.default_rng(7))
    start = free_start(scene, SETTINGS, np.random.default_rng(0))
    try:
        SimulatedRobot(scene, SETTINGS, start).__exit__(None, None, None)
    except MissingDependencyError as error:
        pytest.skip(str(error))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="would touch"):
        robot_at(Pose(WALL, 0.0, 0.0))
    with pytest.raises(ConfigurationError, match="radius=0"):
        RobotSettings(radius=0)
    with pytest.raises(ConfigurationError, match="ground_clearance"):
        RobotSettings(ground_clearance=0.5)
    with pytest.raises(ConfigurationError, match="camera_ahead"):
        RobotSettings(camera_ahead=1.0)
    with robot_at(Pose(0.0, 0.0, 0.0)) as robot, pytest.raises(InputError, match="finite"):
        robot.move(math.nan, 0.0, 0.1)
