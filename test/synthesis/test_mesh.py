"""Meshes within their budget, with the picture in place on them."""

import asset_scenes
import numpy as np
import pytest

from merge_ros.config import AssetSettings
from merge_ros.geometry.camera import Camera
from merge_ros.synthesis.asset import Asset, build_asset
from merge_ros.synthesis.frame import transform
from merge_ros.synthesis.perspective import project, split_bent_edges
from merge_ros.synthesis.view import View


def seen(asset: Asset, points: np.ndarray) -> np.ndarray:
    """Pixels of points in the asset's frame."""
    return project(transform(np.linalg.inv(asset.pose), points), asset.view.camera)


def texels(asset: Asset, uv: np.ndarray) -> np.ndarray:
    height, width = asset.mesh.texture.shape[:2]
    return np.stack([uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5], 1)


@pytest.mark.parametrize("triangles", [100, 1000, 8000])
def test_the_budget_is_kept(room_view: View, triangles: int) -> None:
    asset = build_asset(room_view, AssetSettings(triangles=triangles, collision="none"))
    assert triangles * 0.2 < len(asset.mesh.faces) <= triangles


def test_texture_coordinates_are_where_the_camera_saw_the_vertices(room_view: View) -> None:
    asset = build_asset(room_view, AssetSettings(triangles=800, collision="none"))
    offset = texels(asset, asset.mesh.uv) - seen(asset, asset.mesh.vertices)
    assert np.ptp(offset, axis=0).max() < 1e-3, "the same shift for all: that of the texture's window"


def test_along_a_simplified_floor_the_picture_follows_the_perspective(room_view: View) -> None:
    """Everywhere inside the triangles, not only at their corners."""
    asset = build_asset(room_view, AssetSettings(triangles=800, collision="none"))
    mesh = asset.mesh
    shift = (texels(asset, mesh.uv) - seen(asset, mesh.vertices)).mean(0)
    weights = np.random.default_rng(0).dirichlet([1, 1, 1], len(mesh.faces))
    inside = np.einsum("fc,fcx->fx", weights, mesh.vertices[mesh.faces])
    uv = np.einsum("fc,fcx->fx", weights, mesh.uv[mesh.faces])
    off = np.linalg.norm(texels(asset, uv) - seen(asset, inside) - shift, axis=1)
    assert off.max() < 2.0, "pixels"


def test_splitting_keeps_the_shape_and_leaves_no_gap() -> None:
    camera = Camera.from_fov(200, 200, 1.2)
    floor = np.array([[-1.0, 0.5, 1.0], [1, 0.5, 1], [1, 0.5, 4], [-1, 0.5, 4]])
    points, faces = split_bent_edges(floor, np.array([[0, 1, 2], [0, 2, 3]]), camera)
    assert len(faces) > 10
    assert np.allclose(points[:, 1], 0.5)
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2 == pytest.approx(6.0)
    sides = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, uses = np.unique(sides, axis=0, return_counts=True)
    assert uses.max() == 2
    border, around = np.unique(sides, axis=0)[uses == 1], 0.0
    for start, end in points[border]:
        around += float(np.linalg.norm(end - start))
    assert around == pytest.approx(2 + 3 + 2 + 3), "no edge inside belongs to one triangle only"


def test_normals_are_those_of_the_surfaces(room_view: View) -> None:
    asset = build_asset(room_view, AssetSettings(triangles=2000, collision="none"))
    assert np.allclose(np.linalg.norm(asset.mesh.normals, axis=1), 1)
    level = asset.mesh.vertices[:, 2] < 1e-3
    upward = asset.mesh.normals[level, 2]
    assert np.quantile(upward, 0.2) > 0.99, "the floor looks up, but where it meets something"


def test_the_texture_shows_the_subject_and_nothing_of_what_is_behind(room_view: View) -> None:
    asset = build_asset(room_view, AssetSettings(part="subject", collision="none"))
    texture = asset.mesh.texture.reshape(-1, 3).astype(int)
    assert (texture[:, 0] > texture[:, 1] + 60).mean() > 0.97, "the box is red, floor and wall are not"


def test_a_large_picture_is_thinned_and_its_texture_scaled() -> None:
    rgb, depth = asset_scenes.room((640, 480))
    settings = AssetSettings(grid_pixels=20_000, texture_side=256, collision="none")
    asset = build_asset(View(rgb, depth, asset_scenes.camera(640, 480)), settings)
    assert asset.surface.stride == 4
    assert max(asset.mesh.texture.shape) == 256
    assert asset.size[1] > 2.0
