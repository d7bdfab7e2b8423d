"""Cameras that are mounted turned or upside down: the picture upright for the network, the depth back again.

Networks learn upright pictures. Only inference sees the upright one: depth, intrinsics and frame stay the camera's.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import InputError

QUARTER = 90  # degrees
Pixel = TypeVar("Pixel", bound=np.generic)


def turned_upright(picture: NDArray[Pixel], rotation: int) -> NDArray[Pixel]:
    """A picture turned clockwise.

    Args:
        picture: [height, width, ...].
        rotation: degrees clockwise that make it upright: 0, 90, 180 or 270.

    Returns:
        [height, width, ...], or [width, height, ...] for 90 and 270; contiguous.

    Raises:
        InputError: another rotation.
    """
    return np.ascontiguousarray(np.rot90(picture, -_quarters(rotation)))


def turned_back(upright: NDArray[Pixel], rotation: int) -> NDArray[Pixel]:
    """The inverse of `turned_upright`, with its arguments and errors."""
    return np.ascontiguousarray(np.rot90(upright, _quarters(rotation)))


def _quarters(rotation: int) -> int:
    if rotation not in (0, 90, 180, 270):
        raise InputError(f"rotation={rotation} degrees; allowed: 0, 90, 180, 270")
    return rotation // QUARTER
