"""The node's filtered clouds and its scan, over DDS, with parameters that change while it runs."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

import itertools
from pathlib import Path

import cv2
from sensor_msgs.msg import CameraInfo, Image, LaserScan
from std_msgs.msg import Header

from merge_ros.evaluation.folder import read_image
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.scan import scan_depth
from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import array_to_image, image_to_array

PLAIN = {"cloud_voxel": 0.0, "cloud_range": 0.0, "cloud_open": False, "cloud_dense": False, "cloud_rate": 0.0}
SCALE = {"scale": 4.0, "shift": 0.5}
NEAR, FAR = 1.5, 2.4
ROOMS = Path(__file__).resolve().parent.parent / "data" / "regression" / "rgb" / "robot"


@pytest.fixture(scope="module")
def scans(graph: Any) -> list[LaserScan]:
    received: list[LaserScan] = graph.collect(LaserScan, "/merge/scan")
    return received


@pytest.fixture(scope="module")
def node(start_node: Any, camera: Any, scans: list[LaserScan]) -> Any:
    node = start_node()
    assert node.set_together(scale_source="fixed", **SCALE, near=NEAR, far=FAR).successful
    node.bring_to("active")
    return node


@pytest.fixture
def picture() -> Image:
    """A rendered room, whose depth lies on both sides of NEAR and FAR whatever weights ship."""
    rgb = read_image(sorted(ROOMS.glob("*.jpg"))[0])
    return array_to_image(cv2.resize(rgb, (64, 48), interpolation=cv2.INTER_AREA), "rgb8", Header())


@pytest.fixture
def outputs(node: Any, camera: Any, picture: Image, picture_info: CameraInfo) -> Any:
    """Sets parameters together; gives the outputs of a frame that was worked on with them."""

    def run(**parameters: Any) -> tuple[int, dict[str, Any]]:
        assert node.set_together(**(PLAIN | parameters)).successful
        status = camera.exchange(picture, picture_info, lambda s: s.error_code == DepthStatus.OK)
        return status.header.stamp.sec, camera.metric_outputs(status.header.stamp.sec)

    return run


def xyz(cloud: Any) -> np.ndarray:
    return np.frombuffer(cloud.data, np.float32).reshape(cloud.height, cloud.width, -1)[..., :3]


def test_range_and_open_directions(outputs: Any) -> None:
    _, plain = outputs()
    depth = image_to_array(plain["depth"])
    assert np.isposinf(depth).any() and np.isnan(depth).any() and np.isfinite(depth).any()
    assert not plain["points"].is_dense
    np.testing.assert_array_equal(np.isfinite(xyz(plain["points"])).all(-1), np.isfinite(depth))

    _, limited = outputs(cloud_range=2.0)
    distance = np.linalg.norm(xyz(limited["points"]), axis=-1)
    assert np.nanmax(distance) <= 2.0 + 1e-5

    _, opened = outputs(cloud_range=2.0, cloud_open=True)
    distance = np.linalg.norm(xyz(opened["points"]), axis=-1)
    np.testing.assert_array_equal(np.isnan(distance), np.isnan(image_to_array(opened["depth"])))
    np.testing.assert_allclose(distance[np.isposinf(image_to_array(opened["depth"]))], 2.0, rtol=1e-5)


def test_dense_and_voxels(outputs: Any) -> None:
    _, dense = outputs(cloud_dense=True)
    known = np.isfinite(image_to_array(dense["depth"])).sum()
    assert (dense["points"].height, dense["points"].width) == (1, known)
    assert dense["points"].is_dense and dense["points"].row_step == 16 * known

    _, voxels = outputs(cloud_voxel=0.25)
    points = xyz(voxels["points"])
    assert voxels["points"].is_dense and 0 < points.shape[1] < known
    cells = np.floor(points[0] / 0.25)
    assert len(np.unique(cells, axis=0)) == len(cells)


def test_the_rate_is_limited_by_stamps(node: Any, camera: Any, outputs: Any, picture: Any, picture_info: Any) -> None:
    outputs()
    assert node.set_together(cloud_rate=0.25).successful  # the camera's stamps are a second apart
    frames = [
        camera.exchange(picture, picture_info, lambda s: s.error_code == DepthStatus.OK).header.stamp.sec
        for _ in range(9)
    ]
    time.sleep(1)  # for the last cloud, if there is one
    with_cloud = [second for second in frames if camera.output_of(second, "points") is not None]
    assert all(after - before >= 3.6 for before, after in itertools.pairwise(with_cloud))
    assert 1 <= len(with_cloud) <= 1 + (frames[-1] - frames[0]) / 3.6


def test_the_scan_is_that_of_the_depth(node: Any, camera: Any, scans: list[LaserScan], outputs: Any) -> None:
    band, reach = (0.05, 1.5), 3.0
    second, sent = outputs(
        camera_height=0.6, camera_pitch=0.2, scan_min_height=band[0], scan_max_height=band[1], scan_range=reach
    )
    of_frame = lambda: [scan for scan in scans if scan.header.stamp.sec == second]  # noqa: E731
    while not of_frame():
        time.sleep(0.02)  # it has been sent; pytest's timeout ends a wait in vain
    (scan,) = of_frame()
    info = sent["camera_info"]
    pinhole = Camera(info.width, info.height, info.k[0], info.k[4], info.k[2], info.k[5])
    expected = scan_depth(image_to_array(sent["depth"]), pinhole, 0.6, 0.2, 0.0, band, (NEAR, reach))
    np.testing.assert_array_equal(np.array(scan.ranges, np.float32), expected.ranges)
    assert scan.header.frame_id == "camera_optical_level"
    assert (scan.angle_min, scan.angle_increment) == pytest.approx((expected.first_angle, expected.step))
    assert scan.angle_max == pytest.approx(scan.angle_min + scan.angle_increment * (len(scan.ranges) - 1))
    assert (scan.range_min, scan.range_max) == pytest.approx((NEAR, reach))


def test_without_a_height_there_is_no_scan_and_the_log_says_so(node: Any, scans: list[LaserScan], outputs: Any) -> None:
    second, _ = outputs(camera_height=0.0)
    node.process.wait_for_output("~/scan stays silent")
    assert not any(scan.header.stamp.sec == second for scan in scans)
