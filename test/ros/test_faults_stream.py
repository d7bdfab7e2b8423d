"""A camera, a clock, a subscriber or a model that misbehaves while the node is active, over DDS between processes."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from node_programs import FRAGILE_NODE
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import array_to_image

LIMIT = 120.0  # seconds; reached only when something is broken
OK = DepthStatus.OK
# Subscribes to everything reliably, says so, and never reads.
DEAF_SUBSCRIBER = """
import time
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2
rclpy.init()
node = rclpy.create_node("deaf")
qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
topics = ((Image, "depth"), (Image, "depth_relative"), (PointCloud2, "points"))
kept = [node.create_subscription(kind, f"/merge/{topic}", print, qos) for kind, topic in topics]
print("subscribed", flush=True)
time.sleep(3600)
"""


def is_ok(status: DepthStatus) -> bool:
    return status.error_code == OK


def wait(condition: Any, what: str) -> Any:
    end = time.monotonic() + LIMIT
    while not (value := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.01)
    return value


@pytest.fixture(scope="module")
def node(start_node: Any, camera: Any, config_folder: Path) -> Any:
    """An active node with the shipped model in small, a fixed scale, and the transport of the launch files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(config_folder / "fastdds_shm.xml"))
        node = start_node(FRAGILE_NODE, scale_source="fixed", scale=2, far=100.0)
    node.bring_to("active")
    return node


@pytest.fixture
def large_picture() -> tuple[Image, CameraInfo]:
    """320x240: its cloud has more than 1 MB."""
    rows, columns = np.mgrid[:240, :320]
    image = array_to_image(np.stack([columns % 256, rows, rows], -1).astype(np.uint8), "rgb8", Header())
    return image, CameraInfo(width=320, height=240, k=[300.0, 0, 160, 0, 300, 120, 0, 0, 1])


@pytest.fixture
def deaf_subscriber(graph: Any, node_process: Any, tmp_path: Path) -> Callable[[], Any]:
    """Starts a subscriber that never reads: `with deaf_subscriber() as process`."""

    @contextmanager
    def start() -> Iterator[Any]:
        environment = {"ROS_DOMAIN_ID": str(graph.domain)}
        deaf = node_process([sys.executable, "-c", DEAF_SUBSCRIBER], tmp_path / "deaf.txt", environment)
        try:
            deaf.wait_for_output("subscribed")
            time.sleep(1.0)  # until the node knows it
            yield deaf
        finally:
            deaf.kill()

    return start


def test_a_camera_that_stops_is_told_and_may_return(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo, often: Any, tell: Any
) -> None:
    times = often(1, 20)
    for _ in range(times):
        camera.exchange(picture, picture_info, is_ok)
        silent = wait(lambda: _silent(node), "a warning of silence")
        assert silent.level == DiagnosticStatus.WARN
        status = camera.exchange(picture, picture_info, is_ok)
        assert camera.metric_outputs(status.header.stamp.sec)
        wait(
            lambda: node.diagnostics_after(time.time()).level == DiagnosticStatus.OK, "diagnostics that are well again"
        )
    tell(
        "camera stops and returns",
        f"{times}",
        "each time a warning in the diagnostics after 3 s, and depth from the first image after its return",
    )


def _silent(node: Any) -> Any:
    status = node.diagnostics_after(time.time())
    return status if "no image on /image for" in status.message else None


def test_an_info_that_changes_mid_run_counts_from_its_image_on(node: Any, camera: Any, often: Any, tell: Any) -> None:
    random = np.random.default_rng(5)
    times = often(10, 200)
    for _ in range(times):
        width, height = (int(side) for side in random.integers(16, 90, 2))
        focal = float(random.uniform(20, 200))
        image = array_to_image(random.integers(1, 255, (height, width, 3)).astype(np.uint8), "rgb8", Header())
        info = CameraInfo(width=width, height=height, k=[focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1])
        status = camera.exchange(image, info, is_ok)
        outputs = camera.metric_outputs(status.header.stamp.sec)
        paired = outputs["camera_info"]
        assert (paired.width, paired.height, paired.k[0]) == (width, height, focal)
        assert (outputs["depth"].width, outputs["points"].width) == (width, width)
    tell(
        "camera_info and image change size and K in every frame",
        f"{times}",
        "every frame processed, with the depth, cloud and info of its own size and K",
    )


def test_a_clock_that_jumps(
    node: Any, camera: Any, graph: Any, picture: Image, picture_info: CameraInfo, often: Any, tell: Any
) -> None:
    clock = graph.node.create_publisher(Clock, "/clock", 1)
    random = np.random.default_rng(6)
    times = often(6, 100)
    # A lock that needs one reading of the floor, and clouds at a rate: both live on stamps.
    together = {"max_age": 5.0, "cloud_rate": 5.0, "use_sim_time": True}
    assert node.set_together(**together).successful
    wait(clock.get_subscription_count, "a subscriber of the clock")
    for _ in range(times):
        now = int(random.integers(1000, 2_000_000))  # forwards and backwards by days
        end = time.monotonic() + LIMIT
        status = None
        while status is None or not is_ok(status):
            assert time.monotonic() < end, status
            message = Clock()
            message.clock.sec = now
            clock.publish(message)
            time.sleep(0.05)
            second = camera.shoot(picture, picture_info, now)
            patience = time.monotonic() + 2
            while (status := camera.status_of(second)) is None and time.monotonic() < patience:
                time.sleep(0.01)
            now += 1
        assert camera.metric_outputs(second)["points"].header.stamp.sec == second
    assert node.set_together(max_age=0.0, cloud_rate=0.0, use_sim_time=False).successful
    graph.node.destroy_publisher(clock)
    assert is_ok(camera.exchange(picture, picture_info, is_ok))
    tell(
        "clock jumps by up to 23 days, forwards and backwards, with use_sim_time, max_age and cloud_rate",
        f"{times}",
        "depth and cloud from the first frame at the new time",
    )


def test_a_slow_subscriber_slows_nobody(
    node: Any, camera: Any, large_picture: tuple[Image, CameraInfo], deaf_subscriber: Any, often: Any, tell: Any
) -> None:
    frames = often(20, 500)

    def milliseconds() -> float:
        """Median time from image to end of publishing."""
        taken = []
        for _ in range(frames):
            taken.append(camera.exchange(*large_picture, is_ok).latency_total_ms)
            camera.forget()
        return float(np.median(taken))

    alone = milliseconds()
    with deaf_subscriber():
        together = milliseconds()
    assert together < 3 * alone + 150
    status = camera.exchange(*large_picture, is_ok)
    assert camera.metric_outputs(status.header.stamp.sec)
    tell(
        "reliable subscriber of depth, relative depth and cloud that never reads",
        f"{frames} frames of 320x240",
        f"all processed and received by the other subscriber; image to end of publishing {together:.1f} ms (median), "
        f"{alone:.1f} ms without it",
    )


def test_a_subscriber_that_is_stopped_and_then_killed_starves_nobody(
    node: Any, camera: Any, large_picture: tuple[Image, CameraInfo], deaf_subscriber: Any, often: Any, tell: Any
) -> None:
    times, stopped, dead = often(1, 20), 10, 5
    longest = 0.0

    def receive(frames: int) -> None:
        nonlocal longest
        for _ in range(frames):
            camera.forget()
            status = camera.exchange(*large_picture, is_ok)
            told = time.monotonic()
            assert camera.metric_outputs(status.header.stamp.sec)
            longest = max(longest, time.monotonic() - told)

    for _ in range(times):
        with deaf_subscriber() as deaf:
            deaf.signal(signal.SIGSTOP)
            receive(stopped)
        receive(dead)
    tell(
        "reliable subscriber of depth, relative depth and cloud that is stopped (SIGSTOP) and then killed (SIGKILL)",
        f"{times} subscribers; {stopped} frames of 320x240 while stopped and {dead} after the end of each",
        f"depth, info, relative depth and cloud of every frame reached the other subscriber, {longest:.2f} s after its "
        "status at most",
    )


def test_a_model_that_raises_now_and_then_costs_these_frames_only(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo, often: Any, tell: Any
) -> None:
    black = array_to_image(np.zeros((48, 64, 3), np.uint8), "rgb8", Header())
    before = camera.exchange(picture, picture_info, is_ok)
    times = often(10, 500)
    for _ in range(times):
        camera.exchange(black, picture_info, lambda status: status.error_code == DepthStatus.INFERENCE_FAILED)
        camera.exchange(picture, picture_info, is_ok)
    status = camera.exchange(picture, picture_info, is_ok)
    failed = status.frames_failed - before.frames_failed
    assert failed >= times and status.frames_processed - before.frames_processed > times
    assert node.process.output.count("RuntimeError: black image") >= times
    tell(
        "model raises on every second frame",
        f"{times}",
        "each counted in frames_failed, told in ~/status and, with its traceback, in the log; the frames in between "
        "were all processed",
    )
