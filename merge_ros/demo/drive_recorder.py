"""Watches a robot under Nav2 drive to a goal, and keeps what a judgement and a film of the drive need.

    python -m merge_ros.demo.drive_recorder OUT --goal 4.0 1.5

Ends with the drive: at the goal, when something was touched, when the goal follower gave up, or past --time-limit.
Writes OUT/drive.npz. Times are those of the simulation.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import Twist
from nav_msgs.msg import OccupancyGrid, Odometry
from nav_msgs.msg import Path as PathMessage
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String

from merge_ros.demo.events import emit
from merge_ros.demo.interrupt import init_ros
from merge_ros.demo.receive import stamp_of
from merge_ros.files import atomic_write
from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import image_to_array, image_to_rgb

PERIOD = 0.5  # seconds between two pictures of the film
STATES = {0: "NONE", 1: "SEARCHING", 2: "LOCKED", 3: "HOLDING", 4: "LOST"}


class DriveRecorder(Node):
    """Subscribes to everything that tells of the drive.

    Args:
        goal: (x, y) in the odometry's frame, metres.
        time_limit: seconds from the first command that moves the robot.
    """

    def __init__(self, goal: tuple[float, float], time_limit: float) -> None:
        super().__init__("drive_recorder")
        self.outcome = ""
        self.states: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.plans = 0
        self._goal, self._time_limit = goal, time_limit
        self._began: float | None = None
        self._track: list[tuple[float, float, float, float]] = []  # seconds, x, y, heading
        self._film: list[dict[str, NDArray[Any]]] = []
        self._grid: OccupancyGrid | None = None
        self._path: NDArray[np.float32] = np.empty((0, 2), np.float32)
        self._image: Image | None = None
        self._depth: Image | None = None
        self._state = "NONE"
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(Odometry, "odom", self._on_odometry, 50)
        self.create_subscription(Twist, "cmd_vel", self._on_command, 10)
        self.create_subscription(Bool, "simulated_robot/contact", self._on_contact, 10)
        self.create_subscription(String, "goal_follower/outcome", self._on_outcome, latched)
        self.create_subscription(PathMessage, "plan", self._on_plan, 1)
        self.create_subscription(OccupancyGrid, "global_costmap/costmap", self._on_grid, latched)
        self.create_subscription(DepthStatus, "merge/status", self._on_status, 10)
        self.create_subscription(Image, "camera/image_raw", self._on_image, 1)
        self.create_subscription(Image, "merge/depth", self._on_depth, 1)

    def verdict(self) -> dict[str, Any]:
        """What became of the drive."""
        driven = [row for row in self._track if self._began is not None and row[0] >= self._began]
        x, y = (driven or [(0.0, 0.0, 0.0, 0.0)])[-1][1:3]
        steps = np.diff(np.array([row[1:3] for row in driven]).reshape(-1, 2), axis=0)
        frames = max(sum(self.states.values()), 1)
        return {
            "outcome": self.outcome,
            "seconds": round(driven[-1][0] - driven[0][0], 1) if driven else 0.0,
            "path_length": round(float(np.hypot(*steps.T).sum()), 2),
            "goal_error": round(math.hypot(x - self._goal[0], y - self._goal[1]), 2),
            "plans": self.plans,
            "frames": sum(self.states.values()),
            "with_metres": round((self.states["LOCKED"] + self.states["HOLDING"]) / frames, 3),
            "states": dict(self.states),
            "reasons": dict(self.reasons.most_common(4)),
        }

    def write(self, path: Path) -> None:
        """The film and the track."""
        if not self._film:
            return
        paths = [frame.pop("path") for frame in self._film]
        arrays = {name: np.stack([frame[name] for frame in self._film]) for name in self._film[0]}
        arrays["path_points"] = np.concatenate(paths)
        arrays["path_ends"] = np.cumsum([len(points) for points in paths])
        with atomic_write(path) as temporary:
            np.savez_compressed(
                temporary, allow_pickle=False, goal=np.array(self._goal), track=np.array(self._track), **arrays
            )

    def _on_command(self, command: Twist) -> None:
        if self._began is None and self._track and (command.linear.x or command.angular.z):
            self._began = self._track[-1][0]
            emit("driving")

    def _on_odometry(self, odometry: Odometry) -> None:
        now = stamp_of(odometry) * 1e-9
        pose = odometry.pose.pose
        heading = 2 * math.atan2(pose.orientation.z, pose.orientation.w)
        self._track.append((now, pose.position.x, pose.position.y, heading))
        if self._began is None:
            return
        if now - self._began > self._time_limit:
            self._end("time limit")
        if not self._film or now - float(self._film[-1]["seconds"]) >= PERIOD:
            self._shoot(now)

    def _shoot(self, now: float) -> None:
        if self._grid is None or self._image is None:
            return
        info = self._grid.info
        cells = np.frombuffer(self._grid.data, np.int8).reshape(info.height, info.width)
        image = image_to_rgb(self._image).copy()
        depth = image_to_array(self._depth) if self._depth is not None else np.full(image.shape[:2], np.nan)
        self._film.append(
            {
                "seconds": np.array(now),
                "pose": np.array(self._track[-1][1:]),
                "grid": cells.copy(),
                "origin": np.array([info.origin.position.x, info.origin.position.y, info.resolution]),
                "path": self._path,
                "image": image,
                "depth": depth.astype(np.float16),
                "state": np.array(self._state, "U9"),
            }
        )
        x, y = self._track[-1][1:3]
        emit("progress", seconds=now - (self._began or now), left=math.hypot(x - self._goal[0], y - self._goal[1]))

    def _on_contact(self, touching: Bool) -> None:
        if touching.data:
            self._end("contact")

    def _on_outcome(self, outcome: String) -> None:
        self._end("goal" if outcome.data == "reached" else outcome.data)

    def _end(self, outcome: str) -> None:
        self.outcome = self.outcome or outcome

    def _on_plan(self, path: PathMessage) -> None:
        self.plans += 1
        points = [(pose.pose.position.x, pose.pose.position.y) for pose in path.poses]
        self._path = np.array(points, np.float32).reshape(-1, 2)

    def _on_grid(self, grid: OccupancyGrid) -> None:
        self._grid = grid

    def _on_status(self, status: DepthStatus) -> None:
        self._state = STATES[status.scale_state]
        if self._began is not None:
            self.states[self._state] += 1
            if not status.metric:
                self.reasons[status.error_text or status.scale_reason] += 1

    def _on_image(self, image: Image) -> None:
        self._image = image

    def _on_depth(self, depth: Image) -> None:
        self._depth = depth


def main() -> int:
    """Run as a process; returns 0 when the drive has ended, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="merge_ros.demo.drive_recorder", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for drive.npz")
    parser.add_argument("--goal", type=float, nargs=2, required=True, help="x y in the odometry's frame, metres")
    parser.add_argument("--time-limit", type=float, default=180.0, help="simulated seconds (%(default)s)")
    arguments = parser.parse_args()
    ended = init_ros()
    try:
        recorder = DriveRecorder(tuple(arguments.goal), arguments.time_limit)
        while not recorder.outcome and not ended.is_set():
            rclpy.spin_once(recorder, timeout_sec=0.1)
        recorder.write(arguments.out / "drive.npz")
        emit("verdict", **recorder.verdict())
    finally:
        rclpy.try_shutdown()
    return 130 if ended.is_set() else 0


if __name__ == "__main__":
    sys.exit(main())
