"""Views of scenes: where the camera stands, and which frames are good enough. Three kinds of view:

robot   furnished rooms from a mobile robot's camera: low, level or looking down a little
wide    the same rooms from anywhere: any height, steep, rolled, narrow and wide lenses
asset   one to three objects on a floor before a wall, large in the picture
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import ConfigurationError
from merge_ros.geometry.camera import Camera
from merge_ros.simulation.assets import AssetScene, make_assets
from merge_ros.simulation.captions import MIN_NAMED_SHARE, describe
from merge_ros.simulation.frame import Frame
from merge_ros.simulation.poses import camera_pose
from merge_ros.simulation.renderer import SceneRenderer
from merge_ros.simulation.rooms import make_room
from merge_ros.simulation.scene import Scene

ASSET_FOV = (45.0, 75.0)  # degrees
ASSET_CAMERA_HEIGHT = (0.3, 1.5)  # metres
ASSET_SHARE = (0.2, 0.75)  # of the picture's height that the objects take up together
TRIES = 6  # places tried for each frame wanted


@dataclass(frozen=True)
class ViewRange:
    """Where cameras may be in a room.

    Args:
        height: of the camera over the floor in metres, (lowest, highest).
        pitch: degrees, positive looks down, (lowest, highest).
        roll: largest absolute roll in degrees.
        fov: horizontal field of view in degrees, (lowest, highest).
        clearance: metres between the camera and any object's footprint or wall.

    Raises:
        ConfigurationError: a range that is empty or impossible.
    """

    height: tuple[float, float] = (0.15, 1.2)
    pitch: tuple[float, float] = (-8.0, 28.0)
    roll: float = 3.0
    fov: tuple[float, float] = (55.0, 95.0)
    clearance: float = 0.25

    def __post_init__(self) -> None:
        for name in ("height", "pitch", "fov"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ConfigurationError(f"ViewRange.{name}=({low}, {high}): the first must not exceed the second")
        if self.height[0] <= 0 or self.fov[0] <= 0 or self.fov[1] >= 180 or self.roll < 0 or self.clearance <= 0:
            raise ConfigurationError(f"{self}: heights, fields of view (below 180) and clearance must be positive")


ROBOT = ViewRange()
# What the figures for robots are measured on; training sees a little more on every side.
ROBOT_EVALUATION = ViewRange(height=(0.2, 1.0), pitch=(-5.0, 25.0), fov=(60.0, 90.0))
WIDE = ViewRange(height=(0.1, 1.8), pitch=(-35.0, 35.0), roll=20.0, fov=(45.0, 110.0), clearance=0.2)


def room_views(seed: int, count: int, size: tuple[int, int] = (256, 192), view: ViewRange = ROBOT) -> list[Frame]:
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
    rng = np.random.default_rng(seed)
    scene = make_room(rng)
    camera = Camera.from_fov(*size, math.radians(rng.uniform(*view.fov)))
    frames: list[Frame] = []
    with SceneRenderer(scene, camera) as renderer:
        for x, y in _standpoints(rng, scene, view.clearance, TRIES * count):
            frame = _frame_from(renderer, rng, scene, camera, view, x, y)
            if is_good(frame.rgb, frame.depth):
                frames.append(frame)
            if len(frames) == count:
                break
    return frames


def asset_views(seed: int, count: int, size: tuple[int, int] = (256, 192)) -> list[Frame]:
    """Frames of one random asset scene; as `room_views`."""
    rng = np.random.default_rng(seed)
    assets = make_assets(rng)
    camera = Camera.from_fov(*size, math.radians(rng.uniform(*ASSET_FOV)))
    frames: list[Frame] = []
    with SceneRenderer(assets.scene, camera) as renderer:
        for _ in range(TRIES * count):
            position, heading, pitch = _before_assets(rng, assets, camera)
            pose = camera_pose(*position, heading, pitch)
            depth, labels = renderer.truth(pose)
            if not shows_assets(assets.scene, labels):
                continue
            caption = describe(assets.scene, labels)
            frame = Frame(renderer.colour(pose), depth, camera, position[2], pitch, 0.0, pose, caption)
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
    if depth.min() < 0.15 or far / near < 1.35 or np.median(depth) < 0.5:
        return False
    if not is_exposed(rgb):
        return False
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    edges = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)) > 60
    return bool(edges.mean() > 0.01)


def is_exposed(rgb: NDArray[np.uint8]) -> bool:
    """Whether a picture is neither black nor burnt out, and has some contrast."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return bool(25 < grey.mean() < 235 and grey.std() >= 12 and (grey > 250).mean() < 0.4 and (grey < 12).mean() < 0.5)


def shows_assets(scene: Scene, labels: NDArray[np.int64]) -> bool:
    """Whether every object of an asset scene can be seen, and together they fill a good part of the height."""
    pixels = np.bincount(labels[labels >= 0], minlength=len(scene.things))
    if pixels.min() < 1.5 * MIN_NAMED_SHARE * labels.size:
        return False
    rows = np.flatnonzero((labels >= 0).any(axis=1))
    return bool(ASSET_SHARE[0] <= (rows[-1] - rows[0] + 1) / len(labels) <= ASSET_SHARE[1])


def is_clear(scene: Scene, x: float, y: float, clearance: float) -> bool:
    """Whether a point is at least `clearance` metres away from walls and from the footprint of every solid thing."""
    if not (clearance <= x <= scene.length - clearance and clearance <= y <= scene.width - clearance):
        return False
    return all(not t.solid or math.hypot(x - t.x, y - t.y) >= t.radius + clearance for t in scene.things)


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
    renderer: SceneRenderer, rng: np.random.Generator, scene: Scene, camera: Camera, view: ViewRange, x: float, y: float
) -> Frame:
    height = min(rng.uniform(*view.height), scene.height - 0.3)
    pitch = math.radians(rng.uniform(*view.pitch))
    roll = math.radians(float(np.clip(rng.normal(0, view.roll / 2), -view.roll, view.roll)))
    # Robots mostly look where there is room to go: towards the far parts of the room, not into the nearest wall.
    targets = rng.uniform((-x, -y), (scene.length - x, scene.width - y), (int(rng.choice([1, 3])), 2))
    forward = targets[np.argmax(np.hypot(*targets.T))]
    heading = math.atan2(forward[1], forward[0])
    return render_frame(renderer, scene, camera, (x, y, height), heading, pitch, roll)


def _before_assets(
    rng: np.random.Generator, assets: AssetScene, camera: Camera
) -> tuple[tuple[float, float, float], float, float]:
    """A place before the objects, in metres, with heading and pitch towards them in radians."""
    tan_x, tan_y = camera.width / 2 / camera.fx, camera.height / 2 / camera.fy
    fill = rng.uniform(0.3, 0.65)
    by_height = assets.top / (2 * fill * tan_y)
    by_width = assets.half_width / (0.85 * tan_x)
    distance = min(max(by_height, by_width, 0.4) + 0.3 * assets.half_width, 7.0)
    elevation = math.radians(rng.uniform(4, 24))
    height = float(np.clip(assets.top / 2 + distance * math.tan(elevation), *ASSET_CAMERA_HEIGHT))
    heading = assets.facing + math.radians(rng.uniform(-10, 10))
    pitch = math.atan2(height - rng.uniform(0.4, 0.65) * assets.top, distance)
    position = (
        assets.centre[0] - distance * math.cos(heading),
        assets.centre[1] - distance * math.sin(heading),
        height,
    )
    return position, heading + math.radians(rng.uniform(-3, 3)), pitch
