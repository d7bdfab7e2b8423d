"""Pictures from the topics of a running robot, over DDS: what belongs together comes together, in metres."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asset_scenes
import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from merge_ros.cli.main import main
from merge_ros.errors import CalibrationError, ConfigurationError, InputError
from merge_ros.ros.camera_info import info_from_camera
from merge_ros.ros.conversions import array_to_image
from merge_ros.ros.live_frame import info_topic, take_frame

LIMIT = 120.0  # seconds; reached only when something is broken
RGB, DEPTH = asset_scenes.room()
CAMERA = asset_scenes.camera()


@pytest.fixture(scope="module")
def robot(graph: Any) -> Iterator[str]:
    """Publishes the known room in several ways until the module ends, in a domain that this process is in meanwhile."""
    node = graph.node
    publish = {
        name: node.create_publisher(kind, name, 5)
        for kind, name in (
            (Image, "/front/image_raw"),
            (CompressedImage, "/front/image_raw/compressed"),
            (CameraInfo, "/front/camera_info"),
            (Image, "/merge/depth"),
            (CameraInfo, "/merge/camera_info"),
            (Image, "/tof/depth"),
            (CameraInfo, "/tof/camera_info"),
            (Image, "/other/depth"),
            (Image, "/other/small"),
            (CameraInfo, "/other/camera_info"),
            (Image, "/lens/image_raw"),
            (Image, "/lens/image_rect"),
            (CameraInfo, "/lens/camera_info"),
        )
    }
    graph.wake()
    small = CAMERA.resized(CAMERA.width // 2, CAMERA.height // 2)
    jpeg = cv2.imencode(".jpg", RGB[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    ended = threading.Event()

    def talk() -> None:
        frame = 0
        while not ended.wait(0.05):
            frame += 1
            header = Header(frame_id="camera")
            header.stamp.sec, header.stamp.nanosec = 5000 + frame // 10, frame % 10 * 100_000_000
            # The room in one frame and darkness in the next: depth must not be paired with the wrong one.
            lit = frame % 2
            info = info_from_camera(CAMERA, header)
            publish["/front/camera_info"].publish(info)
            publish["/front/image_raw"].publish(array_to_image(RGB * np.uint8(lit), "rgb8", header))
            publish["/front/image_raw/compressed"].publish(
                CompressedImage(header=header, format="rgb8; jpeg compressed bgr8", data=jpeg)
            )
            later = Header(frame_id="camera", stamp=header.stamp)
            if lit:
                publish["/merge/camera_info"].publish(info_from_camera(small, later))
                publish["/merge/depth"].publish(array_to_image(DEPTH[::2, ::2], "32FC1", later))
                millimetres = np.where(DEPTH > 2.5, 0, np.round(DEPTH * 1000)).astype(np.uint16)
                publish["/tof/camera_info"].publish(info)
                publish["/tof/depth"].publish(array_to_image(millimetres, "16UC1", later))
            odd = Header(frame_id="camera")
            odd.stamp.sec = 9000 + frame
            publish["/other/camera_info"].publish(info)
            publish["/other/depth"].publish(array_to_image(DEPTH, "32FC1", odd))
            publish["/other/small"].publish(array_to_image(DEPTH[::2, ::2], "32FC1", header))
            bent = info_from_camera(CAMERA, header)
            bent.d = [-0.3, 0.1, 0.0, 0.0, 0.0]
            publish["/lens/camera_info"].publish(bent)
            for name in ("/lens/image_raw", "/lens/image_rect"):
                publish[name].publish(array_to_image(RGB, "rgb8", header))

    thread = threading.Thread(target=talk, daemon=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(graph.domain))
        thread.start()
        yield str(graph.domain)
        ended.set()
        thread.join(LIMIT)


def test_depth_of_a_node_comes_with_the_picture_of_its_stamp(robot: str) -> None:
    frame = take_frame("/front/image_raw", "/merge/depth", timeout=LIMIT)
    assert frame.depth is not None
    assert np.array_equal(frame.depth, DEPTH[::2, ::2])
    assert (frame.camera.width, frame.camera.height) == (80, 60)
    assert frame.camera.fx == pytest.approx(CAMERA.fx / 2)
    assert np.array_equal(frame.rgb, RGB[::2, ::2]), "not the dark picture of another stamp"


def test_millimetres_of_a_depth_camera_and_a_compressed_picture(robot: str) -> None:
    frame = take_frame("/front/image_raw/compressed", "/tof/depth", timeout=LIMIT)
    assert frame.depth is not None
    near = DEPTH <= 2.5
    assert np.array_equal(np.isnan(frame.depth), ~near), "0 is unknown"
    assert frame.depth[near] == pytest.approx(DEPTH[near], abs=0.0006)
    assert np.abs(frame.rgb.astype(int) - RGB).mean() < 4


def test_the_lens_is_taken_out_of_a_picture_that_is_not_rectified(robot: str) -> None:
    raw = take_frame("/lens/image_raw", timeout=LIMIT)
    matrix, size = np.array(CAMERA.matrix), (CAMERA.width, CAMERA.height)
    expected = cv2.undistort(RGB, matrix, np.array([-0.3, 0.1, 0, 0, 0]), newCameraMatrix=matrix)
    assert raw.depth is None
    assert np.abs(raw.rgb[10:-10, 10:-10].astype(int) - expected[10:-10, 10:-10]).mean() < 1
    assert np.abs(raw.rgb.astype(int) - RGB).mean() > 3
    rectified = take_frame("/lens/image_rect", timeout=LIMIT)
    assert np.array_equal(rectified.rgb, RGB)
    assert (rectified.camera.width, rectified.camera.height) == size


def test_what_has_not_come_is_named(robot: str) -> None:
    with pytest.raises(InputError, match=r"nothing came on /nobody/image \(0 publishers\), /nobody/camera_info"):
        take_frame("/nobody/image", timeout=0.5)
    with pytest.raises(InputError, match="not of the same moments"):
        take_frame("/front/image_raw", "/other/depth", timeout=5)
    with pytest.raises(ConfigurationError, match="full name"):
        take_frame("image_raw", timeout=1)
    with pytest.raises(ConfigurationError, match="no name for a topic"):
        take_frame("/no name", timeout=1)
    with pytest.raises(ConfigurationError, match="timeout=0"):
        take_frame("/front/image_raw", timeout=0)


def test_what_does_not_belong_together_is_refused(robot: str) -> None:
    with pytest.raises(InputError, match="allowed: 32FC1, 16UC1"):
        take_frame("/front/image_raw", "/lens/image_rect", timeout=LIMIT)
    with pytest.raises(CalibrationError, match="camera_info describes 160x120"):
        take_frame("/front/image_raw", "/other/small", timeout=LIMIT)


def test_the_info_beside_an_image() -> None:
    assert info_topic("/camera/image_raw") == "/camera/camera_info"
    assert info_topic("/camera/image_raw/compressed") == "/camera/camera_info"
    assert info_topic("/image") == "/camera_info"


def test_a_world_from_a_robots_view(robot: str, tmp_path: Path) -> None:
    """The command, as a user calls it: the box is where it is, in metres."""
    for package in ("trimesh", "scipy", "fast_simplification"):
        pytest.importorskip(package, reason="making assets needs the extra 'assets'")
    command = [sys.executable, "-m", "merge_ros.cli.main", "asset", "--from-topic", "/front/image_raw", "/tof/depth"]
    command += ["--timeout", str(LIMIT), "--out", "worlds", "--format", "ply", "--collision", "none", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["name"] == "front_image_raw"
    assert told["scale_source"] == {"rule": "published"}
    assert told["source"]["kind"] == "camera"
    assert told["source"]["files"][1].startswith("/tof/depth at 50")
    # The camera's height over the floor that the asset stands on, from its pose.
    assert told["camera"]["asset_from_optical"][2][3] == pytest.approx(asset_scenes.CAMERA_HEIGHT, abs=0.02)


def test_lengths_beside_metres_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["asset", "--from-topic", "/a/image", "/a/depth", "--height", "2", "--out", str(tmp_path / "out")]
    assert main(call) == 2
    assert "has metres already" in capsys.readouterr().err
    assert main(["asset", "--from-topic", "/a", "/b", "/c", "--out", str(tmp_path / "out")]) == 2
    assert "not 3 topics" in capsys.readouterr().err
