"""An asset, and how it is built: reads as the algorithm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import AssetSettings
from merge_ros.errors import InputError
from merge_ros.synthesis.collision import ConvexPiece, collision_pieces
from merge_ros.synthesis.frame import LEVEL, asset_pose, transform
from merge_ros.synthesis.mesh import TexturedMesh, textured_mesh
from merge_ros.synthesis.plane import Plane, find_floor
from merge_ros.synthesis.subject import find_subject
from merge_ros.synthesis.surface import Surface, cut_surface
from merge_ros.synthesis.view import View

MIN_FLOOR_SHARE = 0.04  # of the known pixels
MEASURED, ESTIMATED = 0.02, 0.05  # of the depth: how far from a plane its pixels lie

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Asset:
    """A simulation asset in its own frame: Z up, metres, the origin in the middle of its base.

    Args:
        view: the picture and depth that it is made of, in the metres of the asset.
        surface: the pixels that became part of it.
        pose: [4, 4] asset from the optical frame of the source camera.
        mesh: what is seen.
        collision: what is touched; empty with collision "none".
        up_from: how "up" is known: "floor" or "level camera".
    """

    view: View
    surface: Surface
    pose: NDArray[np.float64]
    mesh: TexturedMesh
    collision: tuple[ConvexPiece, ...]
    up_from: str

    @property
    def size(self) -> NDArray[np.float64]:
        """Length, width and height (x, y, z) of what is seen, [3] metres."""
        return np.asarray(np.ptp(self.mesh.vertices, axis=0), np.float64)


def no_progress(stage: str) -> None:
    """Nobody wants to know."""


def build_asset(view: View, settings: AssetSettings, progress: Progress = no_progress) -> Asset:
    """Make an asset of a picture with depth.

    Args:
        view: the source.
        settings: what to make of it.
        progress: told the name of each stage before it starts ("cut", "subject", "mesh", "collision"); what it raises
            ends the work.

    Raises:
        InputError: nothing is left, or the picture has no subject.
        MissingDependencyError: the extra `assets` is not installed.
    """
    progress("cut")
    tolerance = settings.tolerance or (MEASURED if view.scale_source["rule"] == "as_measured" else ESTIMATED)
    floor = view.floor or _floor_of(view, tolerance)
    surface = cut_surface(
        view,
        floor,
        grid_pixels=settings.grid_pixels,
        steepest=settings.steepest,
        tolerance=tolerance,
    )
    if settings.part == "subject":
        progress("subject")
        surface = find_subject(surface, tolerance)
    elif settings.remove_ground:
        surface = surface.without_floor(tolerance)

    pose = _pose(surface, settings)
    surface = surface.scaled(_unit(surface, pose))
    pose = _pose(surface, settings)

    progress("mesh")
    mesh = textured_mesh(surface, pose, triangles=settings.triangles, texture_side=settings.texture_side)
    progress("collision")
    pieces = {"none": 0, "hull": 1, "pieces": settings.collision_pieces}[settings.collision]
    collision = (
        collision_pieces(
            surface,
            pose,
            pieces=pieces,
            tolerance=settings.collision_tolerance,
            thickness=settings.collision_thickness,
        )
        if pieces
        else ()
    )
    return Asset(surface.view, surface, pose, mesh, collision, "floor" if floor is not None else "level camera")


def _floor_of(view: View, tolerance: float) -> Plane | None:
    known = view.known
    floor, share = find_floor(view.depth[known], view.camera.rays()[known], tolerance)
    return floor if share >= MIN_FLOOR_SHARE else None


def _pose(surface: Surface, settings: AssetSettings) -> NDArray[np.float64]:
    """The base is the floor, where there is one that the asset stands on or holds, else the lowest point."""
    floor = surface.floor
    on_floor = bool(surface.rim.any()) or (settings.part == "scene" and not settings.remove_ground)
    return asset_pose(
        surface.points[surface.used],
        LEVEL if floor is None else floor.direction,
        floor.distance if floor is not None and on_floor else None,
    )


def _unit(surface: Surface, pose: NDArray[np.float64]) -> float:
    """Metres per unit of the surface's depth, by the rule of its view."""
    rule = surface.view.scale_source["rule"]
    if rule not in ("width", "height"):
        return 1.0
    extent = float(np.ptp(transform(pose, surface.points[surface.used])[:, {"width": 1, "height": 2}[rule]]))
    if not extent > 0:
        raise InputError(f"the asset has no {rule}: it is a line in the picture")
    return float(surface.view.scale_source["metres"]) / extent
