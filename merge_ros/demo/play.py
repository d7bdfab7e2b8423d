"""The camera of the demo: plays a recording over ROS 2 as a driver would publish it.

    python -m merge_ros.demo.play [FOLDER] [--rate 1.0] [--frames 0] [--subscribers 1] [--loop]

Publishes /camera/image_raw (rgb8), /camera/camera_info and /camera/depth_true (16UC1 millimetres) with the same, fresh
stamp per frame, at the recorded pace. All is decoded beforehand, so that the pace does not depend on the decoder.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from pathlib import Path

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from merge_ros.demo.bag import BUNDLED_RECORDING, FRAME_ID, IMAGE, INFO, TRUE_DEPTH, RecordedFrame, Recording
from merge_ros.demo.events import emit
from merge_ros.demo.interrupt import init_ros
from merge_ros.errors import MergeError
from merge_ros.ros.camera_info import info_from_camera
from merge_ros.ros.conversions import array_to_image

LAST_WORDS = 0.5  # seconds that the publishers outlive the last frame, for reliable delivery


class Player(Node):
    """Publishes recorded frames, paced by the wall clock.

    Args:
        ended: when it is set, everything returns soon.
    """

    def __init__(self, ended: threading.Event) -> None:
        super().__init__("recorded_camera")
        self._ended = ended
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        self._image = self.create_publisher(Image, IMAGE, qos)
        self._info = self.create_publisher(CameraInfo, INFO, qos)
        self._depth = self.create_publisher(Image, TRUE_DEPTH, qos)

    def wait_for(self, subscribers: int) -> None:
        """Return once so many take the image: a depth node, which takes the info, and others, which take the truth."""
        needed = ((self._image, subscribers), (self._info, min(subscribers, 1)), (self._depth, subscribers - 1))
        while not self._ended.is_set() and any(
            publisher.get_subscription_count() < count for publisher, count in needed
        ):
            rclpy.spin_once(self, timeout_sec=0.05)

    def play(self, frames: list[RecordedFrame], rate: float) -> None:
        """Publish the frames once; return when the next one would be due."""
        start = time.monotonic()
        interval = frames[-1].time / max(len(frames) - 1, 1)
        for frame in frames:
            if self._ended.wait(max(0.0, frame.time / rate - (time.monotonic() - start))):
                return
            self._publish(frame)
            emit("sent", time=frame.time)
        self._ended.wait(interval / rate)

    def _publish(self, frame: RecordedFrame) -> None:
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=FRAME_ID)
        # The truth and the info first: whoever gets the image then has both.
        self._depth.publish(array_to_image(frame.depth_mm, "16UC1", header))
        self._info.publish(info_from_camera(frame.camera, header))
        self._image.publish(array_to_image(frame.rgb, "rgb8", header))


def main() -> int:
    """Run as a process; returns its exit status."""
    parser = argparse.ArgumentParser(prog="merge_ros.demo.play", description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=Path, nargs="?", default=BUNDLED_RECORDING, help="the recording (the shipped one)"
    )
    parser.add_argument("--rate", type=float, default=1.0, help="speed, 1 is as recorded (%(default)s)")
    parser.add_argument("--frames", type=int, default=0, help="stop after so many frames; 0: all of them")
    parser.add_argument(
        "--subscribers",
        type=int,
        default=1,
        help="wait for so many: a depth node, and others that take the true depth too (%(default)s)",
    )
    parser.add_argument("--loop", action="store_true", help="start again at the end, until interrupted")
    arguments = parser.parse_args()
    node: Player | None = None
    try:
        frames = list(Recording(arguments.folder).frames())
        frames = frames[: arguments.frames or None]
        ended = init_ros()
        node = Player(ended)
        emit("ready", frames=len(frames))
        node.wait_for(arguments.subscribers)
        node.play(frames, arguments.rate)
        while arguments.loop and not ended.is_set():
            node.play(frames, arguments.rate)
        ended.wait(LAST_WORDS)
    except MergeError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
