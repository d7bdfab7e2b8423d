"""Which pixels of a picture are its subject: what stands on the floor and before the walls, away from the border."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import InputError
from merge_ros.synthesis.frame import LEVEL
from merge_ros.synthesis.plane import find_wall
from merge_ros.synthesis.surface import Surface

WALLS = 2  # seen at once: a corner
MIN_WALL_SHARE = 0.1  # of the pixels off the floor
BORDER_SHARE = 0.06  # of the left, upper and right border of the picture; a piece that covers more is background
SMALLEST_SUBJECT = 0.15  # of the largest piece; smaller ones are left-overs of the background


def find_subject(surface: Surface, tolerance: float) -> Surface:
    """The subject of a picture, without floor and background.

    1. The floor's pixels go. 2. Up to two walls are fitted to the rest: upright planes with nothing behind them, that
    reach along the left, upper or right border. What lies on or behind them goes. 3. Of the connected pieces that are
    left, those that reach along that border are background too. The others are the subject, small crumbs excepted.

    Args:
        surface: of the whole picture.
        tolerance: of the depth; so near to the floor or a wall a pixel belongs to it.

    Raises:
        InputError: nothing stands free; says what to do.
    """
    standing = surface.without_floor(tolerance)
    down = LEVEL if surface.floor is None else surface.floor.direction
    before = standing.used.copy()
    for _ in range(WALLS):
        wall, share = find_wall(standing.depth[before], standing.rays[before], down, tolerance)
        if wall is None or share * before.sum() < MIN_WALL_SHARE * standing.used.sum():
            break
        beyond = wall.beyond(standing.depth, standing.rays)
        if not _along_border(np.where(before & (np.abs(beyond) < tolerance), 0, -1)).size:
            break  # the front of a thing
        before &= beyond < -tolerance
    if before.any():
        free = standing.only(before)
        sizes = np.bincount(free.labels[free.labels >= 0].ravel())
        sizes[_along_border(free.labels)] = 0
        subject = np.flatnonzero(sizes > SMALLEST_SUBJECT * sizes.max())
        if subject.size:
            return free.only(np.isin(free.labels, subject))
    raise InputError(
        "nothing in the picture stands free of its border, floor and walls, so it has no subject; part 'scene' takes "
        "all of it"
    )


def _along_border(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pieces that cover more than `BORDER_SHARE` of the left, upper and right border."""
    border = np.concatenate([labels[:, 0], labels[0], labels[:, -1]])
    pieces, counts = np.unique(border[border >= 0], return_counts=True)
    return np.asarray(pieces[counts > BORDER_SHARE * border.size], np.int64)
