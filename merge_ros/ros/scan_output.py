"""The laser scan of the depth node, and the level frame that it lies in."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Header

from merge_ros.config import ScanSettings
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.rotation import quaternion
from merge_ros.geometry.scan import Scan, level_from_optical, scan_depth
from merge_ros.scale.mounting import Mounting

LEVEL = "_level"  # behind the camera's frame: the frame of the scan


class ScanOutput:
    """Publishes scans, and their frame on /tf when it is the node's own.

    Args:
        node: owns `publisher`, and gets a publisher on /tf where tf2_msgs is installed (every ROS installation has it,
            PyPI does not).
        publisher: of sensor_msgs/LaserScan.
    """

    def __init__(self, node: LifecycleNode, publisher: Any) -> None:
        self._node = node
        self._publisher = publisher
        self._told = ""
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            self._frames: Any = None
        else:
            self._message = TFMessage
            self._frames = node.create_publisher(TFMessage, "/tf", 100)

    def publish(
        self,
        depth: NDArray[np.float32],
        camera: Camera,
        header: Header,
        mounting: Mounting | None,
        settings: ScanSettings,
        near: float,
    ) -> None:
        """Publish the scan of a frame, if someone listens.

        Args:
            depth: [height, width] metres; NaN unknown, +inf too far.
            camera: of that size.
            header: of the image.
            mounting: where the camera was over the floor; None: not known.
            settings: what the scan shows.
            near: metres, the scan's least range.
        """
        if not self._publisher.get_subscription_count():
            return
        if mounting is None:
            self._tell("~/scan stays silent: it is cut out between two heights, and where the camera is is not known")
            return
        height, pitch, roll = mounting.height, mounting.pitch, mounting.roll
        band = (settings.scan_min_height, settings.scan_max_height)
        scan = scan_depth(depth, camera, height, pitch, roll, band, (near, settings.scan_range))
        frame = settings.scan_frame or header.frame_id + LEVEL
        if not settings.scan_frame:
            self._publish_frame(header, frame, pitch, roll)
        level = Header(stamp=header.stamp, frame_id=frame)
        self._publisher.publish(scan_to_message(scan, level, near, settings.scan_range))

    def destroy(self) -> None:
        """Take back the topic on /tf; the publisher of scans belongs to the caller."""
        if self._frames is not None:
            self._node.destroy_publisher(self._frames)
            self._frames = None

    def _publish_frame(self, header: Header, frame: str, pitch: float, roll: float) -> None:
        if self._frames is None:
            self._tell(
                f"tf2_msgs is not installed: publish the frame {frame} of ~/scan yourself (at the optical centre, "
                "level, x forward, z up), or set scan_frame to one that is there"
            )
            return
        transform = TransformStamped(header=header, child_frame_id=frame)
        turned = transform.transform.rotation
        # The child's axes in the parent: the inverse of level from optical.
        turned.x, turned.y, turned.z, turned.w = quaternion(level_from_optical(pitch, roll).T)
        self._frames.publish(self._message(transforms=[transform]))

    def _tell(self, words: str) -> None:
        """Warn, but not in every frame."""
        if words != self._told:
            self._told = words
            self._node.get_logger().warning(words)


def scan_to_message(scan: Scan, header: Header, near: float, reach: float) -> LaserScan:
    """A LaserScan message.

    Args:
        scan: the ranges.
        header: of the message; its frame is level.
        near, reach: metres, least and greatest range.
    """
    message = LaserScan(header=header, angle_min=scan.first_angle, angle_increment=scan.step)
    message.angle_max = scan.first_angle + scan.step * (len(scan.ranges) - 1)
    message.range_min, message.range_max = float(near), float(reach)
    message.ranges.frombytes(scan.ranges.data.cast("B"))
    return message
