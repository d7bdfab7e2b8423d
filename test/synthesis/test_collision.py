"""Collision bodies: closed, convex, where the surface is, and nowhere else."""

import numpy as np
import pytest
import trimesh
from asset_scenes import BOX

from merge_ros.config import AssetSettings
from merge_ros.synthesis.asset import Asset, build_asset
from merge_ros.synthesis.collision import ConvexPiece
from merge_ros.synthesis.frame import transform
from merge_ros.synthesis.view import View


@pytest.fixture(scope="module")
def asset(room_view: View) -> Asset:
    return build_asset(room_view, AssetSettings(collision_pieces=60))


def meshes(pieces: tuple[ConvexPiece, ...]) -> list[trimesh.Trimesh]:
    return [trimesh.Trimesh(piece.vertices, piece.faces, process=False) for piece in pieces]


def holds(pieces: tuple[ConvexPiece, ...], points: np.ndarray) -> np.ndarray:
    """Whether points lie inside one of the pieces."""
    inside = np.zeros(len(points), bool)
    for mesh in meshes(pieces):
        beyond = np.einsum("fx,pfx->pf", mesh.face_normals, points[:, None] - mesh.triangles[:, 0])
        inside |= (beyond <= 1e-9).all(1)
    return inside


def test_every_piece_is_closed_and_convex(asset: Asset) -> None:
    assert 5 < len(asset.collision) <= 60
    for mesh in meshes(asset.collision):
        assert mesh.is_watertight
        assert mesh.volume > 0
        assert mesh.is_convex


def test_hollows_stay_open_and_solids_are_solid(asset: Asset) -> None:
    camera = asset.pose[:3, 3]
    below_camera = np.array([camera[0], camera[1], 0.0])
    before_the_box, above_it = [0.6, -0.05, 0.3], [1.4, -0.05, 0.7]
    assert not holds(asset.collision, below_camera + np.array([before_the_box, above_it])).any()
    inside = 0.02  # behind the surface
    front, lid, floor = [BOX[0][0] + inside, -0.05, 0.2], [1.4, -0.05, BOX[1][2] - inside], [0.9, 0.4, -inside]
    assert holds(asset.collision, below_camera + np.array([front, lid, floor])).all()


def test_the_body_covers_the_surface_without_gaps(asset: Asset) -> None:
    """Just behind every triangle of the picture's surface there is something to touch."""
    a, b, c = (asset.surface.points.reshape(-1, 3)[asset.surface.triangles[:, corner]] for corner in range(3))
    normals = np.cross(b - a, c - a)
    behind = (a + b + c) / 3 - 0.001 * normals / np.linalg.norm(normals, axis=1, keepdims=True)
    chosen = transform(asset.pose, behind)[np.random.default_rng(0).permutation(len(behind))[:300]]

    assert holds(asset.collision, chosen).mean() > 0.99


def test_one_hull(room_view: View) -> None:
    asset = build_asset(room_view, AssetSettings(part="subject", collision="hull"))
    (mesh,) = meshes(asset.collision)
    assert mesh.is_watertight
    assert mesh.extents == pytest.approx(asset.size, abs=0.06)


def test_none(room_view: View) -> None:
    assert build_asset(room_view, AssetSettings(collision="none")).collision == ()


def test_the_number_of_pieces_is_limited(room_view: View) -> None:
    few = build_asset(room_view, AssetSettings(collision_pieces=8, collision_tolerance=0.001)).collision
    assert len(few) <= 8 + 4, "a cut may give a few pieces at once"
