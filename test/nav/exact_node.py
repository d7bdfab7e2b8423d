"""The depth node with a model that makes no mistake: true depth under a random affine change per frame.

Everything else of the node is as it is. The camera of these tests sends pictures that hold the true depth in their
three bytes, and the stand-in for the model reads it there: every frame has its own depth, whatever the transport does.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

FARTHEST = 64.0  # metres that three bytes stand for: steps of 4 micrometres


def depth_to_picture(depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[height, width] metres, at most `FARTHEST`, to [height, width, 3] uint8."""
    steps = np.rint(np.clip(depth.astype(np.float64) / FARTHEST, 0, 1) * (2**24 - 1)).astype(np.uint32)
    return np.stack([steps >> 16, steps >> 8 & 255, steps & 255], -1).astype(np.uint8)


def picture_to_depth(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The inverse of `depth_to_picture`."""
    return picture.astype(np.float64) @ np.array([65536, 256, 1]) * (FARTHEST / (2**24 - 1))


class ExactDepth:
    """Takes the place of DepthEstimator."""

    description = "true depth under a random affine change in every frame"

    def __init__(self, settings: object) -> None:
        self._rng = np.random.default_rng(1)

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Relative depth in [0, 1], 0 near: the nearest pixel is at 0 or somewhat more, the farthest at 1 or less."""
        depth = picture_to_depth(rgb)
        near = depth.min() * self._rng.uniform(0.5, 1.0)
        far = depth.max() * self._rng.uniform(1.0, 1.5) + 0.01
        return ((depth - near) / (far - near)).astype(np.float32)

    def warm_up(self, width: int, height: int) -> None:
        """Nothing is slow the first time."""

    def close(self) -> None:
        """Nothing is held."""


if __name__ == "__main__":
    from merge_ros.ros import depth_node

    depth_node.DepthEstimator = ExactDepth  # type: ignore[assignment,misc]
    sys.exit(depth_node.main())
