"""A room seen from above, without its ceiling."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merge_ros.geometry.camera import Camera
from merge_ros.simulation.poses import camera_pose
from merge_ros.simulation.renderer import SceneRenderer
from merge_ros.simulation.scene import Part, Scene

ALTITUDE = 40.0  # metres: high enough for walls to stand upright in the picture
CUT = 1.2  # metres over the floor; parts that begin higher hide what a robot drives around
AMBIENT = 0.7  # the room's own lamps hang above the cut


@dataclass(frozen=True)
class TopView:
    """A picture of a room's floor, x to the right and y up, and where its pixels are.

    Args:
        picture: [height, width, 3] uint8.
        centre: (x, y) in the room, metres, of the picture's middle.
        metre: pixels.
    """

    picture: NDArray[np.uint8]
    centre: tuple[float, float]
    metre: float

    def pixels(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """[n, 2] column and row of points [n, 2] of the room, on its floor."""
        height, width = self.picture.shape[:2]
        x = (width - 1) / 2 + (points[:, 0] - self.centre[0]) * self.metre
        y = (height - 1) / 2 - (points[:, 1] - self.centre[1]) * self.metre
        return np.stack([x, y], -1)

    def places(self) -> NDArray[np.float64]:
        """[height, width, 2]: x and y in the room under each pixel."""
        height, width = self.picture.shape[:2]
        row, column = np.mgrid[:height, :width]
        x = self.centre[0] + (column - (width - 1) / 2) / self.metre
        y = self.centre[1] - (row - (height - 1) / 2) / self.metre
        return np.stack([x, y], -1)


def top_view(scene: Scene, low: tuple[float, float], high: tuple[float, float], size: tuple[int, int]) -> TopView:
    """Look down on a part of a room.

    Args:
        scene: the room.
        low, high: corners (x, y) of what must be in view, metres.
        size: (width, height) of the picture in pixels.

    Raises:
        MissingDependencyError: MuJoCo or OpenGL is missing.
    """
    width, height = size
    metre = min(width / (high[0] - low[0]), height / (high[1] - low[1]))
    centre = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2)
    camera = Camera.from_fov(width, height, 2 * math.atan(width / metre / 2 / ALTITUDE))
    opened = dataclasses.replace(
        scene, parts=tuple(part for part in scene.parts if _bottom(part) < CUT), ambient=AMBIENT, lights=()
    )
    with SceneRenderer(opened, camera) as renderer:
        picture = renderer.colour(camera_pose(*centre, ALTITUDE, math.pi / 2, math.pi / 2))
    return TopView(picture, centre, metre)


def _bottom(part: Part) -> float:
    """Metres over the floor of a part's lowest point, or less for one that is tilted."""
    if part.shape == "plane":
        return part.position[2]
    upright = part.quaternion[1] == part.quaternion[2] == 0
    reach = {
        "box": part.size[2] if upright else math.hypot(*part.size),
        "cylinder": part.size[1] if upright else math.hypot(*part.size[:2]),
        "capsule": part.size[0] + part.size[1],
        "sphere": part.size[0],
        "ellipsoid": part.size[2] if upright else max(part.size),
    }
    return part.position[2] - reach[part.shape]
