"""One frame from message to metres, without a node: what is estimated, what stays silent, and what the report says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from std_msgs.msg import Header

from merge_ros.config import OutputSettings, ScaleSettings, StreamSettings
from merge_ros.errors import BackendError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import ground_depth
from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import array_to_image
from merge_ros.ros.depth_pipeline import DepthPipeline, DepthResult
from merge_ros.ros.diagnostics import NodeHealth
from merge_ros.ros.frame_report import CODE_NAMES, FrameCounters, FrameEnded, FrameReport, status_message
from merge_ros.ros.parameters import NodeSettings

HEADER = Header(frame_id="camera_optical", stamp=Time(sec=100, nanosec=5))
WIDTH, HEIGHT = 48, 36


def brightness(rgb: np.ndarray) -> np.ndarray:
    """An estimator whose relative depth is known: the red channel."""
    if rgb[0, 0, 2] == 255:
        raise BackendError("the device ran out of memory")
    if rgb[0, 0, 1] == 255:
        raise RuntimeError("a bug")
    return (rgb[..., 0] / np.float32(255)).astype(np.float32)


def settings_of(**sections: object) -> NodeSettings:
    return dataclasses.replace(NodeSettings(), **sections)


FIXED = settings_of(scale=ScaleSettings("fixed", scale=4.0, shift=1.0))


def picture(relative: np.ndarray | None = None) -> Image:
    ramp = np.tile(np.linspace(0, 1, WIDTH, dtype=np.float32), (HEIGHT, 1)) if relative is None else relative
    rgb = np.zeros((*ramp.shape, 3), np.uint8)
    rgb[..., 0] = np.rint(ramp * 255)
    return array_to_image(rgb, "rgb8", HEADER)


def info_of(width: int = WIDTH, height: int = HEIGHT, **fields: object) -> CameraInfo:
    info = CameraInfo(width=width, height=height, k=[40.0, 0, width / 2, 0, 40.0, height / 2, 0, 0, 1])
    for name, value in fields.items():
        setattr(info, name, value)
    return info


def run(
    pipeline: DepthPipeline, image: Image | None = None, age: float = 0.0
) -> tuple[DepthResult | None, FrameReport]:
    report = FrameReport(HEADER, 0.0)
    try:
        return pipeline(image or picture(), age, report), report
    except FrameEnded:
        return None, report


def test_a_frame_becomes_metres_by_scale_and_shift() -> None:
    pipeline = DepthPipeline(brightness, FIXED)
    pipeline.add_info(info_of())
    result, report = run(pipeline)
    assert report.code == DepthStatus.OK and report.estimated
    np.testing.assert_allclose(result.metric.depth, 1 + 4 * result.relative, rtol=1e-6)
    assert result.metric.info.header == HEADER and result.metric.info.p[0] == 40
    assert {"convert", "inference", "scale"} <= set(report.milliseconds)


def test_depth_outside_the_range_is_nan_or_infinite() -> None:
    pipeline = DepthPipeline(brightness, dataclasses.replace(FIXED, output=OutputSettings(near=2.0, far=4.0)))
    pipeline.add_info(info_of())
    result, _ = run(pipeline)
    metres = 1 + 4 * result.relative
    np.testing.assert_array_equal(np.isnan(result.metric.depth), metres < 2)
    np.testing.assert_array_equal(np.isposinf(result.metric.depth), metres > 4)


@pytest.mark.parametrize(
    ("info", "code", "words"),
    [
        (None, DepthStatus.MISSING_CAMERA_INFO, "no camera_info"),
        (info_of(k=[0.0] * 9), DepthStatus.INVALID_CAMERA_INFO, "not calibrated"),
        (info_of(640, 480), DepthStatus.INVALID_CAMERA_INFO, "640x480"),
    ],
)
def test_without_a_usable_info_only_relative_depth_is_there(info: CameraInfo | None, code: int, words: str) -> None:
    pipeline = DepthPipeline(brightness, FIXED)
    if info is not None:
        pipeline.add_info(info)
    result, report = run(pipeline)
    assert result.metric is None and result.relative.shape == (HEIGHT, WIDTH)
    assert report.code == code and words in report.text and report.estimated and report.scale is None


def test_binning_and_region_of_interest_reach_the_published_info() -> None:
    pipeline = DepthPipeline(brightness, FIXED)
    roi = RegionOfInterest(x_offset=10, y_offset=20, width=2 * WIDTH, height=3 * HEIGHT)
    pipeline.add_info(info_of(640, 480, roi=roi, binning_x=2, binning_y=3))
    result, report = run(pipeline)
    info = result.metric.info
    assert report.code == DepthStatus.OK
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    np.testing.assert_allclose(info.k, [20, 0, 155, 0, 40 / 3, 220 / 3, 0, 0, 1])
    assert result.metric.camera == Camera(WIDTH, HEIGHT, 20, 40 / 3, 155, 220 / 3)


def test_scale_none_says_so_without_alarm() -> None:
    pipeline = DepthPipeline(brightness, NodeSettings())
    pipeline.add_info(info_of())
    result, report = run(pipeline)
    assert result.metric is None
    assert report.code == DepthStatus.NO_METRIC_SCALE and report.expected and "relative" in report.text


def test_the_ground_plane_gives_metres_once_floor_is_seen() -> None:
    camera = Camera(160, 120, 140, 140, 79.5, 59.5)
    floor = ground_depth(camera, 0.5, 0.4, 0.0)
    truth = np.minimum(floor, 4.0)
    # White noise of one grey level: what 8 bits lose.
    relative = ((truth - truth.min()) / (truth.max() - truth.min())).astype(np.float32)
    pipeline = DepthPipeline(
        brightness, settings_of(scale=ScaleSettings("ground_plane", camera_height=0.5, camera_pitch=0.4))
    )
    pipeline.add_info(info_of(160, 120, k=[140.0, 0, 79.5, 0, 140.0, 59.5, 0, 0, 1]))
    blank, report = run(pipeline, picture(np.zeros((120, 160), np.float32)))
    assert blank.metric is None and report.code == DepthStatus.NO_METRIC_SCALE and not report.expected
    assert "SEARCHING" in report.text and "usable samples" in report.text
    states = []
    for _ in range(3):
        result, report = run(pipeline, picture(relative))
        states.append(report.scale.state.name)
    assert states == ["SEARCHING", "SEARCHING", "LOCKED"]
    assert report.code == DepthStatus.OK
    assert np.median(np.abs(result.metric.depth / truth - 1)) < 0.03


def test_frames_that_cannot_be_used_end_early_with_the_reason() -> None:
    pipeline = DepthPipeline(brightness, dataclasses.replace(FIXED, stream=StreamSettings(max_age=0.5)))
    pipeline.add_info(info_of())
    bad = picture()
    bad.encoding = "jpeg"
    out_of_memory, bug = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)
    out_of_memory[0, 0, 2] = bug[0, 0, 1] = 255
    for image, age, code, words, unexpected in (
        (picture(), 0.6, DepthStatus.STALE_FRAME, "0.600 s old", False),
        (bad, 0.0, DepthStatus.INVALID_IMAGE, "'jpeg'", False),
        (array_to_image(out_of_memory, "rgb8", HEADER), 0.0, DepthStatus.INFERENCE_FAILED, "out of memory", False),
        (array_to_image(bug, "rgb8", HEADER), 0.0, DepthStatus.INFERENCE_FAILED, "RuntimeError: a bug", True),
    ):
        result, report = run(pipeline, image, age)
        assert result is None and report.code == code and words in report.text
        assert not report.estimated and (report.unexpected is not None) == unexpected
    assert run(pipeline, picture(), 0.4)[1].code == DepthStatus.OK


def test_changed_settings_count_from_the_next_frame_on() -> None:
    pipeline = DepthPipeline(brightness, FIXED)
    pipeline.add_info(info_of())
    pipeline.change(dataclasses.replace(FIXED, scale=ScaleSettings("fixed", scale=8.0)))
    result, _ = run(pipeline)
    np.testing.assert_allclose(result.metric.depth[:, 10:], 8 * result.relative[:, 10:], rtol=1e-6)


def test_status_and_diagnostics_count_every_kind_of_problem() -> None:
    pipeline = DepthPipeline(brightness, FIXED)
    health = NodeHealth("/camera/image_raw", state="active", counters=FrameCounters())
    counters = health.counters
    bad = picture()
    bad.encoding = "jpeg"
    for image, info in ((picture(), None), (bad, None), (picture(), info_of(64, 48)), (picture(), info_of())):
        if info is not None:
            pipeline.add_info(info)
        counters.receive(heard=True)
        _, report = run(pipeline, image)
        counters.close(report)
        health.frame_closed(report)
    status = status_message(report, counters, "fixed", "both")
    assert (status.frames_received, status.frames_processed, status.frames_invalid) == (4, 3, 1)
    assert status.header == HEADER and status.metric and (status.scale, status.shift) == (4, 1)

    diagnosed = health.diagnose("merge", now=1.0, elapsed=2.0)
    values = {value.key: value.value for value in diagnosed.values}
    assert diagnosed.level == DiagnosticStatus.WARN and diagnosed.message.startswith("missing_camera_info")
    counted = {name: int(values[name]) for name in CODE_NAMES.values()}
    wanted = dict.fromkeys(CODE_NAMES.values(), 0)
    assert counted == wanted | {"missing_camera_info": 1, "invalid_image": 1, "invalid_camera_info": 1}
    assert values["rate_hz"] == "1.50"
    # The next second has nothing to complain of.
    assert health.diagnose("merge", now=2.0, elapsed=1.0).level == DiagnosticStatus.OK


def test_diagnostics_tell_silence_failure_and_warnings_apart() -> None:
    health = NodeHealth("/camera/image_raw")
    assert health.diagnose("merge", 0.0, 1.0).message == "unconfigured"
    health.state, health.active_since = "active", 10.0
    assert health.diagnose("merge", 11.0, 1.0).level == DiagnosticStatus.OK
    silent = health.diagnose("merge", 15.0, 1.0)
    assert silent.level == DiagnosticStatus.WARN and "no image on /camera/image_raw for 5 s" in silent.message
    health.last_image, health.warning = 15.0, "the lens bends"
    assert health.diagnose("merge", 16.0, 1.0).message == "the lens bends"
    failed = FrameReport(HEADER, 0.0)
    failed.note(DepthStatus.INFERENCE_FAILED, "a bug")
    health.frame_closed(failed)
    assert health.diagnose("merge", 16.0, 1.0).level == DiagnosticStatus.ERROR
    health.failure = "configure failed: no such folder"
    broken = health.diagnose("merge", 16.0, 1.0)
    assert broken.level == DiagnosticStatus.ERROR and "no such folder" in broken.message


def test_size_changes_are_counted() -> None:
    counters = FrameCounters()
    for size in ((4, 3), (4, 3), None, (8, 6), (4, 3)):  # None: an image that could not be read
        counters.receive(heard=True)
        counters.close(FrameReport(HEADER, 0.0, size=size))
    assert counters.received == 5 and counters.size_changes == 2


def test_frames_that_nobody_hears_of_are_idle_and_no_alarm() -> None:
    health = NodeHealth("/camera/image_raw", state="active", last_image=10.0)
    health.counters.receive(heard=False)
    status = health.diagnose("merge", 10.0, 1.0)
    assert status.level == DiagnosticStatus.OK and "nobody listens" in status.message
    assert {value.key: value.value for value in status.values}["frames_idle"] == "1"
    health.counters.receive(heard=True)
    assert "depth maps per second" in health.diagnose("merge", 11.0, 1.0).message
