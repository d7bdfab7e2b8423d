"""A robot driving through one room: a smooth path between the furniture, filmed by a camera on the robot."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import ConfigurationError
from merge_ros.geometry.camera import Camera
from merge_ros.simulation.frame import Frame
from merge_ros.simulation.renderer import SceneRenderer
from merge_ros.simulation.rooms import make_room
from merge_ros.simulation.scene import Scene
from merge_ros.simulation.views import render_frame

CELL = 0.05  # metres per cell of the planning grid
SMOOTHING = 0.35  # metres: standard deviation of the Gaussian that rounds the path's corners
LEGS_TRIED = 60


@dataclass(frozen=True)
class DriveSettings:
    """How the robot drives and what it sees.

    Args:
        seconds: length of the drive.
        fps: frames per second.
        size: (width, height) of the frames in pixels.
        fov: horizontal field of view in degrees.
        camera_height: over the floor in metres.
        camera_pitch: degrees, positive looks down.
        speed: metres per second on straight parts.
        turn_rate: largest turn in degrees per second; the robot slows down for it.
        clearance: metres between the camera and walls and footprints.

    Raises:
        ConfigurationError: a value outside its range.
    """

    seconds: float = 20.0
    fps: float = 10.0
    size: tuple[int, int] = (640, 480)
    fov: float = 75.0
    camera_height: float = 0.4
    camera_pitch: float = 8.0
    speed: float = 0.4
    turn_rate: float = 40.0
    clearance: float = 0.35

    def __post_init__(self) -> None:
        for name in ("seconds", "fps", "camera_height", "speed", "turn_rate", "clearance"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"DriveSettings.{name}={getattr(self, name)} must be greater than 0")
        if not 0 < self.fov < 180 or not -80 < self.camera_pitch < 80 or min(self.size) < 16:
            raise ConfigurationError(
                f"fov={self.fov} must lie in (0, 180), camera_pitch={self.camera_pitch} in (-80, 80) degrees, "
                f"and size={self.size} be at least 16 pixels each"
            )


def drive(seed: int, settings: DriveSettings | None = None) -> Iterator[Frame]:
    """Film a drive through a random room.

    Args:
        seed: of the room and the path. Take it from `dataset.DRIVE_SEED` upwards: no training room has such a seed.
        settings: see `DriveSettings`.

    Yields:
        seconds * fps frames at a constant rate, camera height and pitch, with no roll.

    Raises:
        ConfigurationError: this room has no way of that length; try another seed or a smaller clearance.
        MissingDependencyError: MuJoCo or OpenGL is missing.
    """
    settings = settings or DriveSettings()
    rng = np.random.default_rng(seed)
    scene = make_room(rng)
    frames = round(settings.seconds * settings.fps)
    path = plan_path(scene, rng, settings)
    camera = Camera.from_fov(*settings.size, math.radians(settings.fov))
    pitch = math.radians(settings.camera_pitch)
    with SceneRenderer(scene, camera) as renderer:
        for x, y, heading in path[:frames]:
            yield render_frame(renderer, scene, camera, (x, y, settings.camera_height), heading, pitch, 0.0)


def plan_path(scene: Scene, rng: np.random.Generator, settings: DriveSettings) -> NDArray[np.float64]:
    """Poses at a constant frame rate: [n, 3] x, y in metres and heading in radians, n >= seconds * fps.

    Random goals, each roughly ahead, are joined by shortest paths on a grid; the whole is smoothed, and given up where
    smoothing cut a corner too closely.

    Raises:
        ConfigurationError: the room has no way of that length.
    """
    free = clearance_map(scene) >= settings.clearance
    frames = round(settings.seconds * settings.fps)
    cells = np.argwhere(free)
    for _start in range(8):
        if not len(cells):
            break
        route = [_cell(cells[rng.integers(len(cells))])]
        for _leg in range(LEGS_TRIED):
            leg = _next_leg(free, cells, route, rng)
            if leg is None:
                break
            route += leg
            points = smooth(np.array(route) * CELL)
            if not np.all(free[tuple((points / CELL).astype(int).T)]):
                del route[-len(leg) :]  # smoothing would touch something: try another goal
                continue
            poses = timed(points, settings)
            if len(poses) >= frames:
                return poses
    raise ConfigurationError(
        f"no way of {settings.seconds} s at {settings.speed} m/s with {settings.clearance} m clearance in this "
        f"{scene.length:.1f} x {scene.width:.1f} m {scene.kind}: try another seed"
    )


def clearance_map(scene: Scene) -> NDArray[np.float64]:
    """Metres from each cell of a grid over the floor to the nearest wall or footprint: [x cells, y cells]."""
    x = (np.arange(int(scene.length / CELL)) + 0.5)[:, None] * CELL
    y = (np.arange(int(scene.width / CELL)) + 0.5)[None, :] * CELL
    clearance = np.minimum(np.minimum(x, scene.length - x), np.minimum(y, scene.width - y))
    for thing in scene.things:
        if thing.solid:
            clearance = np.minimum(clearance, np.hypot(x - thing.x, y - thing.y) - thing.radius)
    return np.asarray(clearance)


def smooth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A polyline resampled every 2 cm and rounded by a Gaussian; its ends stay where they are."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    spacing = 0.02
    at = np.arange(0, along[-1], spacing)
    line = np.stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)], 1)
    sigma = SMOOTHING / spacing
    reach = int(4 * sigma)
    if len(line) < 3:
        return line
    # Mirrored through the end points, so that the smoothed line still starts and ends there.
    padded = np.pad(line, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    blurred = cv2.GaussianBlur(padded, (1, 2 * reach + 1), sigmaX=0.01, sigmaY=sigma)
    return np.asarray(blurred[reach:-reach])


def timed(points: NDArray[np.float64], settings: DriveSettings) -> NDArray[np.float64]:
    """Poses at the frame rate along a line of points, slowing down in turns: [n, 3] x, y, heading."""
    if len(points) < 3:
        return np.empty((0, 3))
    steps = np.diff(points, axis=0)
    heading = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    heading = np.append(heading, heading[-1])
    seconds = np.maximum(
        np.hypot(*steps.T) / settings.speed, np.abs(np.diff(heading)) / math.radians(settings.turn_rate)
    )
    clock = np.concatenate([[0.0], np.cumsum(seconds)])
    at = np.arange(0, clock[-1], 1 / settings.fps)
    return np.stack([np.interp(at, clock, values) for values in (points[:, 0], points[:, 1], heading)], 1)


Cell = tuple[int, int]


def _cell(index: NDArray[np.intp]) -> Cell:
    return int(index[0]), int(index[1])


def _next_leg(
    free: NDArray[np.bool_], cells: NDArray[np.intp], route: list[Cell], rng: np.random.Generator
) -> list[Cell] | None:
    """A shortest way from the end of the route to a random goal at least a metre away and not behind."""
    here = np.array(route[-1])
    before = np.array(route[max(0, len(route) - 16)])
    forward = here - before
    for _ in range(40):
        goal = cells[rng.integers(len(cells))]
        offset = goal - here
        distance = float(np.hypot(*offset))
        if distance * CELL < 1.0 or (forward.any() and offset @ forward < 0.2 * distance * np.hypot(*forward)):
            continue
        leg = shortest_path(free, route[-1], _cell(goal))
        if leg:
            return leg
    # Boxed in: turning round is allowed when nothing lies ahead.
    goal = cells[rng.integers(len(cells))]
    return shortest_path(free, route[-1], _cell(goal)) or None


def shortest_path(free: NDArray[np.bool_], start: Cell, goal: Cell) -> list[Cell]:
    """A* on the 8-connected grid; the cells after `start` up to `goal`, empty when there is no way."""
    frontier: list[tuple[float, Cell]] = [(0.0, start)]
    cost: dict[Cell, float] = {start: 0.0}
    parent: dict[Cell, Cell] = {}
    while frontier:
        _, cell = heapq.heappop(frontier)
        if cell == goal:
            path = [cell]
            while path[-1] in parent:
                path.append(parent[path[-1]])
            return path[-2::-1]
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                x, y = cell[0] + dx, cell[1] + dy
                if not (0 <= x < free.shape[0] and 0 <= y < free.shape[1] and free[x, y]):
                    continue
                total = cost[cell] + math.hypot(dx, dy)
                if total < cost.get((x, y), math.inf):
                    cost[x, y], parent[x, y] = total, cell
                    heapq.heappush(frontier, (total + math.hypot(goal[0] - x, goal[1] - y), (x, y)))
    return []
