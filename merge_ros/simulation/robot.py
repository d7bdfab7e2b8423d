"""A differential-drive robot in a simulated room: it moves as it is told, is stopped by what it touches, and looks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from merge_ros.errors import ConfigurationError, InputError
from merge_ros.geometry.camera import Camera
from merge_ros.simulation.drive import CELL, clearance_map
from merge_ros.simulation.frame import Frame
from merge_ros.simulation.renderer import SceneRenderer
from merge_ros.simulation.scene import Scene
from merge_ros.simulation.views import render_frame

FEELERS = 24  # directions in which the robot notices that it touches something
FEELER_HEIGHTS = 4  # evenly from what it drives over to its top
AHEAD_TRIED = 16  # headings tried at the start


@dataclass(frozen=True)
class RobotSettings:
    """The robot's body and its camera.

    Args:
        radius: of its round footprint in metres.
        height: of its body in metres.
        ground_clearance: metres; it drives over what is lower.
        max_speed: metres per second, forwards and backwards.
        max_turn: radians per second.
        size: (width, height) of the image in pixels.
        fov: horizontal field of view in degrees.
        camera_height: over the floor in metres.
        camera_pitch: degrees, positive looks down.
        camera_ahead: metres from the robot's centre forward to the camera.

    Raises:
        ConfigurationError: a value outside its range.
    """

    radius: float = 0.2
    height: float = 0.4
    ground_clearance: float = 0.08
    max_speed: float = 0.6
    max_turn: float = 1.5
    size: tuple[int, int] = (256, 192)
    fov: float = 75.0
    camera_height: float = 0.5
    camera_pitch: float = 15.0
    camera_ahead: float = 0.1

    def __post_init__(self) -> None:
        for name in ("radius", "max_speed", "max_turn", "camera_height"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"RobotSettings.{name}={getattr(self, name)} must be greater than 0")
        if not 0 < self.fov < 180 or not -80 < self.camera_pitch < 80 or min(self.size) < 16:
            raise ConfigurationError(
                f"fov={self.fov} must lie in (0, 180), camera_pitch={self.camera_pitch} in (-80, 80) degrees, "
                f"and size={self.size} be at least 16 pixels each"
            )
        if not 0 <= self.ground_clearance < self.height:
            raise ConfigurationError(
                f"ground_clearance={self.ground_clearance} m must lie between 0 and the robot's height of "
                f"{self.height} m"
            )
        if not 0 <= self.camera_ahead <= self.radius:
            raise ConfigurationError(
                f"camera_ahead={self.camera_ahead} m must lie between 0 and the robot's radius of {self.radius} m"
            )


@dataclass(frozen=True)
class Pose:
    """Where a robot is: metres, and radians anticlockwise from the x axis."""

    x: float
    y: float
    heading: float

    def seen_from(self, other: Pose) -> Pose:
        """This pose in the frame of another."""
        dx, dy = self.x - other.x, self.y - other.y
        cos, sin = math.cos(other.heading), math.sin(other.heading)
        return Pose(cos * dx + sin * dy, cos * dy - sin * dx, wrapped(self.heading - other.heading))

    def placed_at(self, other: Pose) -> Pose:
        """This pose, given in the frame of another, in the frame that the other is given in."""
        cos, sin = math.cos(other.heading), math.sin(other.heading)
        x, y = other.x + cos * self.x - sin * self.y, other.y + sin * self.x + cos * self.y
        return Pose(x, y, wrapped(self.heading + other.heading))


class SimulatedRobot:
    """A robot in a scene. Use it in a `with` block: it holds OpenGL memory.

    Args:
        scene: where it drives.
        settings: its body and camera.
        start: its first pose.

    Raises:
        InputError: it would touch something at the start.
        MissingDependencyError: MuJoCo or OpenGL is missing.
    """

    def __init__(self, scene: Scene, settings: RobotSettings, start: Pose) -> None:
        self.settings = settings
        self.camera = Camera.from_fov(*settings.size, math.radians(settings.fov))
        self.start = self.pose = start
        self.velocity = (0.0, 0.0)  # metres and radians per second, as it moved in the last step
        self.touching = False
        self._scene = scene
        angles = np.arange(FEELERS) * 2 * math.pi / FEELERS
        self._feelers = np.stack([np.cos(angles), np.sin(angles), np.zeros(FEELERS)], 1)
        self._renderer = SceneRenderer(scene, self.camera)
        if self.gap(start) < 0:
            raise InputError(f"the robot of radius {settings.radius} m would touch something at its start {start}")

    def __enter__(self) -> SimulatedRobot:
        self._renderer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._renderer.__exit__(kind, error, trace)

    @property
    def odometry(self) -> Pose:
        """Where it is, seen from where it started: a wheel odometry without error."""
        return self.pose.seen_from(self.start)

    def move(self, speed: float, turn: float, seconds: float) -> None:
        """Drive for a short while, along an arc. It stays where it is, and may turn, when it would touch something.

        Args:
            speed: metres per second forward; limited to what the robot can do.
            turn: radians per second anticlockwise; limited as well.
            seconds: above 0, at most a few tenths: contact is looked for at the end.

        Raises:
            InputError: a value is not finite, or the time not positive.
        """
        if not (math.isfinite(speed) and math.isfinite(turn) and 0 < seconds < math.inf):
            raise InputError(f"speed={speed} m/s and turn={turn} rad/s must be finite, and seconds={seconds} above 0")
        speed = min(max(speed, -self.settings.max_speed), self.settings.max_speed)
        turn = min(max(turn, -self.settings.max_turn), self.settings.max_turn)
        heading = wrapped(self.pose.heading + turn * seconds)
        along = self.pose.heading + turn * seconds / 2
        x = self.pose.x + speed * seconds * math.cos(along)
        y = self.pose.y + speed * seconds * math.sin(along)
        moved = Pose(x, y, heading)
        gap = self.gap(moved) if speed else 0.0
        # Out of a contact it may drive, into one it may not.
        self.touching = gap < 0 and gap <= self.gap(self.pose)
        if self.touching:
            moved, speed = Pose(self.pose.x, self.pose.y, heading), 0.0
        self.pose, self.velocity = moved, (speed, turn)

    def look(self) -> Frame:
        """What the camera sees now, with the truth."""
        pose, settings = self.pose, self.settings
        x = pose.x + settings.camera_ahead * math.cos(pose.heading)
        y = pose.y + settings.camera_ahead * math.sin(pose.heading)
        place = (x, y, settings.camera_height)
        pitch = math.radians(settings.camera_pitch)
        return render_frame(self._renderer, self._scene, self.camera, place, pose.heading, pitch, 0.0)

    def gap(self, pose: Pose) -> float:
        """Metres from the robot's body at a pose to the nearest thing, by its feelers; negative when it touches."""
        heights = np.linspace(self.settings.ground_clearance, self.settings.height, FEELER_HEIGHTS)
        nearest = min(
            float(self._renderer.distances((pose.x, pose.y, height), self._feelers).min()) for height in heights
        )
        return nearest - self.settings.radius


def free_start(scene: Scene, settings: RobotSettings, rng: np.random.Generator, clearance: float = 0.35) -> Pose:
    """A place in a scene where a robot can stand and has something of the room before it.

    Args:
        scene: the room.
        settings: of the robot.
        rng: where the choice comes from.
        clearance: metres from the robot's centre to walls and footprints.

    Raises:
        ConfigurationError: the room has no such place.
    """
    clear = clearance_map(scene)
    cells = np.argwhere(clear >= max(clearance, settings.radius))
    if not len(cells):
        raise ConfigurationError(f"this {scene.kind} has no place with {clearance} m around it: try another seed")
    x, y = (cells[rng.integers(len(cells))] + 0.5) * CELL

    def room_ahead(heading: float) -> float:
        along = np.arange(0, 6, CELL)
        i = ((x + along * math.cos(heading)) / CELL).astype(int)
        j = ((y + along * math.sin(heading)) / CELL).astype(int)
        inside = (i >= 0) & (i < clear.shape[0]) & (j >= 0) & (j < clear.shape[1])
        open_way = inside & (clear[np.where(inside, i, 0), np.where(inside, j, 0)] > settings.radius)
        return float(np.argmin(open_way) if not open_way.all() else len(along))

    headings = rng.uniform(-math.pi, math.pi, AHEAD_TRIED)
    return Pose(float(x), float(y), float(max(headings, key=room_ahead)))


def wrapped(angle: float) -> float:
    """An angle in (-pi, pi]."""
    return math.atan2(math.sin(angle), math.cos(angle))
