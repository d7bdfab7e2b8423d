"""The collision body: the surface cut into convex pieces that are each closed, so that hollows stay hollow.

A simulator takes one mesh for its convex hull: a room would be solid. So the picture is cut into rectangles until the
surface in each is nearly flat; the hull of that and of the same points a little behind is one piece. Neighbours share
their border, so nothing falls between them.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.synthesis.components import load_scipy
from merge_ros.synthesis.frame import transform
from merge_ros.synthesis.surface import Surface

AROUND = 16  # directions in which the outline of a piece is kept
FILLED = 0.75  # of the hull of a piece's outline in the picture that must be surface
SMALLEST = 2  # squares of pixels along each side of a piece


_ANGLES = np.arange(AROUND) * (2 * np.pi / AROUND)
# Within the picture, and tilted out of it to both sides.
_DIRECTIONS = np.array([(np.cos(angle), np.sin(angle), tilt) for tilt in (-1, 0, 1) for angle in _ANGLES])


@dataclass(frozen=True)
class ConvexPiece:
    """A closed convex mesh in the asset's frame: [n, 3] metres, [m, 3] vertex indices, anticlockwise from outside."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


@dataclass(frozen=True, order=True)
class _Patch:
    """Squares of pixels of one rectangle of the picture, that hang together."""

    urgency: float  # negative: the worst comes first out of the heap
    number: int
    top: int
    left: int
    squares: NDArray[np.bool_]


def collision_pieces(
    surface: Surface, pose: NDArray[np.float64], *, pieces: int, tolerance: float, thickness: float
) -> tuple[ConvexPiece, ...]:
    """Cut a surface into convex pieces.

    Args:
        surface: of the asset.
        pose: [4, 4] asset from optical.
        pieces: at most about so many; 1 gives one hull of everything.
        tolerance: of the depth; a piece is cut again while its surface is less flat.
        thickness: metres that pieces reach behind the surface.

    Raises:
        MissingDependencyError: SciPy is not installed.
    """
    numbers = itertools.count()
    squares = _squares(surface)
    if pieces == 1:
        piece = _hull(surface, pose, _Patch(0.0, 0, 0, 0, squares), thickness)
        return (piece,) if piece is not None else ()
    heap = list(_patches(surface, 0, 0, squares, tolerance, numbers))
    heapq.heapify(heap)
    while len(heap) < pieces and heap and heap[0].urgency < 0:
        patch = heapq.heappop(heap)
        for part in _halves(surface, patch, tolerance, numbers):
            heapq.heappush(heap, part)
    hulls = (_hull(surface, pose, patch, thickness) for patch in sorted(heap, key=lambda patch: patch.number))
    return tuple(hull for hull in hulls if hull is not None)


def _squares(surface: Surface) -> NDArray[np.bool_]:
    """[rows - 1, columns - 1]: squares between four pixels that hold a triangle."""
    columns = surface.depth.shape[1]
    row, column = (surface.triangles // columns).min(1), (surface.triangles % columns).min(1)
    squares = np.zeros((surface.depth.shape[0] - 1, columns - 1), bool)
    squares[row, column] = True
    return squares


def _patches(
    surface: Surface, top: int, left: int, squares: NDArray[np.bool_], tolerance: float, numbers: itertools.count[int]
) -> list[_Patch]:
    """The connected parts of a rectangle, each with how urgently it should be cut."""
    labels, count = load_scipy().ndimage.label(squares)
    found = []
    for label in range(1, count + 1):
        part = labels == label
        rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
        part = part[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        row, column = top + int(rows[0]), left + int(columns[0])
        urgency = _urgency(surface, row, column, part, tolerance)
        found.append(_Patch(-urgency, next(numbers), row, column, part))
    return found


def _halves(surface: Surface, patch: _Patch, tolerance: float, numbers: itertools.count[int]) -> list[_Patch]:
    rows, columns = patch.squares.shape
    if rows >= columns:
        cut = rows // 2
        parts = [(0, 0, patch.squares[:cut]), (cut, 0, patch.squares[cut:])]
    else:
        cut = columns // 2
        parts = [(0, 0, patch.squares[:, :cut]), (0, cut, patch.squares[:, cut:])]
    return [
        found
        for down, right, squares in parts
        for found in _patches(surface, patch.top + down, patch.left + right, squares, tolerance, numbers)
    ]


def _urgency(surface: Surface, top: int, left: int, squares: NDArray[np.bool_], tolerance: float) -> float:
    """How much a patch gains by being cut: its pixels times how bad it is; 0 when it is good, or too small."""
    if max(squares.shape) < 2 * SMALLEST:
        return 0.0
    rows, columns = _corners(top, left, squares)
    z, rays = surface.depth[rows, columns], surface.rays[rows, columns]
    scaled = rays * z[:, None]
    p = np.linalg.lstsq(scaled, np.ones(len(z)), rcond=None)[0]
    bent = float(np.quantile(np.abs(scaled @ p - 1), 0.95)) / tolerance
    outline = cv2.convexHull(np.stack([columns, rows], 1).astype(np.int32))
    hollow = (1 - squares.sum() / max(cv2.contourArea(outline), 1.0)) / (1 - FILLED)
    badness = max(bent, hollow)
    return badness * len(z) if badness > 1 else 0.0


def _corners(top: int, left: int, squares: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the pixels around a patch's squares."""
    around = np.zeros((squares.shape[0] + 1, squares.shape[1] + 1), bool)
    for down in (0, 1):
        for right in (0, 1):
            around[down : squares.shape[0] + down, right : squares.shape[1] + right] |= squares
    rows, columns = np.nonzero(around)
    return rows + top, columns + left


def _hull(surface: Surface, pose: NDArray[np.float64], patch: _Patch, thickness: float) -> ConvexPiece | None:
    """The hull of a patch and of the same points behind it; None for a patch without area."""
    spatial = load_scipy().spatial
    rows, columns = _corners(patch.top, patch.left, patch.squares)
    there = np.isfinite(surface.depth[rows, columns]) & surface.used[rows, columns]
    rows, columns = rows[there], columns[there]
    front = surface.points[rows, columns]
    normal = _facing(front)
    # Corners of the outline as it is seen, and what lies farthest before and behind: few points, nearly the same hull.
    place = np.stack([columns, rows, front @ normal], axis=1).astype(np.float64)
    place /= np.maximum(np.ptp(place, axis=0), 1e-9)
    front = front[np.unique(np.argmax(place @ _DIRECTIONS.T, axis=0))]
    points = transform(pose, np.concatenate([front, front - thickness * normal]))
    try:
        hull = spatial.ConvexHull(points)
    except spatial.QhullError:  # all in one line: nothing that could be touched
        return None
    vertices = points[hull.vertices]
    index = np.full(len(points), -1)
    index[hull.vertices] = np.arange(len(hull.vertices))
    faces = index[hull.simplices]
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    inward = (np.cross(b - a, c - a) * (a - vertices.mean(0))).sum(1) < 0
    faces[inward] = faces[inward][:, ::-1]
    return ConvexPiece(vertices, faces.astype(np.int64))


def _facing(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit normal of points in the optical frame, towards the camera."""
    _, _, axes = np.linalg.svd(points - points.mean(0), full_matrices=False)
    normal = axes[-1]
    return np.asarray(-normal if normal @ points.mean(0) > 0 else normal, np.float64)
