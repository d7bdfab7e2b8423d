"""Newest frame wins under a model that is slower than the camera, and images that are too old are dropped."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image

from merge_ros.msg import DepthStatus

LIMIT = 120.0  # seconds; reached only when something is broken
# Makes a model of a few thousand weights slow: 2000 tokens of attention, and convolutions over the whole image.
SLOW_PIXELS = 128 * 1024


@pytest.fixture(scope="module")
def node(start_node: Any, random_model: Path, camera: Any) -> Any:
    """An active node that is slow because its network works on a large image."""
    node = start_node(model=random_model, processing_pixels=SLOW_PIXELS, scale_source="fixed", scale=2)
    node.bring_to("active")
    return node


def ok(status: DepthStatus) -> bool:
    return status.error_code == DepthStatus.OK


def wait(condition: Any) -> Any:
    end = time.monotonic() + LIMIT
    while not (value := condition()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return value


def test_newest_frame_wins_and_the_older_ones_are_dropped_and_counted(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    first = camera.exchange(picture, picture_info, ok)
    assert first.latency_inference_ms > 100, "the model must be slow for this test to say anything"
    begin = len(camera.statuses)
    sent = []
    end = time.monotonic() + 6 * first.latency_inference_ms / 1e3
    while time.monotonic() < end:
        sent.append(camera.shoot(picture, picture_info))
        time.sleep(first.latency_inference_ms / 1e3 / 8)
    last = wait(lambda: camera.status_of(sent[-1]))
    assert ok(last)  # nothing newer came: the last frame must be worked on

    statuses = camera.statuses[begin:]
    processed = [status for status in statuses if ok(status)]
    dropped = [status for status in statuses if status.error_code == DepthStatus.STALE_FRAME]
    assert len(processed) >= 2 and len(dropped) > len(processed)
    assert all("newer image" in status.error_text for status in dropped)
    assert last.frames_dropped - first.frames_dropped >= len(dropped)
    assert last.frames_received == last.frames_processed + last.frames_dropped
    # Never backwards, and no queue: a processed frame waited for at most about one inference.
    order = [status.header.stamp.sec for status in processed]
    assert order == sorted(order)
    slowest = max(status.latency_inference_ms + status.latency_publish_ms for status in (first, *processed))
    assert all(status.latency_queue_ms < 1.5 * slowest + 100 for status in processed)


def test_dropping_for_newer_frames_is_no_alarm(node: Any) -> None:
    status = node.diagnostics_after(time.time())
    assert status.level != DiagnosticStatus.ERROR and "stale" not in status.message
    assert int({value.key: value.value for value in status.values}["stale_frame"]) > 0


def test_services_answer_while_the_model_works(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    """Two answers come before the status of a frame that was sent earlier."""
    camera.exchange(picture, picture_info, ok)
    for _ in range(10):  # a frame may be lost on its way, or be done before this process gets a turn
        second = camera.shoot(picture, picture_info)
        assert node.get_parameter("scale") == 2.0
        assert node.state() == "active"
        in_flight = camera.status_of(second) is None
        patience = time.monotonic() + 10
        if wait(lambda second=second, end=patience: camera.status_of(second) or time.monotonic() > end) is True:
            continue
        if in_flight:
            return
    pytest.fail("no answer came while the model worked")


def test_deactivation_waits_for_the_frame_in_flight(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    """Sent, then deactivated at once: when the transition is answered, the frame is done and its depth is published."""
    for _ in range(10):  # the frame may be lost on its way, or come after the request
        wait(camera.connected)
        camera.exchange(picture, picture_info, ok)
        second = camera.shoot(picture, picture_info)
        time.sleep(0.03)
        done_before = camera.status_of(second) is not None
        assert node.change("deactivate") == [True]
        time.sleep(0.2)  # the answer and the status travel on different topics
        status = camera.status_of(second)
        assert node.change("activate") == [True]
        if status is not None and not done_before:
            assert ok(status)
            wait(lambda second=second: camera.output_of(second, "depth"))
            return
    pytest.fail("no frame was in flight when the node was deactivated")


def test_images_that_are_too_old_are_dropped_by_the_clock_of_the_node(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo, graph: Any
) -> None:
    """With simulated time, so that the ages are exact."""
    clock = graph.node.create_publisher(Clock, "/clock", 1)
    assert node.set_together(use_sim_time=True, max_age=2.0).successful
    now = Clock()
    now.clock.sec = 500_000

    def show(age: int) -> DepthStatus:
        """The status of an image that is `age` seconds old; the clock stands still."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            clock.publish(now)
            time.sleep(0.1)
            second = camera.shoot(picture, picture_info, now.clock.sec - age)
            patience = time.monotonic() + 10
            while time.monotonic() < patience:
                status = camera.status_of(second)
                if status is not None and (age <= 2 or "newer" not in status.error_text):
                    return status
                time.sleep(0.01)
            now.clock.sec += 100  # a stamp of its own for the next try
        raise AssertionError("no status")

    wait(lambda: clock.get_subscription_count())
    fresh = show(1)
    assert ok(fresh)
    now.clock.sec += 100
    old = show(9)
    assert old.error_code == DepthStatus.STALE_FRAME
    assert "8.877 s old" in old.error_text and "max_age is 2 s" in old.error_text
    assert old.frames_dropped > fresh.frames_dropped
    assert camera.output_of(old.header.stamp.sec, "depth_relative") is None
    now.clock.sec += 100
    assert ok(show(-3))  # from the future: a stamp that is ahead is no reason to drop
    assert node.set_together(use_sim_time=False, max_age=0.0).successful


def test_signals_end_the_node_cleanly_with_one_frame_in_flight_and_one_waiting(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    camera.exchange(picture, picture_info, ok)
    for _ in range(6):
        camera.shoot(picture, picture_info)
        time.sleep(0.03)
    node.process.signal(signal.SIGINT)
    time.sleep(0.02)
    node.process.signal(signal.SIGINT)
    assert node.process.wait() == 0, node.process.output
    assert "Traceback" not in node.process.output, node.process.output
