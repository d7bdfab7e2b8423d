"""Two cameras that the tests hold in their hand, for nodes that take several."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import array_to_image

LIMIT = 120.0  # seconds; reached only when something is broken


class CameraRig:
    """Cameras `front` and `rear`, of different pictures, that shoot together.

    Args:
        graph: the test's window into the ROS graph.

    Attributes:
        pictures: what each camera sees, [48, 64, 3] uint8.
        statuses, depths: by camera, all that the nodes have said.
    """

    def __init__(self, graph: Any) -> None:
        self._second = 100
        self._publishers = {}
        self.pictures, self.statuses, self.depths = {}, {}, {}
        for value, name in enumerate(("front", "rear"), start=1):
            self.pictures[name] = np.random.default_rng(value).integers(0, 255, (48, 64, 3)).astype(np.uint8)
            self._publishers[name] = (
                graph.node.create_publisher(Image, f"/{name}/image", 1),
                graph.node.create_publisher(CameraInfo, f"/{name}/camera_info", 1),
            )
            self.statuses[name] = graph.collect(DepthStatus, f"/{name}/merge/status")
            self.depths[name] = graph.collect(Image, f"/{name}/merge/depth")

    def shoot(self, *names: str) -> int:
        """One picture of each camera, all of one stamp; returns its seconds."""
        self._second += 1
        for name in names:
            images, infos = self._publishers[name]
            header = Header(frame_id=f"{name}_optical")
            header.stamp.sec = self._second
            infos.publish(CameraInfo(header=header, width=64, height=48, k=[60.0, 0, 31.5, 0, 61.0, 23.5, 0, 0, 1]))
            images.publish(array_to_image(self.pictures[name], "rgb8", header))
        return self._second

    def exchange(self, *names: str) -> dict[str, Any]:
        """Shoot until each has depth of the same shot; these depth images."""
        return self._shoot_until(self.depths, names, lambda message: True)

    def told(self, code: int, *names: str) -> dict[str, Any]:
        """Shoot until each has a status with this error code of the same shot; these statuses."""
        return self._shoot_until(self.statuses, names, lambda status: status.error_code == code)

    def _shoot_until(self, received: dict[str, list[Any]], names: tuple[str, ...], wanted: Any) -> dict[str, Any]:
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            second = self.shoot(*names)
            patience = time.monotonic() + 5
            while time.monotonic() < patience:
                found = {
                    name: [m for m in received[name] if m.header.stamp.sec == second and wanted(m)] for name in names
                }
                if all(found.values()):
                    return {name: messages[0] for name, messages in found.items()}
                time.sleep(0.01)
        last = {name: [s.error_text for s in statuses[-1:]] for name, statuses in self.statuses.items()}
        raise AssertionError(f"nothing of the kind of {names}; {last}")
