"""The truth must be true: depth against a floor and a wall whose depth is known in closed form."""

import math

import numpy as np
import pytest

from merge_ros.errors import InputError
from merge_ros.geometry.camera import Camera

pytest.importorskip("mujoco", reason="rendering needs the extra 'sim'")

from merge_ros.simulation.poses import camera_pose
from merge_ros.simulation.renderer import SceneRenderer
from merge_ros.simulation.scene import Light, Part, Scene, Thing

LAMP = Light((20, 20, 3), (0, 0, -1), (1, 1, 1), 80, shadow=False)
FLOOR = Part("plane", (20, 20, 0), (20, 20, 0))


def scene_of(*parts: Part, things: tuple[Thing, ...] = ()) -> Scene:
    return Scene("hall", 40, 40, 3, parts, {}, (LAMP,), 0.4, things, "a hall")


@pytest.mark.parametrize(
    ("height", "pitch", "roll", "heading", "fov"),
    [(0.5, 0.3, 0.0, 0.0, 70), (1.2, 0.1, 0.1, 1.0, 95), (0.2, 0.4, -0.05, -2.5, 55), (0.8, math.pi / 2, 0.0, 0.3, 60)],
)
def test_floor_depth_is_height_over_ray_down(
    height: float, pitch: float, roll: float, heading: float, fov: float
) -> None:
    camera = Camera.from_fov(160, 120, math.radians(fov))
    pose = camera_pose(20, 20, height, heading, pitch, roll)
    with SceneRenderer(scene_of(FLOOR), camera) as renderer:
        depth, things = renderer.truth(pose)
    rays_in_world = camera.rays().astype(np.float64) @ pose[:3, :3].T
    down = -rays_in_world[..., 2]
    expected = np.divide(height, down, out=np.full_like(down, np.inf), where=down > 0)
    near = expected < 10  # the floor ends 20 m away
    assert near.mean() > 0.3
    assert np.abs(depth / expected - 1)[near].max() < 1e-4
    assert (things == -1).all()


def test_depth_is_along_the_optical_axis_not_along_the_ray() -> None:
    wall = Part("box", (0.1, 10, 10), (23.1, 20, 0))
    camera = Camera.from_fov(160, 120, math.radians(90))
    with SceneRenderer(scene_of(wall), camera) as renderer:
        depth, _ = renderer.truth(camera_pose(20, 20, 1, 0, 0))
    assert np.allclose(depth, 3.0, rtol=1e-3)


def test_left_is_left_and_near_is_near() -> None:
    left = Part("sphere", (0.3, 0, 0), (22, 20.8, 0.5), thing=0)
    right = Part("box", (0.2, 0.2, 0.2), (24, 19, 0.5), thing=1)
    things = (Thing("ball", "red", 22, 20.8, 0.3, True), Thing("box", "blue", 24, 19, 0.3, True))
    camera = Camera.from_fov(160, 120, math.radians(80))
    with SceneRenderer(scene_of(FLOOR, left, right, things=things), camera) as renderer:
        depth, seen = renderer.truth(camera_pose(20, 20, 0.5, 0, 0))
    _, left_columns = np.nonzero(seen == 0)
    _, right_columns = np.nonzero(seen == 1)
    assert left_columns.max() < 80 < right_columns.min()
    assert depth[seen == 0].min() == pytest.approx(2.0 - 0.3, abs=0.05)
    assert depth[seen == 1].min() == pytest.approx(3.8, abs=0.01)


def test_renderer_refuses_a_camera_that_opengl_cannot_have() -> None:
    with pytest.raises(InputError, match="fx = fy"):
        SceneRenderer(scene_of(FLOOR), Camera(160, 120, 100, 90, 79.5, 59.5))


@pytest.mark.parametrize(("pitch", "expected"), [(0.0, 0.0), (0.2, -math.sin(0.2))])
def test_positive_pitch_looks_down(pitch: float, expected: float) -> None:
    forward = camera_pose(0, 0, 1, 0.7, pitch, 0.1)[:3, 2]
    assert forward[2] == pytest.approx(expected)


def test_positive_roll_turns_the_camera_clockwise() -> None:
    right = camera_pose(0, 0, 1, 0, 0, 0.1)[:3, 0]
    assert right[2] < 0  # its right side goes down
