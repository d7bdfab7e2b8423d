"""The camera's mounting from real TF: tf2_ros in the node, and a broadcaster in another process."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from node_programs import KNOWING_NODE
from ros2_real import Ros2Real
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import ground_depth
from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import array_to_image

CAMERA = Camera(160, 120, 110.0, 110.0, 79.5, 59.5)
HEIGHT, PITCH = 0.6, 0.25

# base_footprint -> base_link -> camera_optical, the camera pitched down.
BROADCASTER = """
import math, sys
import rclpy
from geometry_msgs.msg import TransformStamped
from tf2_ros import StaticTransformBroadcaster

rclpy.init()
node = rclpy.create_node("robot_frames")
height, pitch = float(sys.argv[1]), float(sys.argv[2])

def transform(parent, child, z, quaternion):
    found = TransformStamped()
    found.header.frame_id, found.child_frame_id = parent, child
    found.transform.translation.z = z
    r = found.transform.rotation
    r.x, r.y, r.z, r.w = quaternion
    return found

body = (0.0, math.sin(pitch / 2), 0.0, math.cos(pitch / 2))
broadcaster = StaticTransformBroadcaster(node)
broadcaster.sendTransform([
    transform("base_footprint", "base_link", 0.1, (0.0, 0.0, 0.0, 1.0)),
    transform("base_link", "camera_link", height - 0.1, body),
    transform("camera_link", "camera_optical", 0.0, (-0.5, 0.5, -0.5, 0.5)),
])
print("told", flush=True)
rclpy.spin(node)
"""


def test_height_and_pitch_come_from_tf(
    ros2_real: Ros2Real, graph: Any, camera: Any, node_process: Any, handle_of: Any, tmp_path: Path
) -> None:
    environment = ros2_real.environment(ROS_DOMAIN_ID=str(graph.domain))
    arguments = ["--ros-args", "-r", "__node:=merge", "-p", "scale_source:=ground_plane", "-p", "camera_mounting:=tf"]
    node = node_process([sys.executable, "-c", KNOWING_NODE, *arguments], tmp_path / "node.txt", environment)
    frames = node_process(
        [sys.executable, "-c", BROADCASTER, str(HEIGHT), str(PITCH)], tmp_path / "frames.txt", environment
    )
    try:
        frames.wait_for_output("told")
        handle_of(node).bring_to("active")
        depth = np.minimum(ground_depth(CAMERA, HEIGHT, PITCH, 0.0), 4.0)
        depth[20:70, 20:60] = np.minimum(depth[20:70, 20:60], 1.6)
        code = np.rint((depth - depth.min()) / (depth.max() - depth.min()) * 60000 + 2000).astype(np.uint16)
        image = array_to_image(np.stack([code >> 8, code & 255, 0 * code], -1).astype(np.uint8), "rgb8", Header())
        info = CameraInfo(width=160, height=120, k=[110.0, 0, 79.5, 0, 110.0, 59.5, 0, 0, 1])
        end = time.monotonic() + 60
        second = 1000
        locked = None
        while locked is None and time.monotonic() < end:
            # A stamp at which static transforms hold; one second is the longest gap that does not start afresh.
            second += 1
            camera.shoot(image, info, second)
            time.sleep(0.15)
            locked = next((s for s in camera.statuses if s.scale_state == DepthStatus.SCALE_LOCKED), None)
        assert locked is not None, f"{camera.statuses[-1] if camera.statuses else 'no status'}\n{node.output}"
        assert locked.metric
        found = locked.scale * (code / 65535) + locked.shift
        np.testing.assert_allclose(np.median(found / depth), 1.0, atol=0.01)
    finally:
        node.kill()
        frames.kill()


def test_tf_without_tf2_ros_is_refused_with_what_to_do(start_node: Any, random_model: Path) -> None:
    import importlib.util

    if importlib.util.find_spec("tf2_ros") is not None:
        pytest.skip("tf2_ros is installed here")
    node = start_node(model=random_model, scale_source="ground_plane", camera_mounting="tf")
    assert node.change("configure") == [False]
    assert "tf2-ros-py" in node.process.output
    refused = node.set_together(scale_source="range", reference_pose="tf", camera_mounting="parameters")
    assert not refused.successful and "tf2_ros" in refused.reason
