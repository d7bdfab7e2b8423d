"""Robot-like views of a room: where the camera stands, which frames are good enough, and what the caption says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import ConfigurationError
from merge_ros.geometry.camera import Camera
from merge_ros.simulation.frame import Frame
from merge_ros.simulation.poses import camera_pose
from merge_ros.simulation.renderer import SceneRenderer
from merge_ros.simulation.rooms import make_room
from merge_ros.simulation.scene import Scene

MIN_NAMED_SHARE = 0.01  # of the picture's pixels, for an object to be named in the caption
MAX_NAMED = 4


@dataclass(frozen=True)
class RobotView:
    """The range of cameras on a mobile robot.

    Args:
        height: of the camera over the floor in metres, (lowest, highest).
        pitch: degrees, positive looks down, (lowest, highest).
        roll: largest absolute roll in degrees.
        fov: horizontal field of view in degrees, (lowest, highest).
        clearance: metres between the camera and any object's footprint or wall.

    Raises:
        ConfigurationError: a range that is empty or impossible.
    """

    height: tuple[float, float] = (0.2, 1.2)
    pitch: tuple[float, float] = (-5.0, 25.0)
    roll: float = 3.0
    fov: tuple[float, float] = (55.0, 95.0)
    clearance: float = 0.25

    def __post_init__(self) -> None:
        for name in ("height", "pitch", "fov"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ConfigurationError(f"RobotView.{name}=({low}, {high}): the first must not exceed the second")
        if self.height[0] <= 0 or self.fov[0] <= 0 or self.fov[1] >= 180 or self.roll < 0 or self.clearance <= 0:
            raise ConfigurationError(f"{self}: heights, fields of view (below 180) and clearance must be positive")


def room_views(seed: int, count: int, size: tuple[int, int] = (256, 192), view: RobotView | None = None) -> list[Frame]:
    """Frames of one random room, all with the same field of view.

    Args:
        seed: the same seed gives the same frames, whatever the process or the order.
        count: frames wanted, >= 1.
        size: (width, height) in pixels.
        view: where cameras may be.

    Returns:
        `count` frames; fewer, possibly none, when the room has no more good views.

    Raises:
        MissingDependencyError: MuJoCo or OpenGL is missing.
    """
    view = view or RobotView()
    rng = np.random.default_rng(seed)
    scene = make_room(rng)
    camera = Camera.from_fov(*size, math.radians(rng.uniform(*view.fov)))
    frames: list[Frame] = []
    with SceneRenderer(scene, camera) as renderer:
        for x, y in _standpoints(rng, scene, view.clearance, 4 * count):
            frame = _frame_from(renderer, rng, scene, camera, view, x, y)
            if is_good(frame.rgb, frame.depth):
                frames.append(frame)
            if len(frames) == count:
                break
    return frames


def is_good(rgb: NDArray[np.uint8], depth: NDArray[np.float32]) -> bool:
    """Whether a frame is worth learning from: not black or burnt out, not filled by one surface, with edges.

    A depth range (98 % over 2 % quantile) under 1.35 is one flat thing; below 0.15 m the camera touches something.
    """
    near, far = np.quantile(depth, (0.02, 0.98))
    if depth.min() < 0.15 or far / near < 1.35 or np.median(depth) < 0.6:
        return False
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if not 35 < grey.mean() < 235 or grey.std() < 12:
        return False
    edges = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)) > 60
    return bool(edges.mean() > 0.01)


def describe(scene: Scene, labels: NDArray[np.int64]) -> str:
    """The caption of a view: the room, then the things that fill most of the picture, largest first."""
    visible, pixels = np.unique(labels[labels >= 0], return_counts=True)
    order = visible[np.argsort(-pixels)][: int(np.sum(pixels >= MIN_NAMED_SHARE * labels.size))]
    named: list[str] = []
    for index in order:
        thing = scene.things[index]
        if thing.name == "clutter":
            continue
        article = "an" if thing.colour[0] in "aeiou" else "a"
        words = f"{article} {thing.colour} {thing.name}"
        if words not in named:
            named.append(words)
    named = named[:MAX_NAMED]
    if not named:
        return scene.caption_start
    listed = named[0] if len(named) == 1 else ", ".join(named[:-1]) + " and " + named[-1]
    return f"{scene.caption_start}, {listed}"


def is_clear(scene: Scene, x: float, y: float, clearance: float) -> bool:
    """Whether a point is at least `clearance` metres away from walls and from the footprint of every solid thing."""
    if not (clearance <= x <= scene.length - clearance and clearance <= y <= scene.width - clearance):
        return False
    return all(not t.solid or math.hypot(x - t.x, y - t.y) >= t.radius + clearance for t in scene.things)


def _standpoints(rng: np.random.Generator, scene: Scene, clearance: float, count: int) -> Iterator[tuple[float, float]]:
    found = 0
    for _ in range(20 * count):
        x, y = rng.uniform(0, scene.length), rng.uniform(0, scene.width)
        if is_clear(scene, x, y, clearance):
            found += 1
            yield x, y
        if found == count:
            return


def _frame_from(
    renderer: SceneRenderer, rng: np.random.Generator, scene: Scene, camera: Camera, view: RobotView, x: float, y: float
) -> Frame:
    height = rng.uniform(*view.height)
    pitch = math.radians(rng.uniform(*view.pitch))
    roll = math.radians(float(np.clip(rng.normal(0, view.roll / 2), -view.roll, view.roll)))
    # Robots mostly look where there is room to go: towards somewhere else in the room, not into the nearest wall.
    target_x, target_y = rng.uniform(0, scene.length), rng.uniform(0, scene.width)
    heading = math.atan2(target_y - y, target_x - x)
    return render_frame(renderer, scene, camera, (x, y, height), heading, pitch, roll)


def render_frame(
    renderer: SceneRenderer,
    scene: Scene,
    camera: Camera,
    position: tuple[float, float, float],
    heading: float,
    pitch: float,
    roll: float,
) -> Frame:
    """One frame from a given place; angles as in `poses.camera_pose`."""
    pose = camera_pose(*position, heading, pitch, roll)
    depth, labels = renderer.truth(pose)
    return Frame(renderer.colour(pose), depth, camera, position[2], pitch, roll, pose, describe(scene, labels))
