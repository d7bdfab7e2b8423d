"""What the depth node adds to inference: image message sent to depth received, minus the model's own time.

A node runs as its own process with the shipped model at a very small size; this process sends it one image at a time
and waits for the answer. Prints medians, in milliseconds:

    python benchmarks/node_overhead.py                # 640x480, 200 frames for each row
    python benchmarks/node_overhead.py --frames 50 --size 1280x720

`sent to received` is measured here, with DDS both ways; the stages are what the node says in ~/status. `inside` is the
node's share alone: arrival of the message to the end of publishing, minus inference.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 80))

import numpy as np
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import array_to_image

PROCESSING_PIXELS = 64 * 48  # inference is subtracted; make it quick
NODE = "import sys; from merge_ros.ros.depth_node import main; sys.exit(main())"
PROFILE = Path(__file__).resolve().parents[1] / "config" / "fastdds_shm.xml"
STAGES = ("queue", "convert", "scale", "publish")
ROWS = {
    "depth": ("depth",),
    "depth + relative": ("depth", "depth_relative"),
    "depth + cloud": ("depth", "points"),
    "all topics": ("depth", "depth_relative", "points"),
}
KINDS: dict[str, Any] = {"depth": Image, "depth_relative": Image, "points": PointCloud2}


def main() -> int:
    """Measure every row of the table, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="640x480", help="of the image, WIDTHxHEIGHT pixels")
    parser.add_argument("--frames", type=int, default=200, help="measured for each row")
    parser.add_argument("--encoding", default="rgb8", choices=["rgb8", "bgr8"], help="of the image")
    parser.add_argument("--no-profile", action="store_true", help="Fast DDS's own transports instead of our profile")
    options = parser.parse_args()
    width, height = (int(side) for side in options.size.split("x"))
    if not options.no_profile:
        os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(PROFILE)

    with tempfile.TemporaryDirectory() as folder:
        parameters = (f"processing_pixels:={PROCESSING_PIXELS}", "scale_source:=fixed", "scale:=3.0")
        command = [sys.executable, "-c", NODE, "--ros-args", *(word for one in parameters for word in ("-p", one))]
        node = subprocess.Popen(command, cwd=folder)
        try:
            measure_all(width, height, options.encoding, options.frames)
        finally:
            node.send_signal(signal.SIGINT)
            node.wait(60)
    return 0


def measure_all(width: int, height: int, encoding: str, frames: int) -> None:
    """One line of the table for each set of topics."""
    rclpy.init()
    client = Client(width, height, encoding)
    client.change("configure", "activate")
    print(f"{width}x{height} {encoding}, {frames} frames, medians in ms")
    print(
        f"{'topics':18}{'sent to received':>18}{'inference':>11}{'overhead':>10}{'inside':>8}",
        *map("{:>9}".format, STAGES),
    )
    for name, topics in ROWS.items():
        samples = client.measure(topics, frames)
        trip, inference, overhead, inside, *stages = (
            statistics.median(column) for column in zip(*samples, strict=True)
        )
        print(f"{name:18}{trip:18.2f}{inference:11.2f}{overhead:10.2f}{inside:8.2f}", *map("{:9.2f}".format, stages))
    client.node.destroy_node()
    rclpy.try_shutdown()


class Client:
    """The camera and the receiver."""

    def __init__(self, width: int, height: int, encoding: str) -> None:
        self.node = rclpy.create_node("node_overhead")
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
        self.image = array_to_image(pixels, encoding, Header(frame_id="camera_optical"))
        self.info = CameraInfo(width=width, height=height, k=[width, 0.0, width / 2, 0.0, width, height / 2, 0, 0, 1])
        self.images = self.node.create_publisher(Image, "/image", 1)
        self.infos = self.node.create_publisher(CameraInfo, "/camera_info", 1)
        self.second = 0
        self.arrived: dict[str, float] = {}
        self.status: DepthStatus | None = None
        self.node.create_subscription(DepthStatus, "/merge/status", self._on_status, 10)

    def change(self, *transitions: str) -> None:
        """Make lifecycle transitions of the node."""
        client = self.node.create_client(ChangeState, "/merge/change_state")
        assert client.wait_for_service(120), "the node does not start"
        for label in transitions:
            future = client.call_async(ChangeState.Request(transition=Transition(label=label)))
            rclpy.spin_until_future_complete(self.node, future, timeout_sec=120)
            assert future.result() is not None and future.result().success, f"{label} failed"

    def measure(self, topics: tuple[str, ...], frames: int) -> list[tuple[float, ...]]:
        """(sent to received, inference, their difference, inside, stages...) of every frame, while only these topics
        have a subscriber."""
        subscriptions = [
            self.node.create_subscription(
                KINDS[topic],
                f"/merge/{topic}",
                lambda message, topic=topic: self._on_output(topic, message),
                QoSProfile(depth=1),
            )
            for topic in topics
        ]
        samples = [sample for sample in (self._frame(topics) for _ in range(frames + 20)) if sample is not None]
        for subscription in subscriptions:
            self.node.destroy_subscription(subscription)
        return samples[20:]  # the first ones come while discovery goes on

    def _frame(self, topics: tuple[str, ...]) -> tuple[float, ...] | None:
        self.second += 1
        self.arrived, self.status = {}, None
        for message in (self.info, self.image):
            message.header.stamp.sec = self.second
        self.infos.publish(self.info)
        begin = time.perf_counter()
        self.images.publish(self.image)
        while len(self.arrived) < len(topics) or self.status is None:
            rclpy.spin_once(self.node, timeout_sec=0.5)
            if time.perf_counter() - begin > 2:
                return None  # lost on its way
        trip = 1e3 * (max(self.arrived.values()) - begin)
        inference = self.status.latency_inference_ms
        inside = self.status.latency_total_ms - inference
        stages = (getattr(self.status, f"latency_{stage}_ms") for stage in STAGES)
        return (trip, inference, trip - inference, inside, *stages)

    def _on_output(self, topic: str, message: Any) -> None:
        if message.header.stamp.sec == self.second:
            self.arrived[topic] = time.perf_counter()

    def _on_status(self, status: DepthStatus) -> None:
        if status.header.stamp.sec == self.second:
            self.status = status


if __name__ == "__main__":
    sys.exit(main())
