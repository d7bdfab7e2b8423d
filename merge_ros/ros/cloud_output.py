"""The point cloud of the depth node: filtered as the settings say, at their rate, made only where someone listens."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header

from merge_ros.config import CloudSettings
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.cloud_filter import known_points, limit_range, voxel_means
from merge_ros.geometry.pointcloud import packed_cloud
from merge_ros.ros.conversions import Rgb, cloud_to_message, stamp_nanoseconds
from merge_ros.ros.stamp_rate import StampRate


class CloudOutput:
    """Publishes clouds.

    Args:
        publisher: of sensor_msgs/PointCloud2.
    """

    def __init__(self, publisher: Any) -> None:
        self._publisher = publisher
        self._rate = StampRate()

    def publish(
        self,
        depth: NDArray[np.float32],
        rgb: Rgb,
        camera: Camera,
        header: Header,
        settings: CloudSettings,
        far: float,
    ) -> None:
        """Publish the cloud of a frame, if it is its turn and someone listens.

        Args:
            depth: [height, width] metres; NaN unknown, +inf farther than `far`.
            rgb: [height, width, 3] uint8.
            camera: of that size.
            header: of the image, for the cloud.
            settings: which points, and how often.
            far: metres up to which depth is given.
        """
        if not self._publisher.get_subscription_count():
            return
        if not self._rate.due(stamp_nanoseconds(header.stamp), settings.cloud_rate):
            return
        if settings.cloud_range or settings.cloud_open:
            depth = limit_range(depth, camera, settings.cloud_range or math.inf, far, settings.cloud_open)
        cloud = packed_cloud(depth, rgb, camera, settings.cloud_stride)
        if settings.cloud_voxel:
            cloud = voxel_means(cloud, settings.cloud_voxel)
        elif settings.cloud_dense:
            cloud = known_points(cloud)
        self._publisher.publish(cloud_to_message(cloud, header))
