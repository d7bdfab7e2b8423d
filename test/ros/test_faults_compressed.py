"""Compressed images of which nothing is certain, over DDS between processes: the node goes on, and counts each once."""

from __future__ import annotations

import array
from collections import Counter
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, CompressedImage

from merge_ros.msg import DepthStatus
from merge_ros.ros.frame_report import CODE_NAMES

FORMATS = (
    "jpeg",
    "png",
    "rgb8; jpeg compressed bgr8",
    "bayer_rggb8; png compressed bayer_rggb8",
    "16UC1; compressedDepth",
)


@pytest.fixture(scope="module")
def node(start_node: Any) -> Any:
    """An active node with the shipped model in small, which takes compressed images."""
    node = start_node(scale_source="fixed", scale=2, image_transport="compressed")
    node.bring_to("active")
    return node


def packed(extension: str, width: int, height: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return cv2.imencode(extension, pixels)[1].tobytes()


@st.composite
def compressed_images(draw: st.DrawFn) -> CompressedImage:
    """A JPEG or PNG that could be one: whole, cut off, with bytes altered, put in or taken out; or any bytes at all."""
    data = bytearray(
        packed(
            draw(st.sampled_from([".jpg", ".png"])),
            draw(st.integers(1, 60)),
            draw(st.integers(1, 60)),
            draw(st.integers(0, 9)),
        )
    )
    damage = draw(st.sampled_from(["none", "cut", "altered", "longer", "shorter", "size", "any"]))
    place = st.integers(0, len(data) - 1) | st.integers(0, min(len(data) - 1, 40))  # also in the header
    if damage == "cut":
        del data[draw(place) :]
    elif damage == "altered":
        for at in draw(st.lists(place, min_size=1, max_size=8)):
            data[at] = draw(st.integers(0, 255))
    elif damage == "longer":
        at = draw(place)
        data[at:at] = draw(st.binary(min_size=1, max_size=300))
    elif damage == "shorter":
        at = draw(place)
        del data[at : at + draw(st.integers(1, 300))]
    elif damage == "size":  # a PNG that claims any size; in a JPEG, any damage near its beginning
        data[16:24] = draw(st.binary(min_size=8, max_size=8))
    elif damage == "any":
        data = bytearray(draw(st.binary(max_size=3000)))
    image_format = draw(st.sampled_from(FORMATS) | st.text(max_size=30))
    return CompressedImage(format=image_format, data=array.array("B", bytes(data)))


def test_damaged_compressed_images_are_counted_exactly_once(
    node: Any, compressed_camera: Any, picture_info: CameraInfo, often: Any, tell: Any
) -> None:
    camera = compressed_camera
    good = CompressedImage(format="jpeg", data=array.array("B", packed(".jpg", 64, 48, 0)))
    outcomes: Counter[str] = Counter()
    stamps: Counter[int] = Counter()
    before = camera.exchange(good, picture_info, lambda status: status.error_code == DepthStatus.OK)
    camera.statuses.clear()

    @settings(
        max_examples=often(100, 1000),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(compressed_images())
    def each(image: CompressedImage) -> None:
        status = camera.exchange(image, None)
        assert status.frames_received == (
            status.frames_processed + status.frames_dropped + status.frames_invalid + status.frames_failed
        )
        outcomes[CODE_NAMES.get(status.error_code, "ok")] += 1
        stamps.update(status.header.stamp.sec for status in camera.statuses)
        camera.statuses.clear()

    each()
    after = camera.exchange(good, picture_info, lambda status: status.error_code == DepthStatus.OK)
    assert after.frames_received - before.frames_received >= sum(outcomes.values())
    assert set(stamps.values()) == {1}  # one status for each
    # An info of another size than the picture's: the picture itself was read, and has relative depth.
    assert outcomes["invalid_image"] and outcomes["invalid_camera_info"]
    assert not outcomes["inference_failed"] and not outcomes["publishing_failed"]
    assert "Traceback" not in node.process.output
    told = ", ".join(f"{count} {name}" for name, count in outcomes.most_common())
    tell(
        "CompressedImage: JPEG and PNG cut off, altered, lengthened, shortened, of a false size, or any bytes "
        "(property-based)",
        f"{sum(outcomes.values())}",
        f"no crash; one status for each ({told}; a picture that can still be read has relative depth, and an info of "
        "another size); received = processed + dropped + invalid + failed after every frame",
    )
