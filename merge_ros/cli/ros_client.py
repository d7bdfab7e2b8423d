"""For verbs that listen to a running robot: the shipped transport, and plain words where ROS is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from merge_ros.demo.environment import TRANSPORT_PROFILE, installed_file
from merge_ros.errors import MissingDependencyError


@contextmanager
def ros_client(purpose: str) -> Iterator[None]:
    """Around the import of what needs rclpy, before anything of ROS is loaded.

    Args:
        purpose: what ROS is needed for, as the error says it.

    Raises:
        MissingDependencyError: rclpy is not installed.
    """
    # As the launch file does for the node: Fast DDS's defaults lose most large messages.
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(installed_file(TRANSPORT_PROFILE)))
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "rclpy":
            raise
        raise MissingDependencyError("rclpy", "ros", purpose) from error
