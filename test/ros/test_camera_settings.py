"""What the pipeline does to images before inference and to depth after it, on frames whose truth is known."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from merge_ros.config import CameraSettings, OutputSettings, ScaleSettings
from merge_ros.errors import ConfigurationError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.depth import resampled
from merge_ros.geometry.ground import ground_depth
from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import array_to_image
from merge_ros.ros.depth_pipeline import DepthPipeline, DepthResult
from merge_ros.ros.frame_report import FrameEnded, FrameReport
from merge_ros.ros.parameters import NodeSettings

HEADER = Header(frame_id="camera_optical", stamp=Time(sec=100, nanosec=5))
FIXED = ScaleSettings("fixed", scale=4.0, shift=1.0)


def red(rgb: np.ndarray) -> np.ndarray:
    """An estimator whose relative depth is known: the red channel."""
    return (rgb[..., 0] / np.float32(255)).astype(np.float32)


def pipeline_of(info: CameraInfo, estimator: object = red, **sections: object) -> DepthPipeline:
    pipeline = DepthPipeline(estimator, dataclasses.replace(NodeSettings(), scale=FIXED, **sections))  # type: ignore[arg-type]
    pipeline.add_info(info)
    return pipeline


def picture(relative: np.ndarray) -> Image:
    levels = np.rint(relative * 255).astype(np.uint8)
    return array_to_image(np.stack([levels, 0 * levels, 0 * levels], -1), "rgb8", HEADER)


def run(pipeline: DepthPipeline, image: Image | CompressedImage) -> tuple[DepthResult | None, FrameReport]:
    report = FrameReport(HEADER, 0.0)
    try:
        return pipeline(image, 0.0, report), report
    except FrameEnded:
        return None, report


def ramp(width: int = 48, height: int = 36) -> np.ndarray:
    return np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))


def pinhole(width: int = 48, height: int = 36, **fields: object) -> CameraInfo:
    info = CameraInfo(width=width, height=height, k=[40.0, 0, width / 2, 0, 40.0, height / 2, 0, 0, 1])
    for name, value in fields.items():
        setattr(info, name, value)
    return info


def test_compressed_and_raw_give_the_same() -> None:
    image = picture(ramp())
    rgb = np.frombuffer(image.data, np.uint8).reshape(36, 48, 3)
    compressed = CompressedImage(header=HEADER, format="png")
    compressed.data.frombytes(cv2.imencode(".png", rgb[..., ::-1])[1].tobytes())
    pipeline = pipeline_of(pinhole())
    raw, _ = run(pipeline, image)
    packed, report = run(pipeline, compressed)
    assert report.code == DepthStatus.OK and report.size == (48, 36)
    np.testing.assert_array_equal(packed.metric.depth, raw.metric.depth)


# A camera of 640x480 that sends a region of it, two columns and rows to one: 240x180.
K, D = (400.0, 405.0, 322.0, 243.0), (-0.3, 0.08, 0.001, -0.002, 0.0)
P = (370.0, 372.0, 318.0, 240.0)
REGION = RegionOfInterest(x_offset=100, y_offset=60, width=480, height=360)


def distorting_info() -> CameraInfo:
    info = CameraInfo(width=640, height=480, distortion_model="plumb_bob", d=D, roi=REGION, binning_x=2, binning_y=2)
    info.k = [K[0], 0.0, K[2], 0.0, K[1], K[3], 0.0, 0.0, 1.0]
    info.p = [P[0], 0.0, P[2], 0.0, 0.0, P[1], P[3], 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def through(lens: tuple[float, ...], x: float, y: float) -> tuple[float, float]:
    """A place on the sensor as a pixel of the region, binned."""
    return (lens[0] * x + lens[2] - REGION.x_offset) / 2, (lens[1] * y + lens[3] - REGION.y_offset) / 2


def test_a_rectified_image_with_region_and_binning_lies_on_the_published_cameras_rays() -> None:
    """Spots are drawn where the lens, by its formula, puts known directions; the published info must find them."""
    rows, columns = np.mgrid[:180, :240]
    relative = np.zeros((180, 240))
    directions = [(x, y) for x in (-0.35, 0.0, 0.4) for y in (-0.3, 0.05, 0.3)]
    for x, y in directions:
        r2 = x * x + y * y
        radial = 1 + D[0] * r2 + D[1] * r2**2
        bent = (
            x * radial + 2 * D[2] * x * y + D[3] * (r2 + 2 * x * x),
            y * radial + D[2] * (r2 + 2 * y * y) + 2 * D[3] * x * y,
        )
        u, v = through(K, *bent)
        relative += np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / 8)
    result, report = run(
        pipeline_of(distorting_info(), camera=CameraSettings(rectify=True)), picture(np.clip(relative, 0, 1))
    )
    assert report.code == DepthStatus.OK
    info = result.metric.info
    assert (info.width, info.height, info.binning_x, info.roi.width) == (240, 180, 0, 0)
    assert not any(info.d) and info.distortion_model == "plumb_bob"
    np.testing.assert_array_equal(info.r.reshape(3, 3), np.eye(3))
    np.testing.assert_allclose(info.p, [185, 0, 109, 0, 0, 186, 90, 0, 0, 0, 1, 0])
    np.testing.assert_allclose(info.k, [185, 0, 109, 0, 186, 90, 0, 0, 1])
    light = np.nan_to_num(result.relative)
    for x, y in directions:
        u, v = 185 * x + 109, 186 * y + 90
        near = light * ((abs(columns - u) <= 6) & (abs(rows - v) <= 6))
        found = (near * columns).sum() / near.sum(), (near * rows).sum() / near.sum()
        assert math.dist(found, (u, v)) < 0.2
    np.testing.assert_array_equal(np.isnan(result.metric.depth), np.isnan(result.relative))


@pytest.mark.parametrize(
    ("info", "code", "words"),
    [
        (None, DepthStatus.MISSING_CAMERA_INFO, "no camera_info"),
        (pinhole(distortion_model="odd", d=[0.1]), DepthStatus.INVALID_CAMERA_INFO, "'odd' cannot be rectified"),
        (pinhole(64, 48), DepthStatus.INVALID_CAMERA_INFO, "64x48"),
    ],
)
def test_what_cannot_be_rectified_ends_the_frame(info: CameraInfo | None, code: int, words: str) -> None:
    """Relative depth of another picture than was asked for would be a silent fallback."""
    pipeline = pipeline_of(info or pinhole(), camera=CameraSettings(rectify=True))
    if info is None:
        pipeline.forget_infos()
    result, report = run(pipeline, picture(ramp()))
    assert result is None and report.code == code and words in report.text and not report.estimated


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_inference_sees_the_picture_upright_and_depth_stays_the_cameras(rotation: int) -> None:
    seen = []

    def estimator(rgb: np.ndarray) -> np.ndarray:
        seen.append(rgb)
        return red(rgb)

    image = picture(ramp())
    pipeline = pipeline_of(pinhole(), estimator, camera=CameraSettings(image_rotation=rotation))
    result, _ = run(pipeline, image)
    first = {0: seen[0][0], 90: seen[0][:, -1], 180: seen[0][-1, ::-1], 270: seen[0][::-1, 0]}[rotation]
    np.testing.assert_array_equal(first[:, 0], np.frombuffer(image.data, np.uint8)[: 48 * 3 : 3])
    np.testing.assert_allclose(result.metric.depth, 1 + 4 * red(result.rgb), rtol=1e-6)
    assert result.metric.info.width == 48 and result.metric.info.k[0] == 40


def test_an_upside_down_camera_finds_its_floor_with_its_roll() -> None:
    """An estimator that is right on upright pictures only, and a floor that the lock must see as the camera does."""
    camera = Camera(160, 120, 140, 140, 79.5, 59.5)
    truth = np.minimum(ground_depth(camera, 0.5, 0.4, math.pi), np.float32(4))
    relative = (truth - truth.min()) / (truth.max() - truth.min())

    def estimator(rgb: np.ndarray) -> np.ndarray:
        levels = red(rgb)
        return levels if levels[0].mean() > levels[-1].mean() else np.zeros_like(levels)  # far above, near below

    settings = dataclasses.replace(
        NodeSettings(),
        scale=ScaleSettings("ground_plane", camera_height=0.5, camera_pitch=0.4, camera_roll=math.pi),
        camera=CameraSettings(image_rotation=180),
    )
    pipeline = DepthPipeline(estimator, settings)
    pipeline.add_info(pinhole(160, 120, k=[140.0, 0, 79.5, 0, 140.0, 59.5, 0, 0, 1]))
    for _ in range(3):
        result, report = run(pipeline, picture(relative))
    assert report.code == DepthStatus.OK, report.text
    assert np.median(np.abs(result.metric.depth / truth - 1)) < 0.03
    assert result.metric.mounting.roll == math.pi


@pytest.mark.parametrize(
    ("wanted", "size"), [((24, 18), (24, 18)), ((24, 0), (24, 18)), ((0, 72), (96, 72)), ((30, 36), (30, 36))]
)
def test_output_of_another_size_is_of_the_same_points(wanted: tuple[int, int], size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    info = pinhole(p=[41.0, 0.0, 20.0, -3.0, 0.0, 42.0, 15.0, 0.5, 0.0, 0.0, 1.0, 0.0])
    image = picture(rng.random((36, 48)))
    whole, _ = run(pipeline_of(info), image)
    output = OutputSettings(output_width=wanted[0], output_height=wanted[1])
    result, _ = run(pipeline_of(info, output=output), image)
    across, down = size[0] / 48, size[1] / 36
    assert result.relative.shape == result.metric.depth.shape == result.rgb.shape[:2] == (size[1], size[0])
    np.testing.assert_array_equal(result.metric.depth, resampled(whole.metric.depth, *size))
    published = result.metric.info
    assert (published.width, published.height) == size and published.header == HEADER
    # design.md 7: k0 k2 p0 p2 p3 follow the width; k4 k5 p5 p6 the height.
    np.testing.assert_allclose(published.k[[0, 2]], info.k[[0, 2]] * across)
    np.testing.assert_allclose(published.k[[4, 5]], info.k[[4, 5]] * down)
    np.testing.assert_allclose(published.p[[0, 2, 3]], info.p[[0, 2, 3]] * across)
    np.testing.assert_allclose(published.p[[5, 6, 7]], info.p[[5, 6, 7]] * down)
    np.testing.assert_array_equal(published.p[8:], info.p[8:])
    camera = result.metric.camera
    assert (camera.fx, camera.cy) == pytest.approx((published.p[0], published.p[6]))


@pytest.mark.parametrize(("farthest", "value"), [("surface", 5.0), ("unknown", math.nan), ("open", math.inf)])
def test_where_the_model_saturates(farthest: str, value: float) -> None:
    relative = ramp()
    relative[:, -8:] = 1.0
    result, _ = run(pipeline_of(pinhole(), output=OutputSettings(farthest=farthest)), picture(relative))
    np.testing.assert_allclose(result.metric.depth[:, -8:], value, rtol=1e-6)
    assert np.isfinite(result.metric.depth[:, :-9]).all()


def test_the_edge_filter_takes_out_a_blurred_edge() -> None:
    relative = np.full((36, 96), 0.1, np.float32)
    relative[:, 50:] = 0.9
    image = picture(cv2.GaussianBlur(relative, (0, 0), 1.0))
    plain, _ = run(pipeline_of(pinhole(96, 36)), image)
    filtered, _ = run(pipeline_of(pinhole(96, 36), output=OutputSettings(edge_filter=0.1)), image)
    assert not np.isnan(plain.metric.depth).any()
    gone = np.isnan(filtered.metric.depth)
    assert gone[:, 49:51].any() and not gone[:, :46].any() and not gone[:, 54:].any()


def test_an_odd_angle_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="allowed: 0, 90, 180, 270"):
        CameraSettings(image_rotation=45)
