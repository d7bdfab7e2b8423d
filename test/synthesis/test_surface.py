"""Surfaces end where depth jumps, and nothing hangs in the air."""

import asset_scenes
import numpy as np
import pytest

from merge_ros.errors import InputError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import down_in_camera
from merge_ros.synthesis.plane import find_floor, find_wall
from merge_ros.synthesis.surface import Surface, cut_surface
from merge_ros.synthesis.view import View


def cut(view: View, *, with_floor: bool = True) -> Surface:
    known = view.known
    floor = find_floor(view.depth[known], view.camera.rays()[known], 0.02)[0] if with_floor else None
    return cut_surface(view, floor, grid_pixels=100_000, steepest=12.0, tolerance=0.02)


def test_no_triangle_spans_the_gap_between_box_and_wall(room_view: View) -> None:
    surface = cut(room_view)
    on_box = asset_scenes.is_box(room_view.depth).ravel()
    on_wall = ~on_box & ~surface.on_floor.ravel()
    assert on_wall.sum() > 1000
    corners = surface.triangles
    assert not (on_box[corners].any(1) & on_wall[corners].any(1)).any()
    assert surface.used.mean() > 0.97, "everything else stays"


def test_triangles_face_the_camera(room_view: View) -> None:
    surface = cut(room_view)
    a, b, c = (surface.points.reshape(-1, 3)[surface.triangles[:, corner]] for corner in range(3))
    assert ((np.cross(b - a, c - a) * a).sum(1) < 0).all()


def test_a_slanted_plane_has_no_holes() -> None:
    camera = Camera.from_fov(64, 48, 1.0)
    depth = 1 / (camera.rays() @ np.array([0.3, 0.2, 0.5]))
    surface = cut_surface(
        View(np.zeros((48, 64, 3), np.uint8), depth, camera), None, grid_pixels=10_000, steepest=12.0, tolerance=0.02
    )
    assert len(surface.triangles) == 2 * 63 * 47


def test_pixels_between_box_and_wall_are_dropped(room_view: View) -> None:
    """What a depth camera makes of an outline: pixels at depths where nothing is."""
    on_box = asset_scenes.is_box(room_view.depth)
    flying = on_box & ~np.roll(on_box, 1, axis=1)  # the leftmost column of the box ...
    flying[58:] = False  # ... before the wall
    assert flying.sum() > 10
    depth = np.where(flying, (room_view.depth + asset_scenes.WALL) / 2, room_view.depth)
    surface = cut(View(room_view.rgb, depth, room_view.camera))
    assert not (surface.used & flying).any()


def test_unknown_depth_leaves_a_hole(room_view: View) -> None:
    depth = room_view.depth.copy()
    depth[10:20, 30:50] = np.nan
    depth[30:35, 30:50] = 0.0
    surface = cut(View(room_view.rgb, depth, room_view.camera))
    assert not surface.used[10:20, 30:50].any()
    assert not surface.used[30:35, 30:50].any()
    assert surface.used[22, 40]


def test_a_far_floor_is_not_cut_though_it_is_seen_at_a_flat_angle() -> None:
    """20 camera heights away a row of pixels is steeper than the limit, but it is floor."""
    camera = Camera.from_fov(320, 240, 1.2)
    down = camera.rays()[..., 1]
    depth = np.where(down > 0.04, 0.5 / np.maximum(down, 0.04), np.nan).astype(np.float32)
    view = View(np.zeros((240, 320, 3), np.uint8), depth, camera)
    known = view.known
    floor, _ = find_floor(depth[known], camera.rays()[known], 0.02)
    settings = {"grid_pixels": 100_000, "steepest": 12.0, "tolerance": 0.02}
    assert cut_surface(view, floor, **settings).used[known].mean() > 0.99
    assert cut_surface(view, None, **settings).used[known].mean() < 0.95


def test_the_floor_is_found_in_noise_and_clutter(room_view: View) -> None:
    noise = np.random.default_rng(0).normal(1, 0.01, room_view.depth.shape)
    depth = (room_view.depth * noise).ravel()
    floor, share = find_floor(depth, room_view.camera.rays().reshape(-1, 3), 0.03)
    assert floor is not None
    assert share > 0.3
    assert floor.distance == pytest.approx(asset_scenes.CAMERA_HEIGHT, rel=0.01)
    down = floor.direction
    assert np.arctan2(down[2], down[1]) == pytest.approx(asset_scenes.PITCH, abs=0.01)


def test_a_ceiling_is_no_floor() -> None:
    camera = Camera.from_fov(64, 48, 1.2)
    up = -camera.rays()[..., 1]
    depth = np.where(up > 0.1, 1.5 / np.maximum(up, 0.1), 3.0)
    assert find_floor(depth[up > 0.1], camera.rays()[up > 0.1], 0.03) == (None, 0.0)


def test_the_wall_is_found_behind_the_box(room_view: View) -> None:
    down = down_in_camera(asset_scenes.PITCH, 0.0)
    wall, share = find_wall(room_view.depth.ravel(), room_view.camera.rays().reshape(-1, 3), down, 0.02)
    assert wall is not None
    assert share > 0.3
    assert wall.distance == pytest.approx(asset_scenes.WALL, rel=0.001)
    assert wall.direction @ down == pytest.approx(0, abs=1e-9)


def test_nothing_left_is_an_error() -> None:
    camera = Camera.from_fov(32, 32, 0.1)
    noise = np.random.default_rng(0).uniform(0.5, 5, (32, 32))
    with pytest.raises(InputError, match="too torn"):
        cut(View(np.zeros((32, 32, 3), np.uint8), noise, camera), with_floor=False)
