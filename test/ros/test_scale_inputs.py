"""The node's metric scale over real DDS: scans, clouds, depth images and an IMU in, states and metres out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from node_programs import KNOWING_NODE
from sensor_msgs.msg import CameraInfo, Image, Imu, LaserScan, PointCloud2, PointField, Range
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import down_in_camera, ground_depth
from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import array_to_image, image_to_array
from merge_ros.scale import ScaleState

CAMERA = Camera(160, 120, 110.0, 110.0, 79.5, 59.5)
HEIGHT, PITCH = 0.6, 0.25
LIMIT = 60.0


def room() -> np.ndarray:
    """Metres: floor, a wall at 4 m, a box at 1.6 m."""
    depth = np.minimum(ground_depth(CAMERA, HEIGHT, PITCH, 0.0), 4.0)
    depth[20:70, 20:60] = np.minimum(depth[20:70, 20:60], 1.6)
    return depth


def painted(depth: np.ndarray, seed: int) -> Image:
    """The picture of a frame with its own normalisation."""
    rng = np.random.default_rng(seed)
    low, high = depth.min() * rng.uniform(0.5, 0.95), depth.max() * rng.uniform(1.05, 1.5)
    code = np.rint((depth - low) / (high - low) * 65535).astype(np.uint16)
    rgb = np.stack([code >> 8, code & 255, 0 * code], -1).astype(np.uint8)
    return array_to_image(rgb, "rgb8", Header())


@pytest.fixture
def info() -> CameraInfo:
    return CameraInfo(width=160, height=120, k=[110.0, 0, 79.5, 0, 110.0, 59.5, 0, 0, 1])


class Robot:
    """Publishes frames with fresh stamps, and a reference shortly before each."""

    def __init__(self, camera: Any, graph: Any, info: CameraInfo) -> None:
        self.camera, self.graph, self.info = camera, graph, info
        self.publishers: dict[str, Any] = {}
        self.frames = 0

    def send(self, topic: str, message: Any, frame: str) -> None:
        if topic not in self.publishers:
            self.publishers[topic] = self.graph.node.create_publisher(type(message), topic, 1)
            self.graph.wake()
        stamp = self.now
        message.header.frame_id = frame
        message.header.stamp.sec, message.header.stamp.nanosec = int(stamp), round(stamp % 1 * 1e9)
        self.publishers[topic].publish(message)

    def run(
        self, accept: Callable[[DepthStatus], bool], reference: Callable[[], None] | None = None, limit: float = LIMIT
    ) -> DepthStatus:
        """Frames at 10 Hz of their own time until a status is accepted."""
        end = time.monotonic() + limit
        seen = len(self.camera.statuses)
        while time.monotonic() < end:
            self.frames += 1
            self.now = 1000.0 + 0.1 * self.frames
            if reference is not None:
                reference()
                time.sleep(0.03)
            image = painted(room(), self.frames)
            for message, publisher in ((self.info, self.camera._infos), (image, self.camera._images)):
                message.header.frame_id = "camera_optical"
                message.header.stamp.sec = int(self.now)
                message.header.stamp.nanosec = round(self.now % 1 * 1e9) % 10**9
                publisher.publish(message)
            time.sleep(0.07)
            for status in self.camera.statuses[seen:]:
                if accept(status):
                    return status
            seen = len(self.camera.statuses)
        pytest.fail(f"not accepted: {self.camera.statuses[-1] if self.camera.statuses else 'no status'}")


@pytest.fixture(scope="module")
def node(start_node: Any, camera: Any) -> Any:
    started = start_node(KNOWING_NODE)
    started.bring_to("active")
    return started


@pytest.fixture
def robot(node: Any, camera: Any, graph: Any, info: CameraInfo) -> Robot:
    return Robot(camera, graph, info)


def is_locked(status: DepthStatus) -> bool:
    return status.scale_state == DepthStatus.SCALE_LOCKED


def metres_are_right(robot: Robot, status: DepthStatus) -> None:
    """~/depth of the newest metric frame is the room, to 3 %."""
    end = time.monotonic() + LIMIT
    while not robot.camera.outputs["depth"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    depth = image_to_array(robot.camera.outputs["depth"][-1])
    assert np.median(np.abs(depth / room() - 1)) < 0.03
    assert status.metric and status.scale > 0 and np.isfinite(status.shift)
    assert 0 < status.sigma_1m < status.sigma_5m < 1.5
    assert status.reference_inliers > 0.1 and status.reference_spread > 1.1 and status.unconfirmed_seconds == 0.0


def test_the_floor_locks_and_calibrate_starts_afresh(node: Any, robot: Robot, graph: Any) -> None:
    assert node.set_together(
        scale_source="ground_plane", camera_height=HEIGHT, camera_pitch=PITCH, camera_mounting="parameters"
    ).successful
    status = robot.run(is_locked)
    metres_are_right(robot, status)
    before = len(robot.camera.statuses)
    answer = graph.call(Trigger, "/merge/calibrate")
    assert answer.success and "searching" in answer.message
    robot.run(lambda s: s.scale_state == DepthStatus.SCALE_SEARCHING)
    robot.run(is_locked)
    searching = [s for s in robot.camera.statuses[before:] if s.scale_state == DepthStatus.SCALE_SEARCHING]
    assert searching and not any(s.metric or s.scale == s.scale for s in searching)
    assert "readings that it takes" in searching[0].scale_reason
    values = {v.key: v.value for v in node.diagnostics_after(time.time()).values}
    assert values["scale_state"] in ("LOCKED", "HOLDING") and float(values["sigma_3m"]) > 0


def test_calibrate_says_when_there_is_nothing_to_calibrate(node: Any, graph: Any) -> None:
    assert node.set_parameters(scale_source="none")[0].successful
    answer = graph.call(Trigger, "/merge/calibrate")
    assert not answer.success and "'none'" in answer.message


def scan() -> LaserScan:
    """A planar lidar 10 cm above the camera, pitched down by 0.1 rad: what it sees of the room's wall and box."""
    angles = np.linspace(-0.6, 0.6, 121)
    depth = room()
    ranges = []
    for angle in angles:
        # The plane of the scanner crosses the view about its middle; the box reaches there.
        column = round(79.5 - 110 * np.tan(angle))
        ranges.append(depth[40, min(max(column, 0), 159)] / np.cos(angle))
    return LaserScan(
        angle_min=-0.6, angle_max=0.6, angle_increment=0.01, range_min=0.1, range_max=20.0, ranges=np.float32(ranges)
    )


def cloud() -> PointCloud2:
    points = (CAMERA.rays() * room()[..., None])[::4, ::4].reshape(-1, 3).astype(np.float32)
    body = np.stack([points[:, 2], -points[:, 0], -points[:, 1]], 1)
    body[::7] = np.nan
    padded = np.zeros(
        len(body), {"names": ["y", "x", "z"], "formats": ["<f4"] * 3, "offsets": [4, 8, 20], "itemsize": 32}
    )
    for axis, name in enumerate("xyz"):
        padded[name] = body[:, axis]
    message = PointCloud2(height=1, width=len(body), point_step=32, row_step=32 * len(body))
    kind = PointField.FLOAT32
    message.fields = [
        PointField(name=n, offset=o, datatype=kind, count=1) for n, o in zip("yxz", (4, 8, 20), strict=True)
    ]
    message.data = padded.tobytes()
    return message


@pytest.mark.parametrize("kind", ["scan", "points"])
def test_range_messages_lock_through_the_extrinsic(node: Any, robot: Robot, kind: str) -> None:
    assert node.set_together(scale_source="none").successful  # starts afresh
    pitch = 0.0 if kind == "points" else -np.arctan2(19.5, 110.0)  # the scan's plane looks where row 40 does
    assert node.set_together(scale_source="range", reference_pose="parameters", reference_pitch=float(pitch)).successful
    make = {"scan": scan, "points": cloud}[kind]
    status = robot.run(is_locked, lambda: robot.send(f"/reference/{kind}", make(), "lidar"))
    if kind == "points":
        metres_are_right(robot, status)
    assert status.scale_source == "range"


@pytest.mark.parametrize(("encoding", "shrink"), [("32FC1", 1), ("16UC1", 2), ("32FC1", 3)])
def test_another_depth_image_of_any_size_locks(node: Any, robot: Robot, encoding: str, shrink: int) -> None:
    assert node.set_together(scale_source="none").successful
    assert node.set_together(scale_source="depth", reference_camera="same").successful
    depth = room()[shrink // 2 :: shrink, shrink // 2 :: shrink].copy()
    depth[::5] = 0 if encoding == "16UC1" else np.nan

    def send() -> None:
        array = np.rint(1000 * depth).astype(np.uint16) if encoding == "16UC1" else depth.astype(np.float32)
        robot.send("/reference/depth", array_to_image(array, encoding, Header()), "camera_optical")

    metres_are_right(robot, robot.run(is_locked, send))


def test_a_silent_reference_is_held_and_then_lost_with_the_reason(node: Any, robot: Robot) -> None:
    assert node.set_together(scale_source="none").successful
    assert node.set_together(scale_source="depth", reference_camera="same", hold_seconds=2.0).successful
    depth = room().astype(np.float32)
    robot.run(
        is_locked, lambda: robot.send("/reference/depth", array_to_image(depth, "32FC1", Header()), "camera_optical")
    )
    held = robot.run(lambda s: s.scale_state == DepthStatus.SCALE_HOLDING)
    assert held.metric and "reference_max_age" in held.scale_reason and held.unconfirmed_seconds > 0
    lost = robot.run(lambda s: s.scale_state == DepthStatus.SCALE_LOST)
    assert not lost.metric and lost.error_code == DepthStatus.NO_METRIC_SCALE and "LOST" in lost.error_text
    assert node.set_parameters(hold_seconds=1.0)[0].successful


def test_an_imu_gives_the_attitude(node: Any, robot: Robot) -> None:
    assert node.set_together(scale_source="none", reference_pitch=0.0).successful
    assert node.set_together(scale_source="ground_plane", camera_mounting="imu", camera_height=HEIGHT).successful
    silent = robot.run(lambda s: s.scale_state == DepthStatus.SCALE_SEARCHING)
    assert "no acceleration has come" in silent.scale_reason
    up = -down_in_camera(PITCH, 0.0) * 9.81
    imu = Imu()
    imu.linear_acceleration.x, imu.linear_acceleration.y, imu.linear_acceleration.z = up[2], -up[0], -up[1]
    metres_are_right(robot, robot.run(is_locked, lambda: robot.send("/imu", imu, "imu")))


def test_a_malformed_reference_is_survived_and_warned_of(node: Any, robot: Robot) -> None:
    assert node.set_together(scale_source="none", camera_mounting="parameters").successful
    assert node.set_together(scale_source="range").successful
    bad = [
        PointCloud2(height=1, width=100, point_step=12, row_step=1200),
        cloud(),
        Range(field_of_view=-1.0, range=1.0, max_range=5.0),
        LaserScan(angle_increment=float("nan"), ranges=[1.0]),
    ]
    bad[1].point_step = 4

    def send() -> None:
        for topic, message in zip(("points", "points", "range", "scan"), bad, strict=True):
            robot.send(f"/reference/{topic}", message, "lidar")

    robot.run(lambda s: "no reference has come" in s.scale_reason, send)
    robot.run(lambda s: True, send)
    assert "cloud" in node.process.output and "Traceback" not in node.process.output


def test_the_states_of_the_message_are_those_of_the_lock() -> None:
    for state in ScaleState:
        assert getattr(DepthStatus, f"SCALE_{state.name}") == state
