"""The depth node with a model that makes no mistake: true depth under a random affine change in every frame.

Everything else of the node is as it is, so that a drive with it tests all but the model. Its camera sends the true
depth as pictures (`coded_depth`): the simulated robot does on camera/depth_coded.

    ros2 run merge_ros exact_depth_node --ros-args -r image:=/camera/depth_coded
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import EstimatorSettings
from merge_ros.demo.coded_depth import picture_to_depth
from merge_ros.ros.depth_node import DepthNode
from merge_ros.ros.process import run_node


class ExactDepth:
    """Takes the place of a DepthEstimator."""

    description = "true depth under a random affine change in every frame"

    def __init__(self) -> None:
        self._rng = np.random.default_rng(1)

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Relative depth in [0, 1], 0 near: the nearest pixel is at 0 or somewhat more, the farthest at 1 or less."""
        depth = picture_to_depth(rgb)
        near = depth.min() * self._rng.uniform(0.5, 1.0)
        far = depth.max() * self._rng.uniform(1.0, 1.5) + 0.01
        relative: NDArray[np.float32] = ((depth - near) / (far - near)).astype(np.float32)
        return relative

    def warm_up(self, width: int, height: int) -> None:
        """Nothing is slow the first time."""

    def close(self) -> None:
        """Nothing is held."""


class ExactDepthNode(DepthNode):
    """The depth node without a model."""

    def load(self, settings: EstimatorSettings) -> ExactDepth:
        """No settings matter to what does not err."""
        return ExactDepth()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node as a process; returns its exit status."""
    return run_node(ExactDepthNode, arguments)


if __name__ == "__main__":
    sys.exit(main())
