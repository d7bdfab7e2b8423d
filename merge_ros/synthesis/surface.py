"""From a depth map to pieces of surface: which neighbouring pixels hang together, and which hang in the air."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import InputError
from merge_ros.synthesis.components import components
from merge_ros.synthesis.plane import Plane
from merge_ros.synthesis.view import View

SMALLEST_PIECE = 0.0005  # of the pixels; smaller pieces are flying pixels
LOW = 3.0  # tolerances above the floor: what ends there stood on it


@dataclass(frozen=True)
class Surface:
    """Pixels of a view as the vertices of a mesh, and the triangles between them.

    Args:
        view: where it comes from.
        stride: every stride-th pixel of every stride-th row is a vertex.
        depth: [rows, columns] metres of these pixels; NaN unknown.
        rays: [rows, columns, 3].
        on_floor: [rows, columns] bool: pixels on the floor's plane; all false when there is no floor.
        floor: its plane.
        steepest: tangent of the largest angle between a normal and its ray, but on the floor.
        keep: [rows, columns] bool: pixels that may be part of a triangle.
        rim: [rows, columns] bool: pixels that stood on floor which is not part of the surface any more; their points
            are put down on the floor, so that what is left stands as it stood.
    """

    view: View
    stride: int
    depth: NDArray[np.float64]
    rays: NDArray[np.float64]
    on_floor: NDArray[np.bool_]
    floor: Plane | None
    steepest: float
    keep: NDArray[np.bool_]
    rim: NDArray[np.bool_]

    @cached_property
    def triangles(self) -> NDArray[np.int64]:
        """[n, 3] indices into the flattened pixels, anticlockwise as the camera sees them."""
        return _triangulate(self._joined(0), self._joined(1), self.keep, np.log(self.depth))

    @cached_property
    def used(self) -> NDArray[np.bool_]:
        """[rows, columns]: pixels that are a corner of a triangle."""
        used = np.zeros(self.depth.size, bool)
        used[self.triangles] = True
        return used.reshape(self.depth.shape)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """[rows, columns]: number of the connected piece that a pixel belongs to, from 0; -1 for pixels in none."""
        labels = components(self.triangles, self.depth.size)
        labels[~self.used.ravel()] = -1
        _, consecutive = np.unique(labels, return_inverse=True)
        return consecutive.reshape(self.depth.shape) - (1 if (labels == -1).any() else 0)

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """[rows, columns, 3] metres in the optical frame; NaN unknown."""
        points = self.depth[..., None] * self.rays
        if self.floor is not None:
            above = -self.floor.beyond(self.depth, self.rays)[self.rim] * self.floor.distance
            points[self.rim] += above[:, None] * self.floor.direction
        return np.asarray(points, np.float64)

    def only(self, keep: NDArray[np.bool_]) -> Surface:
        """What is left when only these pixels may stay, without the crumbs.

        Args:
            keep: [rows, columns] bool.

        Raises:
            InputError: nothing is left.
        """
        rest = replace(self, keep=self.keep & keep)
        sizes = np.bincount(rest.labels[rest.labels >= 0].ravel())
        large = np.flatnonzero(sizes >= max(4.0, SMALLEST_PIECE * rest.depth.size))
        if not large.size:
            raise InputError(
                "nothing is left of the picture's surface: its depth is too torn, or all of it was removed"
            )
        return replace(rest, keep=rest.keep & np.isin(rest.labels, large))

    def without_floor(self, tolerance: float) -> Surface:
        """What stands on the floor, down to the floor itself.

        Args:
            tolerance: of the depth, with which the floor was found: so much of what stands was taken for floor.

        Raises:
            InputError: nothing is left.
        """
        if self.floor is None:
            return self
        rest = self.only(~self.on_floor)
        beside = self.on_floor.copy()
        beside[:-1] |= self.on_floor[1:]
        beside[:, :-1] |= self.on_floor[:, 1:]
        beside[:, 1:] |= self.on_floor[:, :-1]
        low = self.floor.beyond(self.depth, self.rays) > -LOW * tolerance
        return replace(rest, rim=rest.used & beside & low)

    def scaled(self, factor: float) -> Surface:
        """Everything `factor` times as far and as large."""
        floor = self.floor.scaled(factor) if self.floor is not None else None
        return replace(self, view=self.view.scaled(factor), depth=self.depth * factor, floor=floor)

    def _joined(self, axis: int) -> NDArray[np.bool_]:
        """Whether each pixel and the next one along the axis lie on one surface."""
        camera = self.view.camera
        focal = (camera.fy, camera.fx)[axis]
        # Along a row, tan(angle of normal and ray) = d(ln z) / d(angle), and a pixel is 1 / focal of angle.
        slope = np.abs(np.diff(np.log(self.depth), axis=axis)) * focal / self.stride
        flat = slope <= self.steepest  # false for NaN
        first = np.take(self.on_floor, range(self.on_floor.shape[axis] - 1), axis)
        second = np.take(self.on_floor, range(1, self.on_floor.shape[axis]), axis)
        return np.asarray(flat | (first & second))


def cut_surface(view: View, floor: Plane | None, *, grid_pixels: int, steepest: float, tolerance: float) -> Surface:
    """Cut a view's depth where it jumps, and drop pixels that hang in the air between two things.

    Args:
        view: the picture with depth.
        floor: its floor, or None.
        grid_pixels: about so many pixels are taken at most.
        steepest: see `Surface`.
        tolerance: of the depth; so near to the floor's plane a pixel is floor.

    Raises:
        InputError: nothing is left.
    """
    stride = int(np.ceil(np.sqrt(view.depth.size / grid_pixels))) if view.depth.size > grid_pixels else 1
    depth = np.where(view.known, view.depth, np.nan)[::stride, ::stride].astype(np.float64)
    rays = view.camera.rays()[::stride, ::stride].astype(np.float64)
    on_floor = np.zeros(depth.shape, bool)
    if floor is not None:
        on_floor = np.abs(floor.beyond(depth, rays)) < tolerance  # false for NaN
    surface = Surface(view, stride, depth, rays, on_floor, floor, steepest, np.isfinite(depth), np.zeros_like(on_floor))
    return surface.only(surface.keep)


def _triangulate(
    joined_down: NDArray[np.bool_],
    joined_right: NDArray[np.bool_],
    keep: NDArray[np.bool_],
    log_depth: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Two triangles for each square of pixels whose sides hang together, one where a corner does not."""
    rows, columns = keep.shape
    index = np.arange(rows * columns).reshape(rows, columns)
    down = joined_down & keep[:-1] & keep[1:]
    right = joined_right & keep[:, :-1] & keep[:, 1:]
    left_side, right_side, top, bottom = down[:, :-1], down[:, 1:], right[:-1], right[1:]
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]  # a b above c d

    # Both ways to cut a square; the one that gives more triangles wins, then the one along which depth changes less.
    rising = (left_side & top, bottom & right_side)  # along b-c
    falling = (left_side & bottom, top & right_side)  # along a-d
    z_a, z_b, z_c, z_d = log_depth[:-1, :-1], log_depth[:-1, 1:], log_depth[1:, :-1], log_depth[1:, 1:]
    more = rising[0].astype(int) + rising[1] - falling[0] - falling[1]
    smoother = np.abs(z_b - z_c) <= np.abs(z_a - z_d)
    use_rising = (more > 0) | ((more == 0) & smoother)
    corners = (
        (rising[0] & use_rising, (a, c, b)),
        (rising[1] & use_rising, (b, c, d)),
        (falling[0] & ~use_rising, (a, c, d)),
        (falling[1] & ~use_rising, (a, d, b)),
    )
    return np.concatenate([np.stack([corner[there] for corner in three], 1) for there, three in corners])
