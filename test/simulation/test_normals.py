"""Normals: exact on planes, right on a ball, and of unit length everywhere in a rendered room."""

import math

import numpy as np
import pytest

from merge_ros.errors import InputError
from merge_ros.geometry.camera import Camera
from merge_ros.simulation.normals import normals_from_depth
from merge_ros.simulation.poses import camera_pose

CAMERA = Camera.from_fov(160, 120, math.radians(75))


def plane_depth(normal: np.ndarray, distance: float) -> np.ndarray:
    return (-distance / (CAMERA.rays() @ normal)).astype(np.float32)


@pytest.mark.parametrize("normal", [(0, 0, -1), (0.3, 0.2, -1), (-0.6, 0.1, -0.9)])
def test_planes_are_exact(normal: tuple[float, float, float]) -> None:
    unit = np.array(normal, np.float32) / np.linalg.norm(normal)
    found = normals_from_depth(plane_depth(unit, 1.7), CAMERA)
    assert found.shape == (120, 160, 3)
    assert np.abs(found - unit).max() < 1e-3


def test_an_outline_does_not_mix_two_surfaces() -> None:
    left, right = np.array([0.5, 0.0, -1.0]) / math.hypot(0.5, 1), np.array([0.0, 0.0, -1.0])
    depth = np.where(np.arange(160) < 80, plane_depth(left, 1.0), plane_depth(right, 4.0)).astype(np.float32)
    found = normals_from_depth(depth, CAMERA)
    assert np.abs(found[:, :80] - left).max() < 1e-3
    assert np.abs(found[:, 80:] - right).max() < 1e-3


def test_rendered_floor_and_ball() -> None:
    pytest.importorskip("mujoco", reason="rendering needs the extra 'sim'")
    from merge_ros.simulation.renderer import SceneRenderer
    from merge_ros.simulation.scene import Light, Part, Scene, Thing

    lamp = Light((20, 20, 3), (0, 0, -1), (1, 1, 1), 80, shadow=False)
    parts = (Part("plane", (20, 20, 0), (20, 20, 0)), Part("sphere", (0.5, 0, 0), (22, 20, 0.5), thing=0))
    scene = Scene("hall", 40, 40, 3, parts, {}, (lamp,), 0.4, (Thing("ball", "red", 22, 20, 0.5, True),), "a hall")
    pose = camera_pose(20, 20, 1.0, 0, 0.3)
    with SceneRenderer(scene, CAMERA) as renderer:
        depth, things = renderer.truth(pose)
    world = normals_from_depth(depth, CAMERA) @ pose[:3, :3].T
    floor = (things < 0) & (depth < 8)
    up = world[..., 2][floor]
    assert floor.mean() > 0.3
    assert (up > 0.999).mean() > 0.97, "all but pixels at outlines"
    points = (CAMERA.rays() * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]
    outward = points - (22, 20, 0.5)
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    angle = np.degrees(np.arccos(np.clip(np.sum(world * outward, -1), -1, 1)))[things == 0]
    assert np.median(angle) < 6, "MuJoCo draws balls with facets of 12 degrees"


def test_impossible_depth_is_refused() -> None:
    with pytest.raises(InputError, match="of shape"):
        normals_from_depth(np.ones((3, 4), np.float32), CAMERA)
    with pytest.raises(InputError, match="positive"):
        normals_from_depth(np.zeros((120, 160), np.float32), CAMERA)
