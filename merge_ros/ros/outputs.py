"""The topics of the depth node: publishers, and messages made only where someone listens."""

from __future__ import annotations

from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image, LaserScan, PointCloud2
from std_msgs.msg import Header

from merge_ros.geometry.depth import to_millimetres
from merge_ros.msg import DepthStatus
from merge_ros.ros.cloud_output import CloudOutput
from merge_ros.ros.conversions import array_to_image
from merge_ros.ros.depth_pipeline import DepthResult
from merge_ros.ros.parameters import NodeSettings
from merge_ros.ros.scan_output import ScanOutput


def topic_qos(reliability: ReliabilityPolicy) -> dict[str, Any]:
    """Keyword arguments that make a topic keep only its newest message, with QoS that parameters may override."""
    return {
        "qos_profile": QoSProfile(depth=1, reliability=reliability),
        "qos_overriding_options": QoSOverridingOptions.with_default_policies(),
    }


class DepthOutputs:
    """Publishers of the depth node, silent until the node is active.

    Args:
        node: owns the publishers.

    Raises:
        RuntimeError: a QoS override is not a value of its policy.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._publishers: list[Any] = []
        self._scan: ScanOutput | None = None
        try:
            self._depth = self._create(Image, "~/depth")
            self._info = self._create(CameraInfo, "~/camera_info")
            self._cloud = CloudOutput(self._create(PointCloud2, "~/points"))
            self._scan = ScanOutput(node, self._create(LaserScan, "~/scan"))
            self._relative = self._create(Image, "~/depth_relative")
            self._status = self._create(DepthStatus, "~/status")
        except Exception:
            self.destroy()
            raise

    def publish(self, result: DepthResult, header: Header, settings: NodeSettings) -> None:
        """Publish a frame. Metric topics stay silent when the metric depth is not known.

        Args:
            result: of the frame.
            header: of the image, for every message.
            settings: that the frame was worked on with.
        """
        if result.metric is not None:
            depth, camera, info, mounting = result.metric
            if self._depth.get_subscription_count():
                millimetres = settings.output.depth_encoding == "16UC1"
                pixels = to_millimetres(depth) if millimetres else depth
                self._depth.publish(array_to_image(pixels, settings.output.depth_encoding, header))
            self._info.publish(info)
            self._cloud.publish(depth, result.rgb, camera, header, settings.cloud, settings.output.far)
            if self._scan is not None:
                self._scan.publish(depth, camera, header, mounting, settings.scan, settings.output.near)
        if self._relative.get_subscription_count():
            self._relative.publish(array_to_image(result.relative, "32FC1", header))

    def publish_status(self, status: DepthStatus) -> None:
        """Publish what became of a frame."""
        self._status.publish(status)

    def anyone_listens(self) -> bool:
        """Whether any of the topics has a subscriber."""
        return any(publisher.get_subscription_count() for publisher in self._publishers)

    def destroy(self) -> None:
        """Take the topics back."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()
        if self._scan is not None:
            self._scan.destroy()
            self._scan = None

    def _create(self, kind: Any, topic: str) -> Any:
        publisher = self._node.create_lifecycle_publisher(kind, topic, **topic_qos(ReliabilityPolicy.RELIABLE))
        self._publishers.append(publisher)
        return publisher
