"""Flying pixels: depth between a thing and what is behind it, where nothing is, from edges that a network blurs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import InputError

REACH = 1 / 64  # of the wider side: edges blurred over up to twice this are found
SIDE = 0.2  # of the step, within which a pixel belongs to the surface on one side of it


def remove_flying_pixels(depth: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    """Depth without the pixels that lie between the two sides of a depth edge.

    The inverse depth of a plane is an affine function of the pixel (the plane's equation, divided by the depth). So
    along a row or a column, what lies `REACH` to either side is continued as a plane up to the pixel: the two agree on
    planes however steep - a floor up to its horizon - and at corners where two planes meet, and differ by the step at a
    depth edge. A pixel there flies if it lies on neither. An edge that is sharp loses nothing.

    Args:
        depth: [height, width] metres; NaN unknown, +inf farther than can be said (inverse depth 0).
        step: smallest step that counts as an edge, relative to the inverse depth of the nearer side, in (0, 1): 0.1
            finds a thing at 1 m before a wall at 1.11 m.

    Returns:
        [height, width], a copy: NaN where a pixel flies, else as it was.

    Raises:
        InputError: not two-dimensional, or the step is outside (0, 1).
    """
    if depth.ndim != 2:
        raise InputError(f"depth has shape {depth.shape}; needed: [height, width]")
    if not 0 < step < 1:
        raise InputError(f"step={step} must lie between 0 and 1")
    reach = max(2, round(max(depth.shape) * REACH))
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.float32(1) / depth
        flying = _flying_in_rows(inverse, reach, step) | _flying_in_rows(inverse.T, reach, step).T
    return np.where(flying, np.float32(np.nan), depth)


def _flying_in_rows(inverse: NDArray[np.float32], reach: int, step: float) -> NDArray[np.bool_]:
    width = inverse.shape[1]
    # Planes go on past the border.
    padded = np.pad(inverse, ((0, 0), (2 * reach, 2 * reach)), mode="reflect", reflect_type="odd")

    def beside(offset: int) -> NDArray[np.float32]:
        start = 2 * reach + offset
        return padded[:, start : start + width]

    left, right = 2 * beside(-reach) - beside(-2 * reach), 2 * beside(reach) - beside(2 * reach)
    high = np.abs(left - right)
    edge = high > step * np.maximum(beside(-reach), beside(reach))  # false where anything is NaN
    off = np.minimum(np.abs(inverse - left), np.abs(inverse - right))
    return np.asarray(edge & (off > SIDE * high))
