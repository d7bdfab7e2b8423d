"""Depth maps: the valid range of REP 118, and colours for people."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import InputError

# 17 evenly spaced colours of the Turbo colour map (A. Mikhailov, Google, 2019), blue to red.
_TURBO = np.array(
    [
        *((48, 18, 59), (64, 64, 162), (70, 107, 227), (66, 147, 255), (40, 187, 236), (24, 220, 195)),
        *((49, 242, 153), (107, 254, 100), (162, 252, 60), (204, 237, 52), (237, 208, 58), (253, 173, 53)),
        *((251, 128, 34), (236, 82, 15), (210, 49, 5), (172, 23, 1), (122, 4, 3)),
    ],
    np.float64,
)
UNKNOWN_COLOUR = (0, 0, 0)
Pixel = TypeVar("Pixel", bound=np.generic)


def clip_range(depth: NDArray[np.float32], near: float, far: float) -> NDArray[np.float32]:
    """Depth with only valid values: nearer than `near` becomes NaN, farther than `far` +inf (REP 118).

    Args:
        depth: metres, any shape; NaN stays NaN.
        near, far: metres, near < far.

    Raises:
        InputError: near is not below far.
    """
    if not near < far:
        raise InputError(f"near={near} m must be smaller than far={far} m")
    clipped = np.where(depth > np.float32(far), np.float32(np.inf), depth)
    clipped[depth < np.float32(near)] = np.nan
    return clipped.astype(np.float32, copy=False)


def to_millimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Depth as 16UC1 images have it: millimetres, 0 unknown (REP 118), which has no word for "too far" either.

    Args:
        depth: metres, any shape; NaN unknown, +inf too far.

    Returns:
        The same shape; 0 also for what is below 0.5 mm, and for what is farther than 65.535 m.
    """
    millimetres = np.rint(depth * np.float32(1000))
    known = (millimetres > 0) & (millimetres <= np.iinfo(np.uint16).max)  # false for NaN
    return np.where(known, millimetres, 0).astype(np.uint16)


def resampled(picture: NDArray[Pixel], width: int, height: int) -> NDArray[Pixel]:
    """A picture in another size: each pixel is the one of the picture that it lies nearest to.

    Nothing is averaged, so no depth arises between a thing and what is behind it. Pixel u lies at u * old / new in the
    picture, as `Camera.resized` has it.

    Args:
        picture: [old height, old width, ...].
        width, height: wanted, >= 1.

    Raises:
        InputError: a side below 1.
    """
    if width < 1 or height < 1:
        raise InputError(f"cannot resample to {width}x{height}: both sides must be at least 1 pixel")
    old_height, old_width = picture.shape[:2]
    if (width, height) == (old_width, old_height):
        return picture
    rows = np.minimum(np.rint(np.arange(height) * (old_height / height)), old_height - 1).astype(np.intp)
    columns = np.minimum(np.rint(np.arange(width) * (old_width / width)), old_width - 1).astype(np.intp)
    return np.ascontiguousarray(picture[rows[:, None], columns])


def colourise(depth: NDArray[np.floating], near: float, far: float) -> NDArray[np.uint8]:
    """Depth in colours from red (near) to blue (far); unknown (NaN) is black.

    Args:
        depth: [height, width], any unit; +inf takes the colour of `far`.
        near, far: the depths at the ends of the colour map; values outside take the colour of the end.

    Returns:
        [height, width, 3] uint8 RGB.

    Raises:
        InputError: near is not below far.
    """
    if not near < far:
        raise InputError(f"near={near} must be smaller than far={far}")
    known = ~np.isnan(depth)
    position = np.clip((far - np.where(known, depth, far)) / (far - near), 0, 1)
    table = _turbo_table()
    colours = table[np.rint(position * (len(table) - 1)).astype(np.intp)]
    colours[~known] = UNKNOWN_COLOUR
    return colours


def _turbo_table() -> NDArray[np.uint8]:
    steps = np.linspace(0, len(_TURBO) - 1, 256)
    channels = [np.interp(steps, np.arange(len(_TURBO)), _TURBO[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, 1)).astype(np.uint8)
