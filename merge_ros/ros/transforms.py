"""TF, where tf2_ros is installed."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.time import Time

from merge_ros.errors import MissingDependencyError, ScaleError
from merge_ros.scale.transforms import matrix

OLDEST = 1.0  # seconds that the newest transform may be away from the time that was asked for


class MissingTfError(MissingDependencyError):
    """tf2_ros is not installed."""

    def __init__(self) -> None:
        ImportError.__init__(
            self,
            "camera_mounting or reference_pose 'tf' needs the Python package tf2_ros, which is not installed: it is "
            "not on PyPI, and comes with ROS (apt-get install ros-jazzy-tf2-ros-py). Or use 'parameters'",
        )


def require_tf() -> None:
    """Raises MissingTfError where tf2_ros is not installed."""
    if importlib.util.find_spec("tf2_ros") is None:
        raise MissingTfError


class TfTransforms:
    """Listens to /tf and /tf_static.

    Args:
        node: gets the subscriptions.

    Raises:
        MissingTfError: tf2_ros is not installed.
    """

    def __init__(self, node: Node) -> None:
        require_tf()
        import tf2_ros

        self._tf2: Any = tf2_ros
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def lookup(self, target: str, source: str, stamp: float) -> NDArray[np.float64]:
        """See `merge_ros.scale.Transforms`."""
        if not target or not source:
            raise ScaleError(f"TF needs frame ids; it was asked for the pose of {source!r} in {target!r}")
        try:
            try:
                found = self._buffer.lookup_transform(target, source, Time(nanoseconds=max(round(stamp * 1e9), 0)))
            except self._tf2.ExtrapolationException:  # usually by milliseconds into the future
                found = self._buffer.lookup_transform(target, source, Time())
                newest = Time.from_msg(found.header.stamp).nanoseconds * 1e-9
                if newest and abs(newest - stamp) > OLDEST:
                    raise ScaleError(
                        f"TF knows the pose of {source} in {target} only {abs(newest - stamp):.1f} s from the image"
                    ) from None
        except self._tf2.TransformException as error:
            raise ScaleError(f"TF does not know the pose of {source} in {target}: {error}") from error
        moved, turned = found.transform.translation, found.transform.rotation
        return matrix(moved.x, moved.y, moved.z, turned.x, turned.y, turned.z, turned.w)

    def close(self) -> None:
        """Listen no more."""
        self._listener.unregister()
