"""Images in, depth out, over DDS between two processes: what is published, what stays silent, and every bad input."""

from __future__ import annotations

import array
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from node_programs import FRAGILE_NODE
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from std_msgs.msg import Header

from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import array_to_image, image_to_array
from merge_ros.ros.frame_report import CODE_NAMES

SCALE, SHIFT = 4.0, 0.5
OK = DepthStatus.OK


@pytest.fixture(scope="module")
def running(start_node: Any, random_model: Path, camera: Any) -> Any:
    """An active node with a fixed scale, shared by the module."""
    node = start_node(FRAGILE_NODE, model=random_model, processing_pixels=1024)
    assert node.set_together(scale_source="fixed", scale=SCALE, shift=SHIFT).successful
    node.bring_to("active")
    return node


@pytest.fixture
def node(running: Any, camera: Any) -> Any:
    """The shared node, with the parameters and the state that every test starts from."""
    assert running.set_together(scale_source="fixed", scale=SCALE, shift=SHIFT, cloud_stride=1, max_age=0.0).successful
    if running.state() != "active":
        running.bring_to("active")
    return running


def has(code: int) -> Callable[[DepthStatus], bool]:
    return lambda status: status.error_code == code


def test_a_frame_gives_depth_info_cloud_and_relative_depth_with_its_header(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    status = camera.exchange(picture, picture_info, has(OK))
    outputs = camera.metric_outputs(status.header.stamp.sec)
    for message in (status, *outputs.values()):
        assert message.header == picture.header
    depth = image_to_array(outputs["depth"])
    relative = image_to_array(outputs["depth_relative"])
    assert depth.shape == relative.shape == (48, 64) and depth.dtype == relative.dtype == np.float32
    assert relative.min() >= 0 and relative.max() <= 1
    np.testing.assert_allclose(depth, SCALE * relative + SHIFT, rtol=1e-5)

    info = outputs["camera_info"]
    assert (info.width, info.height) == (64, 48)
    np.testing.assert_array_equal(info.k, picture_info.k)
    np.testing.assert_array_equal(info.p, [60, 0, 31.5, 0, 0, 61, 23.5, 0, 0, 0, 1, 0])

    assert status.metric and (status.scale, status.shift) == (SCALE, SHIFT) and status.scale_source == "fixed"
    for stage in ("queue", "convert", "inference", "scale", "publish", "total"):
        assert getattr(status, f"latency_{stage}_ms") >= 0
    assert status.latency_inference_ms < status.latency_total_ms
    assert status.frames_received >= status.frames_processed >= 1


def test_the_real_sensor_msgs_py_reads_points_that_lie_on_the_pixels_rays(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2", reason="sensor_msgs_py is not installed")
    status = camera.exchange(picture, picture_info, has(OK))
    outputs = camera.metric_outputs(status.header.stamp.sec)
    points = point_cloud2.read_points(outputs["points"]).reshape(48, 64)
    z = image_to_array(outputs["depth"])
    rows, columns = np.mgrid[:48, :64]
    np.testing.assert_array_equal(points["z"], z)
    np.testing.assert_allclose(points["x"], (columns - 31.5) / 60 * z, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(points["y"], (rows - 23.5) / 61 * z, rtol=1e-5, atol=1e-6)
    colours = np.ascontiguousarray(points["rgb"]).view(np.uint32)
    rgb = image_to_array(picture).astype(np.uint32)
    np.testing.assert_array_equal(colours, (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2])


def test_region_of_interest_and_binning_are_worked_into_the_paired_info(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    picture_info.width, picture_info.height = 640, 480
    picture_info.k = [600.0, 0, 320, 0, 600, 240, 0, 0, 1]
    picture_info.roi = RegionOfInterest(x_offset=100, y_offset=50, width=128, height=192)
    picture_info.binning_x, picture_info.binning_y = 2, 4
    status = camera.exchange(picture, picture_info, has(OK))
    info = camera.metric_outputs(status.header.stamp.sec)["camera_info"]
    assert (info.width, info.height, info.binning_x, info.roi.width) == (64, 48, 0, 0)
    np.testing.assert_allclose(info.k, [300, 0, 110, 0, 150, 47.5, 0, 0, 1])
    np.testing.assert_allclose(info.p, [300, 0, 110, 0, 0, 150, 47.5, 0, 0, 0, 1, 0])


@pytest.mark.parametrize("encoding", ["bgr8", "mono8", "bayer_rggb8", "yuv422_yuy2", "mono16"])
def test_other_encodings_and_padded_rows_work(node: Any, camera: Any, picture_info: CameraInfo, encoding: str) -> None:
    bytes_per_pixel = {"bgr8": 3, "mono8": 1, "bayer_rggb8": 1, "yuv422_yuy2": 2, "mono16": 2}[encoding]
    image = Image(height=48, width=64, encoding=encoding, step=64 * bytes_per_pixel + 7)
    image.data = array.array("B", np.random.default_rng(0).bytes(48 * image.step))
    camera.exchange(image, picture_info, has(OK))


def test_metric_topics_are_silent_without_a_scale_and_speak_with_it(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    assert node.set_parameters(scale_source="none")[0].successful
    silent = camera.exchange(picture, picture_info, has(DepthStatus.NO_METRIC_SCALE))
    assert not silent.metric and np.isnan(silent.scale) and np.isnan(silent.shift)
    assert silent.error_text and silent.scale_source == "none"
    assert node.set_together(scale_source="fixed", scale=2.0, shift=0.0, cloud_stride=3).successful
    status = camera.exchange(picture, picture_info, lambda s: s.error_code == OK and s.scale == 2.0)
    outputs = camera.metric_outputs(status.header.stamp.sec)
    assert (outputs["points"].height, outputs["points"].width) == (16, 22)
    # The frame without scale came earlier on the same topics: it gave relative depth, and nothing metric.
    second = silent.header.stamp.sec
    assert camera.output_of(second, "depth_relative") is not None
    for name in ("depth", "camera_info", "points"):
        assert camera.output_of(second, name) is None


def test_the_ground_plane_says_why_there_is_no_scale(
    node: Any, camera: Any, picture_info: CameraInfo, picture: Image
) -> None:
    assert node.set_together(scale_source="ground_plane", camera_height=0.5, camera_pitch=-1.0).successful
    status = camera.exchange(picture, picture_info, has(DepthStatus.NO_METRIC_SCALE))
    assert (
        "no pixel looks at the floor" in status.error_text
        and not status.metric
        and status.scale_source == "ground_plane"
    )


def bad_image(**changes: Any) -> Callable[[Image], Image]:
    def spoil(image: Image) -> Image:
        for name, value in changes.items():
            setattr(image, name, value)
        return image

    return spoil


BAD_IMAGES = {
    "unknown encoding": (bad_image(encoding="jpeg"), "'jpeg'"),
    "depth encoding": (bad_image(encoding="32FC1", step=256), "depth image"),
    "empty encoding": (bad_image(encoding=""), "''"),
    "short data": (bad_image(data=array.array("B", bytes(100))), "100 bytes"),
    "no data": (bad_image(data=array.array("B")), "0 bytes"),
    "zero width": (bad_image(width=0), "0x48"),
    "zero height": (bad_image(height=0), "64x0"),
    "short step": (bad_image(step=5), "step is 5"),
    "huge size": (bad_image(width=2**32 - 1, height=2**32 - 1), "step"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_images_are_refused_counted_and_survived(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo, case: str
) -> None:
    spoil, words = BAD_IMAGES[case]
    status = camera.exchange(spoil(picture), picture_info, has(DepthStatus.INVALID_IMAGE))
    assert words in status.error_text
    assert not status.metric and np.isnan(status.latency_inference_ms)
    assert status.frames_invalid >= 1
    assert camera.output_of(status.header.stamp.sec, "depth_relative") is None


def empty_k(info: CameraInfo) -> None:
    info.k = [0.0] * 9


def other_size(info: CameraInfo) -> None:
    info.width, info.height = 640, 480


def region_outside(info: CameraInfo) -> None:
    info.roi = RegionOfInterest(x_offset=10, width=64, height=48)


def not_a_number(info: CameraInfo) -> None:
    info.k = [float("nan")] * 9


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (empty_k, "not calibrated"),
        (other_size, "640x480"),
        (region_outside, "leaves"),
        (not_a_number, "not finite"),
    ],
)
def test_a_bad_info_leaves_relative_depth_and_silences_metres(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo, spoil: Callable[[CameraInfo], None], words: str
) -> None:
    spoil(picture_info)
    status = camera.exchange(picture, picture_info, has(DepthStatus.INVALID_CAMERA_INFO))
    assert words in status.error_text and not status.metric
    later = camera.exchange(picture, picture_info, has(DepthStatus.INVALID_CAMERA_INFO))
    assert later.frames_processed > status.frames_processed
    second = status.header.stamp.sec
    assert camera.output_of(second, "depth_relative") is not None
    assert camera.output_of(second, "depth") is None and camera.output_of(second, "points") is None


def test_a_missing_info_is_reported_until_it_comes(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    node.bring_to("unconfigured")  # forgets the infos that came before
    node.bring_to("active")
    status = camera.exchange(picture, None, has(DepthStatus.MISSING_CAMERA_INFO))
    assert not status.metric and status.latency_inference_ms > 0
    assert camera.exchange(picture, picture_info, has(OK)).metric


def test_a_model_that_raises_on_one_frame_is_reported_and_goes_on(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    black = array_to_image(np.zeros((48, 64, 3), np.uint8), "rgb8", Header())
    status = camera.exchange(black, picture_info, has(DepthStatus.INFERENCE_FAILED))
    assert "black image" in status.error_text and not status.metric
    assert camera.output_of(status.header.stamp.sec, "depth_relative") is None
    camera.exchange(picture, picture_info, has(OK))
    assert "RuntimeError: black image" in node.process.output


def test_sizes_that_change_mid_stream_are_followed_and_counted(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    small = array_to_image(np.full((31, 43, 3), 90, np.uint8), "rgb8", Header())
    small_info = CameraInfo(width=43, height=31, k=[30.0, 0, 21, 0, 30, 15, 0, 0, 1])
    for image, info in ((picture, picture_info), (small, small_info), (picture, picture_info)):
        status = camera.exchange(image, info, has(OK))
        outputs = camera.metric_outputs(status.header.stamp.sec)
        for name in ("depth", "camera_info", "points", "depth_relative"):
            assert (outputs[name].width, outputs[name].height) == (image.width, image.height)
    values = values_of(node.diagnostics_after(time.time()))
    assert int(values["image_size_changes"]) >= 2


def values_of(status: DiagnosticStatus) -> dict[str, str]:
    return {value.key: value.value for value in status.values}


def test_diagnostics_count_each_kind_of_bad_input(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    node.bring_to("unconfigured")  # counters start afresh
    node.bring_to("active")
    bad = array_to_image(np.zeros((48, 64, 3), np.uint8), "rgb8", Header())
    bad.encoding = "jpeg"
    black = array_to_image(np.zeros((48, 64, 3), np.uint8), "rgb8", Header())
    other = CameraInfo(width=640, height=480, k=picture_info.k)
    begin = len(camera.statuses)
    for image, info, code in (
        (picture, None, DepthStatus.MISSING_CAMERA_INFO),
        (bad, picture_info, DepthStatus.INVALID_IMAGE),
        (black, picture_info, DepthStatus.INFERENCE_FAILED),
        (picture, other, DepthStatus.INVALID_CAMERA_INFO),
        (picture, picture_info, OK),
    ):
        camera.exchange(image, info, has(code))
    values = values_of(node.diagnostics_after(time.time()))
    seen = [status.error_code for status in camera.statuses[begin:]]
    assert {name: int(values[name]) for name in CODE_NAMES.values()} == {
        name: seen.count(code) for code, name in CODE_NAMES.items()
    }
    assert int(values["frames_invalid"]) == seen.count(DepthStatus.INVALID_IMAGE)
    assert int(values["frames_failed"]) == seen.count(DepthStatus.INFERENCE_FAILED)


def test_distortion_is_warned_of(node: Any, camera: Any, picture: Image, picture_info: CameraInfo) -> None:
    picture_info.d = [-0.3, 0.1, 0.0, 0.0, 0.0]
    camera.exchange(picture, picture_info, has(OK))
    time_of_frame = time.time()
    status = node.diagnostics_after(time_of_frame + 1.0)  # past the second that saw earlier problems
    assert status.level == DiagnosticStatus.WARN and "rectified" in status.message
    picture_info.d = [0.0] * 5
    camera.exchange(picture, picture_info, has(OK))
    assert values_of(node.diagnostics_after(time.time()))["warning"] == ""


def test_an_inactive_node_neither_listens_nor_publishes(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo, graph: Any
) -> None:
    camera.exchange(picture, picture_info, has(OK))
    assert node.change("deactivate") == [True]
    wait_until_deaf(camera)
    second = camera.shoot(picture, picture_info)
    assert node.change("activate") == [True]
    status = camera.exchange(picture, picture_info, has(OK))
    camera.metric_outputs(status.header.stamp.sec)
    assert camera.status_of(second) is None and camera.output_of(second, "depth_relative") is None


def wait_until_deaf(camera: Any) -> None:
    end = time.monotonic() + 60
    while not camera.connected(seen=False):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_stamp_before_the_epoch_is_only_a_stamp(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo
) -> None:
    for attempt in range(20):  # one may be lost on its way
        second = camera.shoot(picture, picture_info, -1000 - attempt)
        end = time.monotonic() + 5
        while camera.status_of(second) is None and time.monotonic() < end:
            time.sleep(0.01)
        if (status := camera.status_of(second)) is not None:
            assert status.error_code == OK
            return
    pytest.fail("no status")


def test_random_messages_never_stop_the_node(node: Any, camera: Any, picture: Image, picture_info: CameraInfo) -> None:
    random = np.random.default_rng(7)
    encodings = ["rgb8", "mono8", "mono16", "yuv422", "bayer_grbg8", "16UC1", "", "\u00e9", "x" * 300]
    before, output = len(camera.statuses), len(node.process.output)
    for _ in range(200):
        image = Image(
            height=int(random.integers(0, 80)),
            width=int(random.integers(0, 80)),
            step=int(random.integers(0, 300)),
            encoding=str(random.choice(encodings)),
            is_bigendian=int(random.integers(0, 256)),
        )
        image.data = array.array("B", random.bytes(int(random.integers(0, 9000))))
        info = CameraInfo(width=image.width, height=image.height, k=random.normal(size=9), p=random.normal(size=12))
        camera.shoot(image, info)
        time.sleep(0.002)
    status = camera.exchange(picture, picture_info, has(OK))
    assert len(camera.statuses) > before and status.frames_invalid > 0
    assert "Traceback" not in node.process.output[output:]
