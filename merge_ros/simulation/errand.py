"""Something to drive to: a goal in a room that a robot can reach, but not on the straight line."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

import cv2
import numpy as np

from merge_ros.errors import ConfigurationError
from merge_ros.simulation.drive import CELL, clearance_map
from merge_ros.simulation.robot import Pose, RobotSettings, free_start
from merge_ros.simulation.rooms import make_room
from merge_ros.simulation.scene import Scene

# Rooms of these seeds are in no set that a model is trained or judged on.
FIRST_SEED = 900_001_000
DISTANCE = (4.0, 6.0)  # metres from start to goal, as the crow flies
PASSAGE = 0.4  # metres from the robot's centre to walls and footprints, all along some way to the goal
SEEDS_TRIED = 1000


@dataclass(frozen=True)
class Errand:
    """A room, where a robot starts in it, and where it is to go.

    Args:
        seed: of the room and the start, as the simulated robot takes it.
        scene: the room.
        start: in the room.
        goal: the same place that `goal_from_start` names, in the room; its heading counts for nothing.
    """

    seed: int
    scene: Scene
    start: Pose
    goal: Pose

    @property
    def goal_from_start(self) -> Pose:
        """The goal in the frame that the robot's odometry has."""
        return self.goal.seen_from(self.start)


def start_in_room(seed: int, settings: RobotSettings) -> tuple[Scene, Pose, np.random.Generator]:
    """The room of a seed and a place in it where a robot starts; and the generator that further choices come from.

    Raises:
        ConfigurationError: the room has no such place.
    """
    rng = np.random.default_rng(seed)
    scene = make_room(rng)
    return scene, free_start(scene, settings, rng), rng


def make_errand(seed: int, settings: RobotSettings) -> Errand:
    """The errand of a seed.

    The goal is `DISTANCE` away, something stands on the straight line to it, and there is a way that keeps `PASSAGE`
    everywhere.

    Raises:
        ConfigurationError: the room has no such goal.
    """
    scene, start, rng = start_in_room(seed, settings)
    clear = clearance_map(scene)
    _, region = cv2.connectedComponents((clear >= PASSAGE).astype(np.uint8), connectivity=4)
    here = region[_cell(start.x), _cell(start.y)]
    x, y = (np.indices(clear.shape) + 0.5) * CELL
    distance = np.hypot(x - start.x, y - start.y)
    if here:
        reachable = np.argwhere((region == here) & (distance >= DISTANCE[0]) & (distance <= DISTANCE[1]))
        for i, j in rng.permutation(reachable):
            goal = Pose((i + 0.5) * CELL, (j + 0.5) * CELL, 0.0)
            steps = np.linspace(0, 1, 2 * math.ceil(distance[i, j] / CELL))
            along = clear[
                ((start.x + steps * (goal.x - start.x)) / CELL).astype(int),
                ((start.y + steps * (goal.y - start.y)) / CELL).astype(int),
            ]
            if along.min() < settings.radius:
                return Errand(seed, scene, start, goal)
    raise ConfigurationError(
        f"seed {seed}: this {scene.length:.1f} x {scene.width:.1f} m {scene.kind} has no goal {DISTANCE[0]:g} to "
        f"{DISTANCE[1]:g} m from the start that is to be reached, and not straight on"
    )


def make_errands(count: int, settings: RobotSettings, first_seed: int = FIRST_SEED) -> list[Errand]:
    """The first errands from a seed on, each in a room of its own.

    Raises:
        ConfigurationError: too many rooms in a row have none.
    """
    errands: list[Errand] = []
    seed = first_seed
    while len(errands) < count:
        if seed - first_seed >= SEEDS_TRIED:
            raise ConfigurationError(f"only {len(errands)} errands in {SEEDS_TRIED} rooms from seed {first_seed} on")
        with contextlib.suppress(ConfigurationError):  # most rooms are too small
            errands.append(make_errand(seed, settings))
        seed += 1
    return errands


def _cell(metres: float) -> int:
    return int(metres / CELL)
