"""A model that hangs, over DDS between processes: told, recovered from, or left through ErrorProcessing."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import TransitionEvent
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import array_to_image

TIMEOUT = 1.0  # seconds
# The real node with the real model, which never comes back from a black image; and once it has seen a white one, from
# none, and neither do those that take over, until it is configured again.
HANGING_NODE = """
import sys, threading
from merge_ros.ros import depth_node

class HangingEstimator(depth_node.DepthEstimator):
    hopeless = False

    def __init__(self, settings):
        super().__init__(settings)
        if threading.current_thread() is threading.main_thread():  # a configuration
            HangingEstimator.hopeless = False

    def warm_up(self, width, height):
        pass

    def __call__(self, rgb):
        if rgb.min() == 255:
            HangingEstimator.hopeless = True
        if HangingEstimator.hopeless or not rgb.any():
            threading.Event().wait()
        return super().__call__(rgb)

depth_node.DepthEstimator = HangingEstimator
sys.exit(depth_node.main())
"""


def has(code: int) -> Callable[[DepthStatus], bool]:
    return lambda status: status.error_code == code


@pytest.fixture
def node(start_node: Any, camera: Any, picture: Image, picture_info: CameraInfo) -> Any:
    """An active node that has done a frame: the first one of a size is given more time."""
    node = start_node(
        HANGING_NODE,
        scale_source="fixed",
        scale=2,
        # The model is ready within milliseconds; but a busy machine must not look like a model that hangs.
        inference_timeout=TIMEOUT,
    )
    node.bring_to("active")
    camera.exchange(picture, picture_info, has(DepthStatus.OK))
    yield node
    node.process.kill()
    camera.forget()


def of_one_colour(value: int) -> Image:
    return array_to_image(np.full((48, 64, 3), value, np.uint8), "rgb8", Header())


def test_a_hung_frame_is_told_and_the_next_one_is_done_by_a_new_engine(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo, often: Any, tell: Any
) -> None:
    times = often(1, 20)
    taken = []
    for count in range(1, times + 1):
        begin = time.monotonic()
        status = camera.exchange(of_one_colour(0), picture_info, has(DepthStatus.INFERENCE_TIMEOUT))
        assert time.monotonic() - begin >= TIMEOUT
        assert "the limit is 1 s: inference_timeout" in status.error_text
        assert status.frames_failed == count and status.latency_inference_ms >= 1000 * TIMEOUT
        values = {value.key: value.value for value in node.diagnostics_after(time.time()).values}
        assert values["hung_inferences"] == values["inference_timeout"] == str(count)
        assert values["state"] == "active"

        told = time.monotonic()
        camera.exchange(picture, picture_info, has(DepthStatus.OK))
        taken.append(time.monotonic() - told)
        assert node.process.output.count("loading a new engine") == count
    assert node.state() == "active"
    tell(
        f"inference never comes back, inference_timeout {TIMEOUT:g} s",
        f"{times}",
        f"each told in ~/status and diagnostics; depth of the next image {max(taken):.1f} s after it was sent, "
        f"at most; {times} threads left behind; SIGINT ends the process with status 0",
    )

    node.process.signal(signal.SIGINT)  # with a thread that hangs
    assert node.process.wait() == 0, node.process.output
    assert "Traceback" not in node.process.output


def test_a_model_that_hangs_again_leads_to_unconfigured_with_the_reason_and_back(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo, graph: Any, often: Any, tell: Any
) -> None:
    events = graph.collect(TransitionEvent, "/merge/transition_event")
    times = often(1, 10)
    for count in range(1, times + 1):
        camera.exchange(of_one_colour(255), picture_info, has(DepthStatus.INFERENCE_TIMEOUT))
        end = time.monotonic() + 120
        while node.state() != "unconfigured" and time.monotonic() < end:
            camera.shoot(picture, picture_info)
            time.sleep(0.1)
        assert node.state() == "unconfigured"
        assert [event.goal_state.label for event in events].count("errorprocessing") == count
        status = node.diagnostics_after(time.time())
        assert status.level == DiagnosticStatus.ERROR and "given up" in status.message
        assert "given up" in node.process.output
        assert node.change("configure", "activate") == [True, True]
        camera.exchange(picture, picture_info, has(DepthStatus.OK))
    tell(
        "inference never comes back, and neither does that of the engine that takes over",
        f"{times}",
        "each time through ErrorProcessing to unconfigured, with the reason in log and diagnostics; depth again once "
        "it was configured and activated again",
    )


def test_deactivation_does_not_wait_for_ever(node: Any, camera: Any, picture_info: CameraInfo) -> None:
    for _ in range(5):  # an image may be lost on its way
        camera.shoot(of_one_colour(0), picture_info)
        time.sleep(0.02)
    assert node.change("deactivate") == [True]
    assert node.state() == "inactive"
    assert node.change("cleanup") == [True]


def test_sigterm_ends_the_process_while_the_model_hangs(node: Any, camera: Any, picture_info: CameraInfo) -> None:
    assert node.set_parameters(inference_timeout=0.0)[0].successful  # nothing else would end the wait
    for _ in range(10):
        camera.shoot(of_one_colour(0), picture_info)
        time.sleep(0.05)
    node.process.signal(signal.SIGTERM)
    begin = time.monotonic()
    assert node.process.wait() == 0, node.process.output
    assert time.monotonic() - begin < 60
    assert "Traceback" not in node.process.output
