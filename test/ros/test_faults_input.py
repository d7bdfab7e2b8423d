"""Malformed messages, over DDS between processes: the node goes on, and counts every frame exactly once."""

from __future__ import annotations

import array
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from geometry_msgs.msg import Vector3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image, Imu, LaserScan, PointCloud2, PointField, Range, RegionOfInterest

from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import ENCODINGS
from merge_ros.ros.frame_report import CODE_NAMES

OK = DepthStatus.OK
BYTE, UINT32 = st.integers(0, 255), st.integers(0, 2**32 - 1)
ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)
FLOAT32 = st.floats(allow_nan=True, allow_infinity=True, width=32)
WORDS = st.text(max_size=30)


@pytest.fixture(scope="module")
def node(start_node: Any, camera: Any) -> Any:
    """An active node with the shipped model in small, and metres, so that every output is made."""
    node = start_node(scale_source="fixed", scale=2, camera_height=0.5)
    node.bring_to("active")
    return node


def examples(number: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Settings of hypothesis: the same examples every time, however long one takes."""
    return settings(
        max_examples=number, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )


@st.composite
def images(draw: st.DrawFn) -> Image:
    """An image that could be one, spoilt in none, some or all of its fields."""
    encoding = draw(st.sampled_from(sorted(ENCODINGS)))
    layout = ENCODINGS[encoding]
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    step = width * layout.channels * np.dtype(layout.dtype).itemsize + draw(st.integers(0, 9))
    size = height * step
    spoilt = draw(st.sets(st.sampled_from(["encoding", "width", "height", "step", "data"])))
    image = Image(
        encoding=draw(WORDS) if "encoding" in spoilt else encoding,
        width=draw(UINT32 | st.integers(0, 50)) if "width" in spoilt else width,
        height=draw(UINT32 | st.integers(0, 50)) if "height" in spoilt else height,
        step=draw(UINT32 | st.integers(0, 500)) if "step" in spoilt else step,
        is_bigendian=draw(BYTE),
    )
    seed = draw(UINT32)
    image.data = array.array("B", np.random.default_rng(seed).bytes(draw(st.integers(0, 9000))))
    if "data" not in spoilt:
        image.data = array.array("B", np.random.default_rng(seed).bytes(size))
    return image


@st.composite
def infos(draw: st.DrawFn, image: Image) -> CameraInfo | None:
    """A camera info that could be that of the image, spoilt in none, some or all of its fields; or none."""
    spoilt = draw(st.none() | st.sets(st.sampled_from(["size", "k", "p", "r", "d", "model", "roi", "binning"])))
    if spoilt is None:
        return None
    info = CameraInfo(width=image.width, height=image.height, k=[30.0, 0, 20, 0, 30, 15, 0, 0, 1])
    if "size" in spoilt:
        info.width, info.height = draw(UINT32), draw(UINT32)
    for name, length in (("k", 9), ("p", 12), ("r", 9)):
        if name in spoilt:
            setattr(info, name, draw(st.lists(ANY_FLOAT, min_size=length, max_size=length)))
    if "d" in spoilt:
        info.d = draw(st.lists(ANY_FLOAT, max_size=20))
    if "model" in spoilt:
        info.distortion_model = draw(WORDS)
    if "roi" in spoilt:
        info.roi = RegionOfInterest(**{name: draw(UINT32) for name in ("x_offset", "y_offset", "width", "height")})
    if "binning" in spoilt:
        info.binning_x, info.binning_y = draw(UINT32), draw(UINT32)
    return info


def ended(status: DepthStatus) -> int:
    return status.frames_processed + status.frames_dropped + status.frames_invalid + status.frames_failed


def test_malformed_images_and_infos_are_counted_exactly_once(
    node: Any, camera: Any, picture: Image, picture_info: CameraInfo, often: Any, tell: Any
) -> None:
    outcomes: Counter[str] = Counter()
    stamps: Counter[int] = Counter()
    before = camera.exchange(picture, picture_info, lambda status: status.error_code == OK)

    @examples(often(100, 1000))
    @given(st.data(), WORDS)
    def each(data: st.DataObject, frame: str) -> None:
        image = data.draw(images())
        status = camera.exchange(image, data.draw(infos(image)), frame=frame)
        assert status.frames_received == ended(status)  # of all that came, this was the last
        outcomes[CODE_NAMES.get(status.error_code, "ok")] += 1
        stamps.update(status.header.stamp.sec for status in camera.statuses)
        camera.statuses.clear()

    each()
    after = camera.exchange(picture, picture_info, lambda status: status.error_code == OK)
    assert after.frames_received == ended(after)
    assert after.frames_received - before.frames_received >= sum(outcomes.values())
    assert set(stamps.values()) == {1}  # one status for each
    assert outcomes["ok"] and outcomes["invalid_image"] and outcomes["invalid_camera_info"]
    assert not outcomes["inference_failed"] and not outcomes["publishing_failed"]
    assert "Traceback" not in node.process.output
    told = ", ".join(f"{count} {name}" for name, count in outcomes.most_common())
    tell(
        "Image and CameraInfo with wrong sizes, encodings, numbers and text (property-based)",
        f"{sum(outcomes.values())} pairs",
        f"no crash; one status for each ({told}); received = processed + dropped + invalid + failed after every frame",
    )


def test_random_bytes_in_place_of_messages_are_survived(
    node: Any, camera: Any, graph: Any, picture: Image, picture_info: CameraInfo, often: Any, tell: Any
) -> None:
    publishers = [graph.node.create_publisher(Image, "/image", 1)]
    publishers.append(graph.node.create_publisher(CameraInfo, "/camera_info", 1))
    whole = [serialize_message(picture), serialize_message(picture_info)]
    random = np.random.default_rng(3)
    before = camera.exchange(picture, picture_info, lambda status: status.error_code == OK)
    number = often(100, 1000)
    for count in range(number):
        which = count % 2
        message = bytearray(whole[which])
        if count % 3 == 0:
            message = bytearray(random.bytes(int(random.integers(0, 3000))))
        elif count % 3 == 1:
            message = message[: int(random.integers(0, len(message)))]
        else:
            for place in random.integers(0, min(len(message), 400), 8):
                message[place] = int(random.integers(0, 256))
        publishers[which].publish(bytes(message))
        time.sleep(0.002)
        if count % 50 == 49:
            status = camera.exchange(picture, picture_info, lambda status: status.error_code == OK)
            assert status.frames_received == ended(status)
    after = camera.exchange(picture, picture_info, lambda status: status.error_code == OK)
    for publisher in publishers:
        graph.node.destroy_publisher(publisher)
    assert after.frames_received == ended(after)
    assert "Traceback" not in node.process.output
    tell(
        "random, truncated and altered bytes in place of serialized messages",
        f"{number}",
        f"no crash; {after.frames_received - before.frames_received} frames could be read and were counted once each, "
        "the rest never reached the node; good frames in between were all done",
    )


@st.composite
def references(draw: st.DrawFn, kinds: tuple[type, ...]) -> Any:
    """A message of a range sensor, a depth camera or an IMU, of which nothing is certain."""
    kind = draw(st.sampled_from(kinds))
    if kind is LaserScan:
        numbers = ("angle_min", "angle_max", "angle_increment", "range_min", "range_max")
        message = LaserScan(**{name: draw(FLOAT32) for name in numbers})
        message.ranges = draw(st.lists(FLOAT32, max_size=40))
    elif kind is PointCloud2:
        sizes = ("height", "width", "point_step", "row_step")
        message = PointCloud2(**{name: draw(UINT32 | st.integers(0, 40)) for name in sizes})
        message.fields = [
            PointField(
                name=draw(st.sampled_from(["x", "y", "z", "rgb"])),
                offset=draw(UINT32 | st.integers(0, 20)),
                datatype=draw(st.integers(0, 9)),
                count=draw(UINT32 | st.integers(0, 3)),
            )
            for _ in range(draw(st.integers(0, 4)))
        ]
        message.is_bigendian = draw(st.booleans())
        message.data = array.array("B", draw(st.binary(max_size=600)))
    elif kind is Range:
        message = Range(**{name: draw(FLOAT32) for name in ("field_of_view", "min_range", "max_range", "range")})
    elif kind is Imu:
        message = Imu(linear_acceleration=Vector3(x=draw(ANY_FLOAT), y=draw(ANY_FLOAT), z=draw(ANY_FLOAT)))
    else:
        message = draw(images())
        message.encoding = draw(st.sampled_from(["32FC1", "16UC1", "rgb8", ""]))
    message.header.frame_id = draw(WORDS)
    message.header.stamp.sec = draw(st.integers(-(2**31), 2**31 - 1))
    message.header.stamp.nanosec = draw(UINT32)
    return message


TOPICS = {
    LaserScan: "/reference/scan",
    PointCloud2: "/reference/points",
    Range: "/reference/range",
    Imu: "/imu",
    Image: "/reference/depth",
}


def test_malformed_references_of_the_scale_are_survived(
    node: Any, camera: Any, graph: Any, picture: Image, picture_info: CameraInfo, often: Any, tell: Any
) -> None:
    publishers = {kind: graph.node.create_publisher(kind, topic, 10) for kind, topic in TOPICS.items()}
    sent = 0
    for source, kinds in (
        ({"scale_source": "range"}, (LaserScan, PointCloud2, Range)),
        ({"scale_source": "depth", "reference_camera": "same"}, (Image,)),
        ({"scale_source": "depth", "reference_camera": "own"}, (Image,)),
        ({"scale_source": "ground_plane", "camera_mounting": "imu", "camera_height": 0.5}, (Imu,)),
    ):
        assert node.set_together(**source).successful
        deadline = time.monotonic() + 60
        while not all(publishers[kind].get_subscription_count() for kind in kinds) and time.monotonic() < deadline:
            time.sleep(0.01)

        @examples(often(60, 500))
        @given(references(kinds))
        def each(message: Any) -> None:
            nonlocal sent
            publishers[type(message)].publish(message)
            sent += 1
            if sent % 10 == 0:
                camera.exchange(picture, picture_info)
                assert node.process.process.poll() is None, node.process.output

        each()
    status = camera.exchange(picture, picture_info)
    assert status.frames_received == ended(status)
    for publisher in publishers.values():
        graph.node.destroy_publisher(publisher)
    assert node.set_together(scale_source="fixed", camera_mounting="parameters").successful
    camera.exchange(picture, picture_info, lambda status: status.error_code == OK)
    assert "Traceback" not in node.process.output
    tell(
        "scans, clouds, ranges, IMU messages and depth images with any numbers, as references of the scale",
        f"{sent}",
        "no crash; refused ones are named in the log",
    )
