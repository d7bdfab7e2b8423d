"""What the metric scale listens to: range sensors, another depth camera, an IMU. Only what its source needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, Imu, LaserScan, PointCloud2, Range

from merge_ros.config import ScaleSettings
from merge_ros.errors import InputError, ScaleError
from merge_ros.ros.camera_info import camera_for_image, resolve
from merge_ros.ros.conversions import stamp_nanoseconds
from merge_ros.ros.outputs import topic_qos
from merge_ros.ros.returns import cloud_to_returns, depth_to_returns, range_to_returns, scan_to_returns
from merge_ros.scale import RangeReturns, Returns, Scale, ScaleLock, Transforms
from merge_ros.scale.ground_plane import GroundPlane
from merge_ros.scale.mounting import GravityMounting
from merge_ros.scale.reference import sensor_pose
from merge_ros.scale.transforms import OPTICAL_FROM_BODY

WARNING_PERIOD = 5.0  # seconds between two warnings of the same topic


class ScaleInputs:
    """Subscriptions of the scale's source, which feed it.

    Args:
        node: gets the subscriptions.
        settings: of the scale.
        scale: made from these settings.
        camera_info: gives the newest info of the camera, None while there is none.
        camera_frame: gives the optical frame of the camera, "" while it is not known.
        transforms: knows the robot's frames, for settings that ask for TF.
    """

    def __init__(
        self,
        node: Node,
        settings: ScaleSettings,
        scale: Scale,
        camera_info: Callable[[], CameraInfo | None],
        camera_frame: Callable[[], str],
        transforms: Transforms | None,
    ) -> None:
        self._node, self._settings = node, settings
        self._camera_info, self._camera_frame = camera_info, camera_frame
        self._own_info: CameraInfo | None = None
        self._subscriptions: list[Any] = []
        self._warned: dict[str, float] = {}
        reference = scale.reference if isinstance(scale, ScaleLock) else None
        if isinstance(reference, RangeReturns) and settings.source == "range":
            self._feed(reference, LaserScan, "reference/scan", scan_to_returns)
            self._feed(reference, PointCloud2, "reference/points", cloud_to_returns)
            self._feed(reference, Range, "reference/range", range_to_returns)
        elif isinstance(reference, RangeReturns):
            self._feed(reference, Image, "reference/depth", self._depth)
            if settings.reference_camera == "own":
                self._listen(CameraInfo, "reference/camera_info", self._remember_info)
        elif isinstance(reference, GroundPlane) and isinstance(reference.mounting, GravityMounting):
            self._imu_pose = sensor_pose(settings, transforms)
            self._mounting = reference.mounting
            self._listen(Imu, "imu", self._accelerate)

    def destroy(self) -> None:
        """Listen no more."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _listen(self, kind: Any, topic: str, callback: Callable[[Any], None]) -> None:
        qos = topic_qos(ReliabilityPolicy.BEST_EFFORT)
        self._subscriptions.append(self._node.create_subscription(kind, topic, callback, **qos))

    def _feed(self, reference: RangeReturns, kind: Any, topic: str, convert: Callable[[Any], Returns]) -> None:
        def feed(message: Any) -> None:
            try:
                reference.add(convert(message))
            except (InputError, ScaleError) as error:
                self._warn(topic, error)

        self._listen(kind, topic, feed)

    def _depth(self, image: Image) -> Returns:
        own = self._settings.reference_camera == "own"
        info = self._own_info if own else self._camera_info()
        if info is None:
            raise ScaleError(f"no {'reference/camera_info' if own else 'camera_info'} has come yet")
        resolved = resolve(info, image.header)
        camera = camera_for_image(resolved, resolved.width, resolved.height)
        if not own:
            camera = camera.resized(image.width, image.height)  # the same view in another size
        returns = depth_to_returns(image, camera)
        if own and self._settings.reference_pose == "parameters":
            # The parameters give the pose of the body frame, the points are in the optical one.
            return Returns(returns.points @ OPTICAL_FROM_BODY, returns.frame, returns.stamp)
        return returns

    def _remember_info(self, info: CameraInfo) -> None:
        self._own_info = info

    def _accelerate(self, imu: Imu) -> None:
        stamp = stamp_nanoseconds(imu.header.stamp) * 1e-9
        felt = imu.linear_acceleration
        try:
            pose = self._imu_pose.at(imu.header.frame_id, self._camera_frame(), stamp)
        except ScaleError as error:
            self._warn("imu", error)
            return
        self._mounting.add_acceleration(pose[:3, :3] @ np.array([felt.x, felt.y, felt.z]), stamp)

    def _warn(self, topic: str, error: Exception) -> None:
        now = time.monotonic()
        if now - self._warned.get(topic, -WARNING_PERIOD) >= WARNING_PERIOD:
            self._warned[topic] = now
            self._node.get_logger().warning(f"{topic}: {error}")
