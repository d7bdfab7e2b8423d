"""The visible mesh: simplified to a budget, with the picture as its texture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import MissingDependencyError
from merge_ros.synthesis.frame import transform
from merge_ros.synthesis.perspective import project, split_bent_edges
from merge_ros.synthesis.surface import Surface

MARGIN = 2  # pixels of the picture kept around what the texture needs
# What is tried until the mesh fits its budget: whether borders stay as they are, and the share of the budget that the
# simplified mesh may take, before splitting edges adds triangles.
ATTEMPTS = ((True, 0.9), (True, 0.6), (True, 0.3), (False, 0.8), (False, 0.5), (False, 0.2))


@dataclass(frozen=True)
class TexturedMesh:
    """A mesh with one texture, in the asset's frame.

    Args:
        vertices: [n, 3] metres.
        faces: [m, 3] vertex indices, anticlockwise seen from outside.
        normals: [n, 3] unit vectors.
        uv: [n, 2] in [0, 1]: from the left and from the *bottom* of the texture (OBJ, USD).
        texture: [height, width, 3] uint8 RGB.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    normals: NDArray[np.float64]
    uv: NDArray[np.float64]
    texture: NDArray[np.uint8]


def textured_mesh(surface: Surface, pose: NDArray[np.float64], *, triangles: int, texture_side: int) -> TexturedMesh:
    """Cut, simplify, and lay the picture on it.

    A renderer interpolates texture coordinates along the surface, while the picture runs in perspective: on a floor of
    two triangles it would be bent by many pixels. So edges along which it would be bent by more than a pixel are split,
    and the simplifier leaves room for that in the budget.

    Args:
        surface: the pixels that hang together.
        pose: [4, 4] asset from optical.
        triangles: at most.
        texture_side: longest side of the texture in pixels.

    Raises:
        MissingDependencyError: the extra `assets` is not installed.
    """
    camera = surface.view.camera
    index = np.full(surface.depth.size, -1)
    index[surface.used.ravel()] = np.arange(np.count_nonzero(surface.used))
    points, faces = surface.points[surface.used], index[surface.triangles]
    for keep_border, share in ATTEMPTS:
        fewer_points, fewer_faces = simplify(points, faces, int(triangles * share), keep_border)
        if len(fewer_faces) > triangles:
            continue
        split_points, split_faces = split_bent_edges(fewer_points, fewer_faces, camera)
        if len(split_faces) <= triangles:
            break
    else:
        split_points, split_faces = fewer_points, fewer_faces  # a budget so small that only straightness can give way
    texture, window = texture_of(surface, texture_side)
    return TexturedMesh(
        transform(pose, split_points),
        split_faces,
        vertex_normals(split_points, split_faces) @ pose[:3, :3].T,
        texture_coordinates(project(split_points, camera), window),
        texture,
    )


def simplify(
    points: NDArray[np.float64], faces: NDArray[np.int64], triangles: int, keep_border: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Fewer triangles by edge collapses with the least quadric error (Garland and Heckbert 1997).

    Args:
        points: [n, 3].
        faces: [m, 3].
        triangles: wanted; what has no more stays as it is.
        keep_border: vertices on borders stay, even if more triangles are left then. Otherwise outlines fray, for
            moving a border within its plane costs nothing.

    Raises:
        MissingDependencyError: fast-simplification is not installed.
    """
    if len(faces) <= triangles:
        return points, faces
    try:
        import fast_simplification
    except ImportError as error:
        raise MissingDependencyError("fast-simplification", "assets", "simplifying meshes") from error
    # Its error thresholds are absolute: like sizes give like meshes.
    centre, size = points.mean(0), np.ptp(points, axis=0).max()
    fewer_points, fewer_faces = fast_simplification.simplify(
        ((points - centre) / size).astype(np.float32),
        faces.astype(np.int32),
        target_count=max(triangles, 4),
        preserve_border=keep_border,
    )
    return fewer_points.astype(np.float64) * size + centre, fewer_faces.astype(np.int64)


def vertex_normals(points: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unit normals of vertices, each the mean of its triangles weighed by their areas, [n, 3]."""
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    across = np.cross(b - a, c - a)
    total = np.stack(
        [np.bincount(faces.ravel(), np.repeat(across[:, axis], 3), len(points)) for axis in range(3)], axis=1
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.asarray(np.where(length > 0, total / np.maximum(length, 1e-300), [0.0, 0.0, 1.0]), np.float64)


@dataclass(frozen=True)
class Window:
    """The part of the picture that is the texture, in pixels."""

    left: int
    top: int
    width: int
    height: int


def texture_of(surface: Surface, longest_side: int) -> tuple[NDArray[np.uint8], Window]:
    """The part of the picture that the mesh shows, with its colours grown over what it does not show.

    Without that, the background would shine through at the outlines, where a renderer mixes neighbouring texels.

    Returns:
        [height, width, 3] uint8, and the window of the picture that it stands for.
    """
    rgb, stride = surface.view.rgb, surface.stride
    shown = np.zeros(rgb.shape[:2], bool)
    rows, columns = (axis * stride for axis in np.nonzero(surface.used))
    half = stride // 2
    for down in range(-half, half + 1):
        for right in range(-half, half + 1):
            shown[np.clip(rows + down, 0, len(rgb) - 1), np.clip(columns + right, 0, rgb.shape[1] - 1)] = True
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    left, top = max(columns[0] - MARGIN, 0), max(rows[0] - MARGIN, 0)
    right, bottom = min(columns[-1] + MARGIN + 1, rgb.shape[1]), min(rows[-1] + MARGIN + 1, rgb.shape[0])
    inside, colours = shown[top:bottom, left:right], rgb[top:bottom, left:right]
    _, nearest = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros((nearest.max() + 1, 3), np.uint8)
    of_label[nearest[inside]] = colours[inside]
    texture = np.ascontiguousarray(of_label[nearest])
    window = Window(int(left), int(top), int(right - left), int(bottom - top))
    longest = max(texture.shape[:2])
    if longest > longest_side:
        width, height = (max(round(side * longest_side / longest), 1) for side in (window.width, window.height))
        texture = np.asarray(cv2.resize(texture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return texture, window


def texture_coordinates(pixels: NDArray[np.float64], window: Window) -> NDArray[np.float64]:
    """Pixels [n, 2] (x, y; centres are whole numbers) as texture coordinates from the left and the bottom, [n, 2]."""
    across = (pixels[:, 0] + 0.5 - window.left) / window.width
    down = (pixels[:, 1] + 0.5 - window.top) / window.height
    return np.clip(np.stack([across, 1 - down], axis=1), 0.0, 1.0)
