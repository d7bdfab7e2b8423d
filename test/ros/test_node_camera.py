"""What a camera user may ask of the node, over DDS: compressed images, calibration files, rates, sizes, QoS."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import image_to_array

LIMIT = 120.0  # seconds; reached only when something is broken
SCALE, SHIFT = 4.0, 0.5
OK = DepthStatus.OK
DEFAULTS = {
    "image_transport": "raw",
    "camera_info_file": "",
    "rectify": False,
    "image_rotation": 0,
    "max_rate": 0.0,
    "on_demand": True,
    "depth_encoding": "32FC1",
    "output_width": 0,
    "edge_filter": 0.0,
    "farthest": "surface",
}


@pytest.fixture(scope="module")
def running(start_node: Any, camera: Any) -> Any:
    """An active node with a fixed scale and overridden QoS, shared by the module."""
    node = start_node(
        scale_source="fixed",
        scale=SCALE,
        shift=SHIFT,
        **{
            "qos_overrides./merge/scan.publisher.reliability": "best_effort",
            "qos_overrides./merge/scan.publisher.depth": 3,
            "qos_overrides./image.subscription.reliability": "reliable",
            "qos_overrides./image.subscription.depth": 2,
        },
    )
    node.bring_to("active")
    return node


@pytest.fixture
def node(running: Any) -> Any:
    """The shared node, with the parameters that every test starts from."""
    result = running.set_together(**DEFAULTS)
    assert result.successful, result.reason
    return running


def has(code: int) -> Callable[[DepthStatus], bool]:
    return lambda status: status.error_code == code


def values_of(node: Any) -> dict[str, str]:
    return {value.key: value.value for value in node.diagnostics_after(time.time()).values}


@pytest.fixture(scope="module")
def compressed_camera(graph: Any, camera: Any) -> Callable[..., DepthStatus]:
    """Sends bytes as a compressed image, with an info, until the status of such a frame is accepted."""
    publisher = graph.node.create_publisher(CompressedImage, "/image/compressed", 1)

    def exchange(data: bytes, info: CameraInfo, accept: Callable[[DepthStatus], bool]) -> DepthStatus:
        end = time.monotonic() + LIMIT
        last = None
        while time.monotonic() < end:
            second = camera.shoot(None, info)
            message = CompressedImage(format="jpeg", header=info.header)
            message.data.frombytes(data)
            publisher.publish(message)
            patience = time.monotonic() + 5
            while camera.status_of(second) is None and time.monotonic() < patience:
                time.sleep(0.01)
            last = camera.status_of(second) or last
            if last is not None and last.header.stamp.sec == second and accept(last):
                return last
        pytest.fail(f"no status was accepted; the last one was {last}")

    return exchange


def test_jpeg_and_png_over_dds_and_bad_bytes_in_between(
    node: Any, camera: Any, compressed_camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    rgb = image_to_array(picture)
    png = cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()
    jpeg = cv2.imencode(".jpg", rgb[..., ::-1])[1].tobytes()
    raw = camera.exchange(picture, picture_info, has(OK))
    exact = image_to_array(camera.metric_outputs(raw.header.stamp.sec)["depth_relative"])

    assert node.set_together(image_transport="compressed").successful
    assert values_of(node)["image_topic"] == "/image/compressed"
    refused_before = int(values_of(node)["invalid_image"])
    bad = (
        b"",
        b"no picture",
        jpeg[: len(jpeg) // 2],
        png[:16] + bytes(8) + png[24:],
        png[:16] + b"\0\1\0\0" * 2 + png[24:],
    )
    for data in bad:
        status = compressed_camera(data, picture_info, has(DepthStatus.INVALID_IMAGE))
        assert status.error_text and math.isnan(status.latency_inference_ms)
    assert "65536x65536" in status.error_text
    for data in (jpeg, png):
        status = compressed_camera(data, picture_info, has(OK))
        outputs = camera.metric_outputs(status.header.stamp.sec)
        assert (outputs["depth"].width, outputs["depth"].height) == (64, 48)
        assert outputs["depth"].header.frame_id == "camera_optical"
    np.testing.assert_array_equal(image_to_array(outputs["depth_relative"]), exact)  # the last one was PNG
    assert int(values_of(node)["invalid_image"]) - refused_before >= len(bad)

    assert node.set_together(image_transport="raw").successful
    camera.exchange(picture, picture_info, has(OK))


def test_millimetres_at_half_the_size(node: Any, camera: Any, picture: Image, picture_info: CameraInfo) -> None:
    assert node.set_together(depth_encoding="16UC1", output_width=32).successful
    status = camera.exchange(picture, picture_info, has(OK))
    outputs = camera.metric_outputs(status.header.stamp.sec)
    assert outputs["depth"].encoding == "16UC1" and outputs["depth"].step == 64
    millimetres, relative = image_to_array(outputs["depth"]), image_to_array(outputs["depth_relative"])
    assert millimetres.shape == relative.shape == (24, 32)
    np.testing.assert_allclose(millimetres, 1000 * (SCALE * relative + SHIFT), atol=0.51)
    info = outputs["camera_info"]
    assert (info.width, info.height, outputs["points"].width) == (32, 24, 32)
    np.testing.assert_allclose(info.k, [30, 0, 15.75, 0, 30.5, 11.75, 0, 0, 1])


def test_a_calibration_file_takes_the_place_of_the_topic(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo, tmp_path: Path
) -> None:
    """And rectifies; a file that cannot be used is refused with the reason, and changes nothing."""
    file = tmp_path / "camera.yaml"
    file.write_text(
        "image_width: 64\nimage_height: 48\ndistortion_model: plumb_bob\n"
        "camera_matrix: {data: [50, 0, 31, 0, 51, 23, 0, 0, 1]}\n"
        "distortion_coefficients: {data: [-0.2, 0.05, 0, 0, 0]}\n"
    )
    refused = node.set_together(camera_info_file="/no/such/file.yaml")
    assert not refused.successful and "/no/such/file.yaml cannot be read" in refused.reason
    result = node.set_together(camera_info_file=str(file), rectify=True)
    assert result.successful, result.reason
    status = camera.exchange(picture, None, has(OK))
    info = camera.metric_outputs(status.header.stamp.sec)["camera_info"]
    np.testing.assert_allclose(info.k, [50, 0, 31, 0, 51, 23, 0, 0, 1])
    assert not any(info.d) and info.header == status.header
    # Back to the topic: the file is forgotten.
    assert node.set_together(camera_info_file="", rectify=False).successful
    camera.exchange(picture, None, has(DepthStatus.MISSING_CAMERA_INFO))
    camera.exchange(picture, picture_info, has(OK))


def test_a_bad_calibration_file_and_a_bad_qos_fail_configuration_with_the_reason(start_node: Any) -> None:
    parameters = {
        "camera_info_file": "/no/such/file.yaml",
        "qos_overrides./other/depth.publisher.reliability": "sometimes",
    }
    other = start_node(name="other", **parameters)
    assert other.change("configure") == [False] and other.state() == "unconfigured"
    assert "/no/such/file.yaml cannot be read" in other.diagnostics_after(time.time()).message
    assert other.set_together(camera_info_file="").successful
    moment = time.time()
    assert other.change("configure") == [False] and other.state() == "unconfigured"
    assert "sometimes" in other.diagnostics_after(moment + 1.0).message
    other.process.kill()


def test_max_rate_drops_by_the_stamps_and_counts_and_survives_a_clock_that_jumps_back(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    assert node.set_together(max_rate=0.25).successful  # one image in four seconds of stamps
    dropped = camera.exchange(picture, picture_info, has(DepthStatus.RATE_LIMITED))
    assert "max_rate=0.25" in dropped.error_text and dropped.frames_dropped >= 1
    assert camera.output_of(dropped.header.stamp.sec, "depth_relative") is None
    worked_on = camera.exchange(picture, picture_info, has(OK))
    seconds = [s.header.stamp.sec for s in camera.statuses if s.error_code == OK][-2:]
    later = camera.exchange(picture, picture_info, has(OK))
    assert later.header.stamp.sec - worked_on.header.stamp.sec >= 4 and len(seconds) == 2
    for attempt in range(20):  # each may be lost on its way; each lies before the one before
        second = camera.shoot(picture, picture_info, 500 - 10 * attempt)
        end = time.monotonic() + 5
        while camera.status_of(second) is None and time.monotonic() < end:
            time.sleep(0.01)
        if camera.status_of(second) is not None:
            break
    assert camera.status_of(second).error_code == OK
    assert int(values_of(node)["rate_limited"]) >= 1


def test_qos_overrides_reach_the_publisher_and_the_image_subscription(node: Any, graph: Any) -> None:
    def qos(look: Callable[[str], list[Any]], topic: str) -> Any:
        """Of the node's endpoint, once it has been discovered."""
        end = time.monotonic() + LIMIT
        while not (found := [info.qos_profile for info in look(topic) if info.node_name == "merge"]):
            assert time.monotonic() < end
            time.sleep(0.02)
        return found[0]

    publishers, subscriptions = graph.node.get_publishers_info_by_topic, graph.node.get_subscriptions_info_by_topic
    assert qos(publishers, "/merge/scan").reliability == ReliabilityPolicy.BEST_EFFORT
    assert qos(publishers, "/merge/points").reliability == ReliabilityPolicy.RELIABLE
    assert qos(subscriptions, "/image").reliability == ReliabilityPolicy.RELIABLE
    assert qos(subscriptions, "/camera_info").reliability == ReliabilityPolicy.BEST_EFFORT
    assert node.get_parameter("qos_overrides./image.subscription.depth") == 2
    # What is overridden stays so when the subscription is made again.
    assert node.change("deactivate", "activate") == [True, True]
    assert qos(subscriptions, "/image").reliability == ReliabilityPolicy.RELIABLE


def test_without_listeners_nothing_is_computed_unless_asked_for(
    start_node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    """A node whose topics nobody subscribes to; its diagnostics tell."""
    quiet = start_node(name="quiet")
    quiet.bring_to("active")

    def shoot_until(counter: str) -> dict[str, str]:
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            camera.shoot(picture, picture_info)
            time.sleep(0.2)
            status = quiet.diagnostics_after(time.time() - 1)
            values = {value.key: value.value for value in status.values} | {"message": status.message}
            if int(values[counter]) > 0:
                return values
        raise AssertionError(counter)

    idle = shoot_until("frames_idle")
    assert idle["frames_processed"] == "0" and "nobody listens" in idle["message"]
    assert quiet.set_together(on_demand=False).successful
    assert int(shoot_until("frames_processed")["frames_processed"]) > 0
    quiet.process.kill()
