"""Depth as a picture: metres in the three bytes of a pixel, so that a frame and its truth cannot come apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FARTHEST = 64.0  # metres that three bytes stand for: steps of 4 micrometres


def depth_to_picture(depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[height, width] metres, at most `FARTHEST`, to [height, width, 3] uint8."""
    steps = np.rint(np.clip(depth.astype(np.float64) / FARTHEST, 0, 1) * (2**24 - 1)).astype(np.uint32)
    return np.stack([steps >> 16, steps >> 8 & 255, steps & 255], -1).astype(np.uint8)


def picture_to_depth(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The inverse of `depth_to_picture`."""
    metres: NDArray[np.float64] = picture.astype(np.float64) @ np.array([65536, 256, 1]) * (FARTHEST / (2**24 - 1))
    return metres
