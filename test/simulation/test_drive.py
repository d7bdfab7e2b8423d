"""The simulated drive: smooth, collision-free, at constant height and rate."""

import math
from itertools import pairwise

import numpy as np
import pytest

from merge_ros.errors import ConfigurationError

pytest.importorskip("mujoco", reason="rendering needs the extra 'sim'")

from merge_ros.simulation.dataset import DRIVE_SEED
from merge_ros.simulation.drive import DriveSettings, drive, plan_path, shortest_path
from merge_ros.simulation.rooms import make_room
from merge_ros.simulation.views import is_clear

SEED = DRIVE_SEED + 5  # a room with space enough
SHORT = DriveSettings(seconds=1.5, fps=4, size=(64, 48))


def test_path_is_smooth_and_keeps_its_distance() -> None:
    settings = DriveSettings(seconds=15, fps=10)
    rng = np.random.default_rng(SEED)
    scene = make_room(rng)
    path = plan_path(scene, rng, settings)
    assert len(path) >= 150
    steps = np.hypot(*np.diff(path[:, :2], axis=0).T)
    turns = np.abs(np.diff(path[:, 2]))
    assert steps.max() <= settings.speed / settings.fps * 1.01
    assert np.degrees(turns.max()) <= settings.turn_rate / settings.fps * 1.01
    assert steps.sum() > 1.0, "it must get somewhere"
    # The grid that the path was planned on has cells of 5 cm.
    assert all(is_clear(scene, x, y, settings.clearance - 0.05) for x, y, _ in path)


def test_frames_follow_each_other() -> None:
    frames = list(drive(SEED, SHORT))
    assert len(frames) == 6
    for before, after in pairwise(frames):
        moved = np.linalg.norm(after.pose[:3, 3] - before.pose[:3, 3])
        turned = math.acos(np.clip((np.trace(before.pose[:3, :3].T @ after.pose[:3, :3]) - 1) / 2, -1, 1))
        assert moved <= SHORT.speed / SHORT.fps * 1.01
        assert math.degrees(turned) <= SHORT.turn_rate / SHORT.fps * 1.01
        assert after.camera == before.camera
        assert (after.camera_height, after.camera_roll) == (0.4, 0.0)
        assert math.degrees(after.camera_pitch) == pytest.approx(8.0)


def test_a_room_without_room_says_so() -> None:
    with pytest.raises(ConfigurationError, match="another seed"):
        list(drive(SEED, DriveSettings(clearance=3.0)))


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="fps"):
        DriveSettings(fps=0)


def test_shortest_path_goes_round_an_obstacle() -> None:
    free = np.ones((7, 7), bool)
    free[3, :6] = False
    path = shortest_path(free, (0, 0), (6, 0))
    assert path[-1] == (6, 0)
    assert all(free[cell] for cell in path)
    assert len(path) == 12
    free[3] = False
    assert shortest_path(free, (0, 0), (6, 0)) == []
