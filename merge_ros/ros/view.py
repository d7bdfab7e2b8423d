"""The viewer: listens to a depth node and shows what it says with Rerun.

ros2 run merge_ros view --node /merge --record drive.rrd
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from merge_ros.errors import InputError, MergeError
from merge_ros.msg import DepthStatus
from merge_ros.ros.camera_info import camera_for_image, resolve
from merge_ros.ros.cloud_fields import read_points
from merge_ros.ros.conversions import image_to_array, image_to_rgb, stamp_nanoseconds
from merge_ros.ros.process import run_node
from merge_ros.ros.view_options import ViewOptions, add_view_options, view_options
from merge_ros.ros.view_scene import ViewScene

MOST_POINTS = 60_000  # of a cloud; more are thinned, as browsers have no more to give
WARN_PERIOD = 5.0  # seconds


class Viewer(Node):
    """Subscribes to a depth node's topics and hands them to the scene.

    Args:
        options: what to show, and where.

    Raises:
        MissingDependencyError: Rerun is not installed.
        ConfigurationError: a port is taken, or the recording cannot be written.
    """

    def __init__(self, options: ViewOptions) -> None:
        super().__init__("merge_view")
        self._scene = ViewScene(options, self.get_logger().info)
        self._warned = -WARN_PERIOD
        # Best effort hears publishers of either kind.
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        every = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)
        for kind, topic, show, qos in (
            (Image, options.image, self._show_image, newest),
            (CameraInfo, f"{options.node}/camera_info", self._show_info, newest),
            (Image, f"{options.node}/depth", self._show_depth, newest),
            (PointCloud2, f"{options.node}/points", self._show_points, newest),
            (DepthStatus, f"{options.node}/status", self._scene_status, every),
        ):
            self.create_subscription(kind, topic, self._guarded(topic, show), qos)
        self.get_logger().info(f"listening to {options.image} and {options.node}")

    def destroy_node(self) -> None:
        """Finish the recording too."""
        self._scene.close()
        super().destroy_node()

    def _guarded(self, topic: str, show: Callable[[Any], None]) -> Callable[[Any], None]:
        """Malformed messages are told of, and do not end the viewer."""

        def on_message(message: Any) -> None:
            self._scene.at(stamp_nanoseconds(message.header.stamp))
            try:
                show(message)
            except InputError as error:
                if time.monotonic() - self._warned >= WARN_PERIOD:
                    self._warned = time.monotonic()
                    self.get_logger().warning(f"{topic}: {error}")

        return on_message

    def _show_image(self, image: Image) -> None:
        self._scene.image(image_to_rgb(image))

    def _show_info(self, info: CameraInfo) -> None:
        resolved = resolve(info, info.header)
        self._scene.camera(camera_for_image(resolved, resolved.width, resolved.height))

    def _show_depth(self, depth: Image) -> None:
        metres = image_to_array(depth)
        self._scene.depth(metres * 0.001 if depth.encoding == "16UC1" else metres)

    def _show_points(self, cloud: PointCloud2) -> None:
        self._scene.points(*read_points(cloud, MOST_POINTS))

    def _scene_status(self, status: DepthStatus) -> None:
        self._scene.status(status)


def view(options: ViewOptions, arguments: Sequence[str] | None = None) -> int:
    """Show until a signal comes; returns the exit status of the process.

    Args:
        options: what to show, and where.
        arguments: of ROS.
    """
    return run_node(lambda: Viewer(options), arguments if arguments is not None else [])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the viewer as a process; returns its exit status."""
    given = list(sys.argv if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="view", description="Show what a depth node sees, live in Rerun.")
    add_view_options(parser)
    try:
        options = view_options(parser.parse_args(remove_ros_args(given)[1:]))
    except MergeError as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1
    return view(options, given)
