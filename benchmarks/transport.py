"""How many camera images get lost between two processes, with and without config/fastdds_shm.xml.

    python benchmarks/transport.py                      # 640x480 rgb8 at 30 Hz for 10 s, best effort, depth 1
    python benchmarks/transport.py --rate 100 --seconds 5

Prints, for each combination of sender and receiver, the images lost and the median time from sending to receiving.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 80))

PROFILE = Path(__file__).resolve().parents[1] / "config" / "fastdds_shm.xml"
VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
WIDTH, HEIGHT = 640, 480


def main() -> int:
    """Every combination, or (as a child process) the receiver of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=30.0, help="images per second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of sending, for each combination")
    parser.add_argument("--role", choices=["send", "receive"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "send":
        return send(options.rate, options.seconds)
    if options.role == "receive":
        return receive()

    print(f"{WIDTH}x{HEIGHT} rgb8 at {options.rate:g} Hz for {options.seconds:g} s, best effort, depth 1")
    print(f"{'sender':>10}{'receiver':>10}{'sent':>7}{'lost':>9}{'median ms':>11}")
    for sender in (False, True):
        for receiver in (False, True):
            sent, latencies = measure(sender, receiver, options.rate, options.seconds)
            lost, median = 1 - len(latencies) / sent, statistics.median(latencies) if latencies else float("nan")
            names = ["profile" if used else "default" for used in (sender, receiver)]
            print(f"{names[0]:>10}{names[1]:>10}{sent:7d}{lost:9.1%}{median:11.2f}")
    return 0


def measure(sender: bool, receiver: bool, rate: float, seconds: float) -> tuple[int, list[float]]:
    """Images sent, and the latency in milliseconds of each that arrived."""
    script = [sys.executable, str(Path(__file__).resolve())]
    with subprocess.Popen(
        [*script, "--role", "receive"],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        env=environment(receiver),
    ) as listening:
        command = [*script, "--role", "send", "--rate", str(rate), "--seconds", str(seconds)]
        sending = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(sender))
        received, _ = listening.communicate("stop\n", timeout=60)
    return int(sending.stdout), [float(word) for word in received.split()]


def environment(profile: bool) -> dict[str, str]:
    """Of a process that uses the profile, or not."""
    others = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return others | ({VARIABLE: str(PROFILE)} if profile else {})


def send(rate: float, seconds: float) -> int:
    """Send images once the receiver is there; print how many."""
    import numpy as np
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from merge_ros.ros.conversions import array_to_image

    rclpy.init()
    node = rclpy.create_node("sender")
    publisher = node.create_publisher(Image, "/image", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    image = array_to_image(pixels, "rgb8", Header())
    limit = time.monotonic() + 60
    while not publisher.get_subscription_count():
        if time.monotonic() > limit:
            raise TimeoutError("the receiver does not appear")
        time.sleep(0.05)
    time.sleep(0.5)  # both sides must have matched
    count = round(rate * seconds)
    begin = time.monotonic()
    for index in range(count):
        time.sleep(max(begin + index / rate - time.monotonic(), 0))
        image.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(image)
    time.sleep(1)  # the last ones arrive
    print(count)
    return 0


def receive() -> int:
    """Note the latency of every image until standard input says stop; print them."""
    import threading

    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from rclpy.time import Time
    from sensor_msgs.msg import Image

    rclpy.init()
    node = rclpy.create_node("receiver")
    latencies: list[float] = []

    def on_image(image: Image) -> None:
        latencies.append((node.get_clock().now() - Time.from_msg(image.header.stamp)).nanoseconds * 1e-6)

    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Image, "/image", on_image, qos)
    stopped = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stopped.set()), daemon=True).start()
    while not stopped.is_set():
        rclpy.spin_once(node, timeout_sec=0.1)
    print(*latencies)
    return 0


if __name__ == "__main__":
    sys.exit(main())
