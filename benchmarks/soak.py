"""Many frames through one depth node: does its memory grow, does it leak threads or file descriptors?

Two processes over real DDS: the node, and this one, which sends an image as soon as the status of the one before has
come, and receives all outputs. Sizes are small, so that ten thousand frames take minutes: what leaks, leaks per frame.

    python benchmarks/soak.py                                     # 10,000 frames of 160x120, after 1,000 to settle
    python benchmarks/soak.py --frames 300 --settle 200 --json soak.json
    python benchmarks/soak.py --backend openvino --sizes 160x120 120x90 96x96

The resident memory (VmRSS) is read after every hundredth frame. Its growth is the median of the last ten readings
against that of the first ten. The exit status is 1 when it is 1 % or more, when the node has more threads or open files
at the end than at the beginning, or when a frame was not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 80))
os.environ.setdefault(
    "FASTRTPS_DEFAULT_PROFILES_FILE", str(Path(__file__).resolve().parents[1] / "config" / "fastdds_shm.xml")
)

NODE = "import sys; from merge_ros.ros.depth_node import main; sys.exit(main())"
EVERY = 100  # frames between two readings
COMPARED = 10  # readings at either end
ALLOWED = 0.01  # growth of the resident memory
PATIENCE = 5.0  # seconds until a frame counts as lost on its way


@dataclass(frozen=True)
class Reading:
    """What the node's process holds after so many frames."""

    frames: int
    rss_kb: int
    threads: int
    files: int


def main() -> int:
    """Run the frames through, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000, help="measured (%(default)s)")
    parser.add_argument("--settle", type=int, default=1_000, help="frames before the first reading (%(default)s)")
    parser.add_argument("--sizes", nargs="+", default=["160x120"], help="of the images, in turn, WIDTHxHEIGHT")
    parser.add_argument("--backend", default="onnx", help="as the node's parameter (%(default)s)")
    parser.add_argument("--processing-pixels", type=int, default=1024, help="as the node's parameter (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="as the node's parameter (%(default)s)")
    parser.add_argument("--json", type=Path, help="write every reading here")
    options = parser.parse_args()
    parameters = {
        "backend": options.backend,
        "processing_pixels": options.processing_pixels,
        "threads": options.threads,
        "scale_source": "fixed",
        "scale": 3.0,
        "camera_height": 0.5,
    }
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    with tempfile.TemporaryDirectory() as folder:
        node = subprocess.Popen([sys.executable, "-c", NODE, "--ros-args", *words], cwd=folder)
        try:
            readings, counted = soak(node.pid, options)
        finally:
            node.send_signal(signal.SIGINT)
            status = node.wait(60)
    return judge(readings, counted, status, options)


def judge(readings: list[Reading], counted: dict[str, int], status: int, options: argparse.Namespace) -> int:
    """Print what was found; the exit status."""
    ends = [[reading.rss_kb for reading in part] for part in (readings[:COMPARED], readings[-COMPARED:])]
    first, last = (statistics.median(end) for end in ends)
    growth = last / first - 1
    uncounted = counted["received"] - sum(counted[name] for name in ("processed", "dropped", "invalid", "failed"))
    found = {
        "frames": options.frames,
        "growth": growth,
        "rss_mb": [first / 1024, last / 1024],
        "threads": [readings[0].threads, readings[-1].threads],
        "files": [readings[0].files, readings[-1].files],
        "counted": counted,
        "uncounted": uncounted,
        "exit_status": status,
    }
    print(json.dumps(found, indent=2))
    if options.json:
        options.json.write_text(json.dumps(found | {"readings": [asdict(one) for one in readings]}, indent=2) + "\n")
    leaks = readings[-1].threads > readings[0].threads or readings[-1].files > readings[0].files
    return int(growth >= ALLOWED or leaks or uncounted != 0 or status != 0)


def soak(pid: int, options: argparse.Namespace) -> tuple[list[Reading], dict[str, int]]:
    """Send the frames; readings of the node's process, and its counters at the end."""
    import numpy as np
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import CameraInfo, Image, LaserScan, PointCloud2
    from std_msgs.msg import Header
    from tqdm import tqdm

    from merge_ros.msg import DepthStatus
    from merge_ros.ros.conversions import array_to_image

    rclpy.init()
    node = rclpy.create_node("soak")
    newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    images, infos = (
        node.create_publisher(kind, topic, newest) for kind, topic in ((Image, "/image"), (CameraInfo, "/camera_info"))
    )
    outputs = {"depth": Image, "depth_relative": Image, "camera_info": CameraInfo, "points": PointCloud2}
    for topic, kind in (outputs | {"scan": LaserScan}).items():
        node.create_subscription(kind, f"/merge/{topic}", lambda message: None, QoSProfile(depth=1))
    statuses: list[Any] = []
    node.create_subscription(DepthStatus, "/merge/status", statuses.append, 10)
    bring_up(rclpy, node)

    pairs = []
    random = np.random.default_rng(0)
    for size in options.sizes:
        width, height = (int(side) for side in size.split("x"))
        for _ in range(4):
            pixels = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
            info = CameraInfo(width=width, height=height, k=[width, 0.0, width / 2, 0.0, width, height / 2, 0, 0, 1])
            info.header.frame_id = "camera"
            pairs.append((array_to_image(pixels, "rgb8", Header(frame_id="camera")), info))

    readings: list[Reading] = []
    total = options.settle + options.frames
    for count in tqdm(range(1, total + 1), unit="frame"):
        image, info = pairs[count % len(pairs)]
        done = False
        while not done:  # one may be lost on its way
            image.header.stamp = info.header.stamp = node.get_clock().now().to_msg()
            infos.publish(info)
            images.publish(image)
            end = time.monotonic() + PATIENCE
            while not done and time.monotonic() < end:
                rclpy.spin_once(node, timeout_sec=0.1)
                done = any(status.header.stamp == image.header.stamp for status in statuses)
        last = statuses[-1]
        statuses.clear()
        if count >= options.settle and (count - options.settle) % EVERY == 0:
            readings.append(read(pid, count - options.settle))
    counted = {
        name: int(getattr(last, f"frames_{name}")) for name in ("received", "processed", "dropped", "invalid", "failed")
    }
    node.destroy_node()
    rclpy.shutdown()
    return readings, counted


def bring_up(rclpy: Any, node: Any) -> None:
    """Configure and activate the depth node."""
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    client = node.create_client(ChangeState, "/merge/change_state")
    if not client.wait_for_service(120):
        raise TimeoutError("the node does not start")
    for label in ("configure", "activate"):
        future = client.call_async(ChangeState.Request(transition=Transition(label=label)))
        rclpy.spin_until_future_complete(node, future, timeout_sec=300)
        if future.result() is None or not future.result().success:
            raise RuntimeError(f"{label} failed: the node's log above says why")
    node.destroy_client(client)


def read(pid: int, frames: int) -> Reading:
    """What a process holds (proc(5))."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return Reading(frames, int(status["VmRSS"].split()[0]), int(status["Threads"]), files)


if __name__ == "__main__":
    sys.exit(main())
