"""Frames per second that the depth node sustains, with depth image and cloud published and received.

Three processes over real DDS: a camera that sends images faster than any engine, the node with the shipped model, and
this one, which receives `/merge/depth`, `/merge/points` and `/merge/status`. The engines take turns, some rounds each;
printed are medians over the rounds.

    python benchmarks/node_rate.py                                   # 320x240, onnx fp32, 2 threads
    python benchmarks/node_rate.py --engines onnx:fp32 openvino:bf16 --rounds 3 --threads 2
    python benchmarks/node_rate.py --size 640x480 --cloud-stride 2

`inside` is what the node adds to inference: convert, scale and publish, by its own clock. `node_cpu` is the processor
time of the whole node process per frame, in milliseconds; images that it must drop cost some of it, so give --rate what
the node can take to see a frame's own. `others` is how much of the machine other processes took meanwhile: with more
than a few percent there, rates and latencies are those of a shared machine, and only `node_cpu` says something.
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
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 80))
os.environ.setdefault(
    "FASTRTPS_DEFAULT_PROFILES_FILE", str(Path(__file__).resolve().parents[1] / "config" / "fastdds_shm.xml")
)

NODE = "import sys; from merge_ros.ros.depth_node import main; sys.exit(main())"
STAGES = ("convert", "scale", "publish")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Round:
    """What one engine did in one round; times in milliseconds."""

    depth_hz: float
    points_hz: float
    inference_p50: float
    inference_p95: float
    inside_p50: float
    node_cpu: float
    node_rss_mb: float
    others: float
    torch_loaded: bool


def main() -> int:
    """Measure all engines in turn, or (as a child process) be the camera."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="320x240", help="of the image, WIDTHxHEIGHT pixels (%(default)s)")
    parser.add_argument("--rate", type=float, default=100.0, help="images per second that the camera sends")
    parser.add_argument("--engines", nargs="+", default=["onnx:fp32"], metavar="BACKEND:PRECISION", help="(onnx:fp32)")
    parser.add_argument("--model", default="merge-tiny", help="as the node's parameter (%(default)s)")
    parser.add_argument("--codec", default="auto", help="as the node's parameter (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="as the node's parameter (%(default)s)")
    parser.add_argument("--processing-pixels", type=int, default=0, help="as the node's parameter (%(default)s)")
    parser.add_argument("--cloud-stride", type=int, default=1, help="as the node's parameter (%(default)s)")
    parser.add_argument("--seconds", type=float, default=15.0, help="measured in each round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="of all engines (%(default)s)")
    parser.add_argument("--json", type=Path, help="write every round here")
    parser.add_argument("--camera", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.camera:
        return camera(options.size, options.rate)

    rounds: dict[str, list[Round]] = {engine: [] for engine in options.engines}
    for _ in range(options.rounds):
        for engine in options.engines:
            rounds[engine].append(measure(engine, options))
    columns = [name for name in Round.__dataclass_fields__ if name != "torch_loaded"]
    print(f"{options.size} images at {options.rate:g} Hz, {options.threads} threads, ", end="")
    print(f"{options.rounds} x {options.seconds:g} s")
    print(f"{'engine':16}", *map("{:>14}".format, columns), f"{'torch':>7}")
    for engine, found in rounds.items():
        medians = [statistics.median(getattr(one, name) for one in found) for name in columns]
        loaded = "yes" if any(one.torch_loaded for one in found) else "no"
        print(f"{engine:16}", *map("{:14.2f}".format, medians), f"{loaded:>7}")
    if options.json:
        options.json.write_text(json.dumps({e: [asdict(one) for one in f] for e, f in rounds.items()}, indent=2) + "\n")
    return 0


def measure(engine: str, options: argparse.Namespace) -> Round:
    """One engine, one round."""
    backend, _, precision = engine.partition(":")
    parameters = {
        "model": options.model,
        "codec": options.codec,
        "backend": backend,
        "precision": precision or "fp32",
        "threads": options.threads,
        "processing_pixels": options.processing_pixels,
        "cloud_stride": options.cloud_stride,
        "scale_source": "fixed",
        "scale": 3.0,
    }
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    with tempfile.TemporaryDirectory() as folder:
        node = subprocess.Popen([sys.executable, "-c", NODE, "--ros-args", *words], cwd=folder)
        sender = None
        try:
            receiver = Receiver()
            receiver.bring_up()
            command = [sys.executable, str(Path(__file__).resolve()), "--camera"]
            sender = subprocess.Popen([*command, "--size", options.size, "--rate", str(options.rate)], cwd=folder)
            return receiver.count(node.pid, options.seconds)
        finally:
            for process in (sender, node):
                if process is not None:
                    process.send_signal(signal.SIGINT)
                    process.wait(60)


def camera(size: str, rate: float) -> int:
    """Send a moving picture until interrupted."""
    import numpy as np
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import CameraInfo, Image
    from std_msgs.msg import Header

    from merge_ros.ros.conversions import array_to_image

    width, height = (int(side) for side in size.split("x"))
    rclpy.init()
    node = rclpy.create_node("camera")
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    images, infos = node.create_publisher(Image, "/image", qos), node.create_publisher(CameraInfo, "/camera_info", qos)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    frames = [array_to_image(np.roll(pixels, 8 * shift, 1), "rgb8", Header(frame_id="camera")) for shift in range(8)]
    info = CameraInfo(width=width, height=height, k=[width, 0.0, width / 2, 0.0, width, height / 2, 0, 0, 1])
    info.header.frame_id = "camera"
    try:
        begin, count = time.monotonic(), 0
        while rclpy.ok():
            count += 1
            time.sleep(max(begin + count / rate - time.monotonic(), 0))
            image = frames[count % len(frames)]
            image.header.stamp = info.header.stamp = node.get_clock().now().to_msg()
            infos.publish(info)
            images.publish(image)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():  # a signal came while something was published
            raise
    return 0


class Receiver:
    """Brings the node up and counts what it publishes."""

    def __init__(self) -> None:
        import rclpy

        if not rclpy.ok():
            rclpy.init()
        self._rclpy = rclpy
        self.node = rclpy.create_node("node_rate")

    def bring_up(self) -> None:
        """Configure and activate the node."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        client = self.node.create_client(ChangeState, "/merge/change_state")
        if not client.wait_for_service(120):
            raise TimeoutError("the node does not start")
        for label in ("configure", "activate"):
            future = client.call_async(ChangeState.Request(transition=Transition(label=label)))
            self._rclpy.spin_until_future_complete(self.node, future, timeout_sec=300)
            if future.result() is None or not future.result().success:
                raise RuntimeError(f"{label} failed: the node's log above says why")

    def count(self, pid: int, seconds: float) -> Round:
        """Receive for some seconds, once things have settled."""
        from rclpy.qos import QoSProfile
        from sensor_msgs.msg import Image, PointCloud2

        from merge_ros.msg import DepthStatus

        seen: Counter[str] = Counter()
        statuses: list[Any] = []
        for kind, topic in ((Image, "depth"), (PointCloud2, "points")):
            self.node.create_subscription(
                kind, f"/merge/{topic}", lambda _, name=topic: seen.update([name]), QoSProfile(depth=1)
            )
        self.node.create_subscription(DepthStatus, "/merge/status", statuses.append, 50)
        self._spin(3.0, lambda: seen["depth"] == 0)
        seen.clear()
        statuses.clear()
        node_before, machine_before, begin = cpu_seconds(pid), machine_seconds(), time.monotonic()
        own_before = time.process_time()
        self._spin(seconds)
        elapsed = time.monotonic() - begin
        node_used = cpu_seconds(pid) - node_before
        own = node_used + time.process_time() - own_before
        busy, total = (after - before for after, before in zip(machine_seconds(), machine_before, strict=True))
        done = [status for status in statuses if status.latency_inference_ms > 0]
        inference = sorted(status.latency_inference_ms for status in done)
        inside = [sum(getattr(status, f"latency_{stage}_ms") for stage in STAGES) for status in done]
        memory = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]
        result = Round(
            seen["depth"] / elapsed,
            seen["points"] / elapsed,
            statistics.median(inference),
            inference[int(0.95 * (len(inference) - 1))],
            statistics.median(inside),
            1e3 * node_used / max(seen["depth"], 1),
            int(memory) / 1024,
            max(0.0, busy - own) / total,
            "libtorch" in Path(f"/proc/{pid}/maps").read_text(),
        )
        self.node.destroy_node()
        return result

    def _spin(self, seconds: float, longer: Any = lambda: False) -> None:
        end, limit = time.monotonic() + seconds, time.monotonic() + 60
        while time.monotonic() < end or longer():
            if time.monotonic() > limit + seconds:
                raise TimeoutError("nothing comes from the node")
            self._rclpy.spin_once(self.node, timeout_sec=0.2)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process (proc(5), /proc/PID/stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def machine_seconds() -> tuple[float, float]:
    """(busy, all) processor time of the machine (proc(5), /proc/stat)."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS, sum(ticks) / TICKS


if __name__ == "__main__":
    sys.exit(main())
