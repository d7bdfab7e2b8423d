"""Vertices and the picture: where they are seen, and edges along which a texture would not follow the perspective."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from merge_ros.geometry.camera import Camera

BEND = 0.75  # pixels that the texture may be off in the middle of an edge
ROUNDS = 8


def project(points: NDArray[np.float64], camera: Camera) -> NDArray[np.float64]:
    """Pixels (x, y) at which points of the optical frame are seen, [n, 2]; all must lie before the camera."""
    x, y, z = points.T
    return np.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], axis=1)


def split_bent_edges(
    points: NDArray[np.float64], faces: NDArray[np.int64], camera: Camera
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Split every edge along which the texture would be off by more than `BEND` pixels, until there are none.

    The middle of an edge between depths z1 and z2 is seen at (z1 p1 + z2 p2) / (z1 + z2), p being pixels, and gets the
    texture of (p1 + p2) / 2: off by |p1 - p2| / 2 * |z1 - z2| / (z1 + z2). New vertices lie on the old edges, at the
    point seen half way, so the shape stays as it was.

    Args:
        points: [n, 3] in the optical frame.
        faces: [m, 3].
        camera: of the picture.

    Returns:
        The same surface with more vertices and triangles.
    """
    for _ in range(ROUNDS):
        sides = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]], axis=2)  # [m, 3, 2]
        edges, side_edge = np.unique(sides.reshape(-1, 2), axis=0, return_inverse=True)
        side_edge = side_edge.reshape(-1, 3)
        first, second = points[edges[:, 0]], points[edges[:, 1]]
        apart = np.linalg.norm(project(first, camera) - project(second, camera), axis=1)
        near, far = first[:, 2], second[:, 2]
        bent = apart / 2 * np.abs(near - far) / (near + far) > BEND
        if not bent.any():
            break
        share = (near / (near + far))[bent, None]  # of the way from the first to the second, seen half way
        middle = np.full(len(edges), -1)
        middle[bent] = len(points) + np.arange(np.count_nonzero(bent))
        points = np.concatenate([points, first[bent] + share * (second - first)[bent]])
        faces = _split(faces, middle[side_edge])
    return points, faces


def _split(faces: NDArray[np.int64], middle: NDArray[np.int64]) -> NDArray[np.int64]:
    """Triangles cut at the new vertices on their sides (a-b, b-c, c-a; -1 for none), without gaps between them."""
    cuts = (middle >= 0).sum(1)
    parts = [faces[cuts == 0]]
    # Turned so that the cut sides come first, or, with two cuts, so that the whole side comes last.
    for count in (1, 2, 3):
        chosen, new = faces[cuts == count], middle[cuts == count]
        turn = np.argmax(new >= 0, axis=1) if count == 1 else (np.argmin(new >= 0, axis=1) + 1) % 3
        order = (turn[:, None] + np.arange(3)) % 3
        a, b, c = np.take_along_axis(chosen, order, 1).T
        ab, bc, ca = np.take_along_axis(new, order, 1).T
        if count == 1:
            triangles = [(a, ab, c), (ab, b, c)]
        elif count == 2:
            triangles = [(ab, b, bc), (a, ab, bc), (a, bc, c)]
        else:
            triangles = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        parts += [np.stack(corners, axis=1) for corners in triangles]
    return np.concatenate(parts)
