"""A model that several cameras share and that hangs, over DDS between processes: told by each, and recovered from."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from camera_rig import CameraRig

from merge_ros.msg import DepthStatus

TIMEOUT = 1.0  # seconds
# The real process for several cameras with the real model, which never comes back from a batch with a black image.
HANGING_CAMERAS = """
import sys, threading
from merge_ros.ros import multi_camera_node

class HangingEstimator(multi_camera_node.DepthEstimator):
    def batch(self, images):
        if not all(image.any() for image in images):
            threading.Event().wait()
        return super().batch(images)

multi_camera_node.DepthEstimator = HangingEstimator
sys.exit(multi_camera_node.main())
"""


def test_a_shared_model_that_hangs_is_told_by_every_camera_and_loaded_once_anew(
    start_node: Any, graph: Any, handle_of: Any, often: Any, tell: Any
) -> None:
    process = start_node(
        HANGING_CAMERAS,
        name="multi_camera",
        scale_source="fixed",
        scale=2,
        inference_timeout=TIMEOUT,
        batch_patience=1.0,  # cameras that shoot together shall stay together, on a slow machine too
    ).process
    rig = CameraRig(graph)
    process.wait_for_output("listening to /rear/image")
    cameras = [handle_of(process, f"/{name}/merge") for name in ("front", "rear")]
    seen = rig.pictures["front"]
    times = often(1, 20)

    def timeouts() -> list[DepthStatus]:
        return [s for s in rig.statuses["front"] if s.error_code == DepthStatus.INFERENCE_TIMEOUT]

    taken = []
    for _ in range(times):
        rig.exchange("front", "rear")  # the first image of a size is given more time
        hung = len(timeouts())
        rig.exchange("front")  # waits in vain for the rear image, which is no inference
        assert len(timeouts()) == hung
        rig.pictures["front"] = 0 * seen
        rig.told(DepthStatus.INFERENCE_TIMEOUT, "front", "rear")
        assert [camera.state() for camera in cameras] == ["active", "active"]
        rig.pictures["front"] = seen
        begin = time.monotonic()
        rig.exchange("front", "rear")
        taken.append(time.monotonic() - begin)
    assert [camera.state() for camera in cameras] == ["active", "active"]
    tell(
        f"inference of a model that two cameras share never comes back, inference_timeout {TIMEOUT:g} s",
        f"{times}",
        f"each told by both cameras in ~/status; depth of both {max(taken):.1f} s after their next images were sent, "
        "at most, from one new engine that they share; SIGINT ends the process with status 0",
    )
    process.signal(signal.SIGINT)
    assert process.wait() == 0, process.output
    assert "Traceback" not in process.output
