"""What the node hears of its camera: images, raw or compressed, and their info from a topic or a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from merge_ros.config import CameraSettings
from merge_ros.ros.calibration_file import read_calibration
from merge_ros.ros.outputs import topic_qos

COMPRESSED = "/compressed"  # behind the image topic, as image_transport has it


def image_topic(node: Node, settings: CameraSettings) -> str:
    """The full name of the topic that the images come from."""
    topic: str = node.resolve_topic_name("image")
    return topic + COMPRESSED if settings.image_transport == "compressed" else topic


class CameraInputs:
    """Subscriptions to a camera.

    Args:
        node: gets the subscriptions.
        settings: which topics, or which file.
        on_image: called with each image.
        on_info: called with each camera info; at once with that of the file, where there is one.

    Raises:
        CalibrationError: the file is not there any more, or spoilt.
    """

    def __init__(
        self,
        node: Node,
        settings: CameraSettings,
        on_image: Callable[[Image | CompressedImage], None],
        on_info: Callable[[CameraInfo], None],
    ) -> None:
        self._node = node
        self._subscriptions: list[Any] = []
        if settings.camera_info_file:
            on_info(read_calibration(settings.camera_info_file))
        else:
            self._listen(CameraInfo, "camera_info", on_info)
        kind = CompressedImage if settings.image_transport == "compressed" else Image
        self._listen(kind, image_topic(node, settings), on_image)

    def destroy(self) -> None:
        """Listen no more."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _listen(self, kind: Any, topic: str, callback: Callable[[Any], None]) -> None:
        qos = topic_qos(ReliabilityPolicy.BEST_EFFORT)
        self._subscriptions.append(self._node.create_subscription(kind, topic, callback, **qos))
