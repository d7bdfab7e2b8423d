"""What is measured: an image, and what is true about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DepthSample:
    """An image with its true depth.

    Args:
        image: [H, W, 3] uint8 RGB.
        depth: [h, w] float32 metres; not finite or <= 0 is unknown.
        mask: [h, w] bool, where the data set itself says that depth is good; None: it says nothing.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class NormalsSample:
    """An image with its true surface normals.

    Args:
        image: [H, W, 3] uint8 RGB.
        normals: [h, w, 3] float32 in the optical frame (x right, y down, z forward), facing the camera: a wall seen
            head on is (0, 0, -1). (0, 0, 0) and not finite is unknown.
    """

    image: NDArray[np.uint8]
    normals: NDArray[np.float32]


class DepthItem(Protocol):
    """One entry of a set with depth, read when it is its turn."""

    @property
    def name(self) -> str:
        """Unique in its set."""

    def read(self) -> DepthSample:
        """Read it.

        Raises:
            DatasetError: a file is missing or damaged; the message names it.
        """


class NormalsItem(Protocol):
    """One entry of a set with normals, read when it is its turn."""

    @property
    def name(self) -> str:
        """Unique in its set."""

    def read(self) -> NormalsSample:
        """Read it.

        Raises:
            DatasetError: a file is missing or damaged; the message names it.
        """
