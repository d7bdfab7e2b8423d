"""The user of the demo's depth: receives what the node publishes, and measures it against the truth.

    python -m merge_ros.demo.receive OUT [--node /merge] [--cloud-at SECONDS]

Ends on SIGINT, or when `finish` comes on standard input: then as soon as the last frame has come to its end. Writes
into the folder OUT: measured.json (figures), frames.npz (thinned frames for pictures), cloud.ply (one cloud).
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2

from merge_ros.demo.bag import IMAGE, TRUE_DEPTH
from merge_ros.demo.events import emit
from merge_ros.demo.interrupt import init_ros
from merge_ros.demo.measure import Measurements
from merge_ros.errors import MergeError
from merge_ros.files import atomic_write
from merge_ros.geometry.pointcloud import write_ply
from merge_ros.msg import DepthStatus
from merge_ros.ros.cloud_fields import read_points
from merge_ros.ros.conversions import image_to_array, image_to_rgb

PATIENCE = (
    5.0  # seconds without any message, and at least three times the slowest frame, after which the end is the end
)


class Receiver(Node):
    """Subscribes to the node's topics and to the truth.

    Args:
        node: full name of the depth node.
        cloud_at: seconds after the first frame; the first cloud from then on is kept, else the last one before.
    """

    def __init__(self, node: str, cloud_at: float) -> None:
        super().__init__("depth_user")
        self.measured = Measurements()
        self.cloud: PointCloud2 | None = None
        self.clouds = 0
        self.frame_id = ""
        self.last_message = time.monotonic()
        self._cloud_at = cloud_at
        self._first_stamp: int | None = None
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        self.create_subscription(Image, TRUE_DEPTH, self._on_truth, reliable)
        self.create_subscription(Image, IMAGE, self._on_image, reliable)
        self.create_subscription(Image, f"{node}/depth", self._on_depth, reliable)
        self.create_subscription(Image, f"{node}/depth_relative", self._on_relative, reliable)
        self.create_subscription(PointCloud2, f"{node}/points", self._on_points, reliable)
        self.create_subscription(DepthStatus, f"{node}/status", self._on_status, reliable)

    def is_over(self) -> bool:
        """Whether nothing more is to be expected, given that no further frame is sent."""
        slowest = max((report["total_ms"] for report in self.measured.status.values()), default=0) / 1000
        silent = time.monotonic() - self.last_message > max(PATIENCE, 3 * slowest)
        return silent or (self.measured.is_over() and time.monotonic() - self.last_message > 0.5)

    def _on_truth(self, message: Image) -> None:
        stamp = self._note(message)
        self._first_stamp = stamp if self._first_stamp is None else self._first_stamp
        self.measured.add_truth(stamp, image_to_array(message))

    def _on_image(self, message: Image) -> None:
        self.measured.add_image(self._note(message), image_to_rgb(message))

    def _on_depth(self, message: Image) -> None:
        received = time.time_ns()
        stamp = self._note(message)
        self.frame_id = message.header.frame_id
        self.measured.add_depth(stamp, image_to_array(message), received)
        emit("depth", frames=len(self.measured.arrivals), latency_ms=self.measured.latencies_ms[-1])

    def _on_relative(self, message: Image) -> None:
        self.measured.add_relative(self._note(message), image_to_array(message))

    def _on_points(self, message: PointCloud2) -> None:
        self._note(message)
        self.clouds += 1
        first = self._first_stamp or 0
        if self.cloud is None or stamp_of(self.cloud) - first < 1e9 * self._cloud_at:
            self.cloud = message

    def _on_status(self, message: DepthStatus) -> None:
        self.measured.add_status(
            self._note(message),
            metric=message.metric,
            inference_ms=message.latency_inference_ms,
            total_ms=message.latency_total_ms,
            frames_dropped=message.frames_dropped,
            error=message.error_text,
        )

    def _note(self, message: Any) -> int:
        self.last_message = time.monotonic()
        return stamp_of(message)


def stamp_of(message: Any) -> int:
    """The stamp of a message in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def write_results(receiver: Receiver, out: Path) -> None:
    """Write the figures, the kept frames and the cloud."""
    figures = receiver.measured.figures() | {"clouds": receiver.clouds, "frame_id": receiver.frame_id}
    out.mkdir(parents=True, exist_ok=True)
    if receiver.cloud is not None:
        points, colours = read_points(receiver.cloud, receiver.cloud.width * receiver.cloud.height)
        figures["cloud_points"] = write_ply(
            out / "cloud.ply", points, np.zeros(points.shape, np.uint8) if colours is None else colours
        )
    with atomic_write(out / "frames.npz") as temporary:
        np.savez(temporary, allow_pickle=False, **receiver.measured.arrays())
    with atomic_write(out / "measured.json") as temporary:
        temporary.write_text(json.dumps(figures, indent=2) + "\n")


def main() -> int:
    """Run as a process; returns its exit status."""
    parser = argparse.ArgumentParser(prog="merge_ros.demo.receive", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--node", default="/merge", help="full name of the depth node (%(default)s)")
    parser.add_argument("--cloud-at", type=float, default=0.0, help="seconds after the first frame (%(default)s)")
    arguments = parser.parse_args()
    finish = threading.Event()
    receiver: Receiver | None = None

    def watch_standard_input() -> None:
        for line in sys.stdin:
            if line.strip() == "finish":
                finish.set()

    ended = init_ros()
    try:
        receiver = Receiver(arguments.node, arguments.cloud_at)
        threading.Thread(target=watch_standard_input, daemon=True).start()
        emit("ready")
        while not (ended.is_set() or (finish.is_set() and receiver.is_over())):
            rclpy.spin_once(receiver, timeout_sec=0.1)
    except MergeError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if receiver is not None:
            write_results(receiver, arguments.out)
            receiver.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
