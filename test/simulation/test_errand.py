"""Errands: goals that a robot can reach, far enough away and not straight on, the same for the same seed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from merge_ros.errors import ConfigurationError
from merge_ros.simulation.drive import CELL, clearance_map, shortest_path
from merge_ros.simulation.errand import DISTANCE, FIRST_SEED, PASSAGE, Errand, make_errand, make_errands, start_in_room
from merge_ros.simulation.robot import RobotSettings

SETTINGS = RobotSettings()


@pytest.fixture(scope="module")
def errands() -> list[Errand]:
    return make_errands(2, SETTINGS)


def test_there_is_a_way_to_the_goal_but_not_the_straight_one(errands: list[Errand]) -> None:
    for errand in errands:
        start, goal = errand.start, errand.goal
        assert DISTANCE[0] <= math.hypot(goal.x - start.x, goal.y - start.y) <= DISTANCE[1]
        clear = clearance_map(errand.scene)
        cells = [(int(pose.x / CELL), int(pose.y / CELL)) for pose in (start, goal)]
        assert shortest_path(clear >= PASSAGE, *cells), "a way that keeps the passage free"
        along = np.linspace([start.x, start.y], [goal.x, goal.y], 500)
        assert min(_gap(errand, *place) for place in along) < SETTINGS.radius, "straight on the robot would touch"


def test_the_robot_of_the_same_seed_starts_there(errands: list[Errand]) -> None:
    for errand in errands:
        scene, start, _ = start_in_room(errand.seed, SETTINGS)
        assert (scene.length, scene.things) == (errand.scene.length, errand.scene.things) and start == errand.start
        assert make_errand(errand.seed, SETTINGS).goal == errand.goal


def test_the_goal_from_the_start_is_the_same_place(errands: list[Errand]) -> None:
    for errand in errands:
        back = errand.goal_from_start.placed_at(errand.start)
        assert (back.x, back.y) == pytest.approx((errand.goal.x, errand.goal.y))
    assert errands[0].seed >= FIRST_SEED and errands[0].seed != errands[1].seed


def test_a_room_without_such_a_goal_is_refused() -> None:
    refused = 0
    for seed in range(FIRST_SEED, FIRST_SEED + 30):
        try:
            make_errand(seed, SETTINGS)
        except ConfigurationError as error:
            refused += 1
            assert f"seed {seed}" in str(error) or "try another seed" in str(error)
    assert refused, "closets are too small"


def _gap(errand: Errand, x: float, y: float) -> float:
    """Metres from a place to walls and footprints, as the scene says it."""
    scene = errand.scene
    walls = min(x, scene.length - x, y, scene.width - y)
    return min([walls, *(math.hypot(x - t.x, y - t.y) - t.radius for t in scene.things if t.solid)])
