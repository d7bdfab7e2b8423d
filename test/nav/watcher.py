"""Looks at the graph of a launched simulation, drives its robot, and prints what it saw as JSON."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image
from tf2_ros import Buffer, TransformListener

from merge_ros.ros.conversions import image_to_array, stamp_nanoseconds
from merge_ros.scale.transforms import matrix


class Watcher:
    """A node that keeps what it hears."""

    def __init__(self, limit: float) -> None:
        self.node = rclpy.create_node("watcher", parameter_overrides=[Parameter("use_sim_time", value=True)])
        self._end = time.monotonic() + limit
        self.heard: dict[str, list[Any]] = {}
        self.transforms = Buffer()
        self._listener = TransformListener(self.transforms, self.node)

    def listen(self, kind: Any, topic: str) -> None:
        self.heard[topic] = []
        self.node.create_subscription(kind, topic, self.heard[topic].append, qos_profile_sensor_data)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        while not (value := condition()):
            if time.monotonic() > self._end:
                raise SystemExit(f"in vain: {what}; heard { ({t: len(m) for t, m in self.heard.items()}) }")
            rclpy.spin_once(self.node, timeout_sec=0.05)
        return value

    def pose(self, target: str, source: str) -> np.ndarray:
        self.until(lambda: self.transforms.can_transform(target, source, Time()), f"{source} in {target}")
        t = self.transforms.lookup_transform(target, source, Time()).transform
        place, turned = t.translation, t.rotation
        return matrix(place.x, place.y, place.z, turned.x, turned.y, turned.z, turned.w)


def watch_drive(watcher: Watcher, speed: float) -> dict[str, Any]:
    for kind, topic in (
        (Odometry, "/odom"),
        (Image, "/camera/image_raw"),
        (CameraInfo, "/camera/camera_info"),
        (Image, "/camera/depth_true"),
    ):
        watcher.listen(kind, topic)
    odometry, depths = watcher.heard["/odom"], watcher.heard["/camera/depth_true"]
    watcher.until(lambda: odometry and len(depths) >= 2, "odometry and depth")
    first = depths[-1]
    commands = watcher.node.create_publisher(Twist, "/cmd_vel", 1)
    command = Twist()
    command.linear.x = speed
    start = odometry[-1].pose.pose.position.x

    def driven() -> bool:
        commands.publish(command)
        return bool(odometry[-1].pose.pose.position.x > start + 0.4)

    watcher.until(driven, "the robot drives 0.4 m")
    seen = len(depths)
    watcher.until(lambda: len(depths) > seen, "another image")
    last = depths[-1]
    images = {stamp_nanoseconds(message.header.stamp) for message in watcher.heard["/camera/image_raw"]}
    infos = {stamp_nanoseconds(message.header.stamp) for message in watcher.heard["/camera/camera_info"]}

    def moved_at(stamp: Any) -> float:
        before = [o for o in odometry if stamp_nanoseconds(o.header.stamp) <= stamp_nanoseconds(stamp)]
        return float((before or odometry)[-1 if before else 0].pose.pose.position.x)

    newest = odometry[-1].pose.pose.position
    camera = watcher.pose("base_link", "camera_optical_frame")
    image = watcher.heard["/camera/image_raw"][-1]
    level = [float(np.median(image_to_array(m)[46:56, 122:134])) for m in (first, last)]
    return {
        "odometry_x": newest.x,
        "odometry_y": newest.y,
        "tf_x": float(watcher.pose("odom", "base_link")[0, 3]),
        "camera_in_base": camera[:3, 3].tolist(),
        "optical_axis_in_base": camera[:3, 2].tolist(),
        "images_with_info": len(images & infos),
        "image_size": [image.width, image.height],
        "moved_between_images": moved_at(last.header.stamp) - moved_at(first.header.stamp),
        "level_depths": level,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drive", type=float, required=True, help="metres per second")
    parser.add_argument("--limit", type=float, default=240)
    arguments = parser.parse_args()
    rclpy.init()
    watcher = Watcher(arguments.limit)
    print(json.dumps(watch_drive(watcher, arguments.drive)))


if __name__ == "__main__":
    main()
