"""A fixed picture on which engines are compared with the fp32 network when they are loaded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def check_image(height: int, width: int) -> NDArray[np.uint8]:
    """A floor with a checker pattern, a wall and a box: [1, height, width, 3] uint8, the same at every call.

    Something that looks like a room, because a network's numerical faults show on what makes it work.
    """
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    picture = np.empty((height, width, 3))
    picture[:] = np.stack([0.7 - 0.2 * x, 0.6 + 0.1 * y, 0.5 + 0.2 * x], axis=-1)
    floor = y > 0.5
    depth = 0.5 / np.maximum(y - 0.45, 0.05)
    checker = (np.floor(2 * depth) + np.floor(4 * (x - 0.5) * depth)) % 2
    picture[floor] = (0.25 + 0.5 * checker[..., None] * np.array([1.0, 0.8, 0.6]))[floor]
    box = (abs(x - 0.65) < 0.12) & (abs(y - 0.6) < 0.15)
    picture[box] = [0.8, 0.15, 0.1]
    return np.asarray(np.rint(picture * 255), np.uint8)[None]
