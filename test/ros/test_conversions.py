"""Image and cloud messages: round trips, padding, byte order, colours, and everything that must be refused."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from sensor_msgs.msg import Image, PointField
from std_msgs.msg import Header

from merge_ros.errors import EncodingError, InputError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.pointcloud import POINT_DTYPE, packed_cloud
from merge_ros.ros.conversions import (
    CAMERA_ENCODINGS,
    ENCODINGS,
    array_to_image,
    cloud_to_message,
    image_to_array,
    image_to_rgb,
)

HEADER = Header(frame_id="camera_optical")


def padded(pixels: np.ndarray, encoding: str, padding: int, big_endian: bool = False, tail: int = 0) -> Image:
    """A message made byte by byte, independent of `array_to_image`; the padding bytes are 0xAA."""
    stored = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<"))
    rows = [stored[row].tobytes() + b"\xaa" * padding for row in range(len(stored))]
    image = Image(header=HEADER, height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    image.step, image.is_bigendian = len(rows[0]), int(big_endian)
    image.data = array.array("B", b"".join(rows) + b"\xaa" * tail)
    return image


@st.composite
def pixel_arrays(draw: st.DrawFn) -> tuple[str, np.ndarray]:
    encoding = draw(st.sampled_from(sorted(ENCODINGS)))
    layout = ENCODINGS[encoding]
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    if layout.channels > 1:
        shape = (*shape, layout.channels)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = np.dtype(layout.dtype)
    if dtype.kind == "f":
        return encoding, random.normal(size=shape).astype(dtype)
    return encoding, random.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


@given(pixel_arrays(), st.integers(0, 9), st.booleans(), st.integers(0, 5))
def test_pixels_are_read_through_padding_byte_order_and_surplus_data(
    sample: tuple[str, np.ndarray], padding: int, big_endian: bool, tail: int
) -> None:
    encoding, pixels = sample
    read = image_to_array(padded(pixels, encoding, padding, big_endian, tail))
    assert read.dtype == pixels.dtype and read.dtype.isnative
    np.testing.assert_array_equal(read, pixels)


@given(pixel_arrays())
def test_an_array_survives_the_round_trip_through_a_message(sample: tuple[str, np.ndarray]) -> None:
    encoding, pixels = sample
    image = array_to_image(pixels, encoding, HEADER)
    assert image.header == HEADER
    assert image.step * image.height == len(image.data) == pixels.nbytes
    np.testing.assert_array_equal(image_to_array(image), pixels)


def test_reading_does_not_copy() -> None:
    image = array_to_image(np.zeros((4, 5, 3), np.uint8), "rgb8", HEADER)
    view = image_to_rgb(image)
    image.data[0] = 7
    assert view[0, 0, 0] == 7


def test_an_array_with_holes_is_packed() -> None:
    pixels = np.arange(48, dtype=np.float32).reshape(6, 8)[::2, ::3]
    np.testing.assert_array_equal(image_to_array(array_to_image(pixels, "32FC1", HEADER)), pixels)


RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 200, 90]]], np.uint8)


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("8UC3", RGB[..., ::-1]),
        ("rgba8", np.dstack([RGB, np.full((2, 2), 17, np.uint8)])),
        ("bgra8", np.dstack([RGB[..., ::-1], np.full((2, 2), 17, np.uint8)])),
        ("8UC4", np.dstack([RGB[..., ::-1], np.full((2, 2), 17, np.uint8)])),
    ],
)
@pytest.mark.parametrize("padding", [0, 5])
def test_colours_come_out_red_first(encoding: str, pixels: np.ndarray, padding: int) -> None:
    rgb = image_to_rgb(padded(pixels, encoding, padding))
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, RGB)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_goes_into_all_three_channels(encoding: str) -> None:
    grey = np.array([[0, 100, 255]], np.uint8)
    np.testing.assert_array_equal(image_to_rgb(padded(grey, encoding, 3)), np.dstack([grey] * 3))


@pytest.mark.parametrize("big_endian", [False, True])
def test_mono16_keeps_the_upper_byte(big_endian: bool) -> None:
    grey = np.array([[0x0000, 0x12FF, 0xFFFF]], np.uint16)
    rgb = image_to_rgb(padded(grey, "mono16", 2, big_endian))
    np.testing.assert_array_equal(rgb[..., 0], [[0x00, 0x12, 0xFF]])
    np.testing.assert_array_equal(rgb[..., 0], rgb[..., 2])


# The name of a pattern reads its top-left 2x2 block row by row (sensor_msgs/image_encodings.hpp).
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("colour", [(200, 40, 90), (10, 250, 30)])
def test_bayer_mosaics_give_their_colour_back(pattern: str, colour: tuple[int, int, int]) -> None:
    values = [colour["rgb".index(letter)] for letter in pattern]
    mosaic = np.tile(np.array(values, np.uint8).reshape(2, 2), (8, 8))
    rgb = image_to_rgb(padded(mosaic, f"bayer_{pattern}8", 4))
    np.testing.assert_array_equal(rgb[4:-4, 4:-4], np.broadcast_to(np.array(colour, np.uint8), (8, 8, 3)))


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")],
)
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255), (20, 160, 90), (128, 128, 128)])
def test_yuv422_gives_its_colour_back(encoding: str, order: str, colour: tuple[int, int, int]) -> None:
    # ITU-R BT.601, studio range.
    red, green, blue = (value / 255 for value in colour)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    levels = {"y": 16 + 219 * luma, "u": 128 + 224 * (blue - luma) / 1.772, "v": 128 + 224 * (red - luma) / 1.402}
    four = np.array([round(levels[letter]) for letter in order], np.uint8)
    pixels = np.tile(four, 2 * 3).reshape(2, 6, 2)
    rgb = image_to_rgb(padded(pixels, encoding, 8)).astype(int)
    assert np.abs(rgb - np.array(colour)).max() <= 4


@pytest.mark.parametrize("encoding", ["", "rgb", "RGB8", "jpeg", "16UC1", "32FC1", "64FC1", "rgb8\x00"])
def test_encodings_that_are_no_camera_image_are_refused_by_name(encoding: str) -> None:
    image = padded(np.zeros((2, 2, 4), np.uint8), encoding, 0)
    with pytest.raises(EncodingError, match="allowed: rgb8, bgr8") as caught:
        image_to_rgb(image)
    assert repr(encoding) in str(caught.value)
    assert ("depth image" in str(caught.value)) == (encoding in ("16UC1", "32FC1"))


def test_a_message_that_is_malformed_is_refused_with_the_numbers() -> None:
    good = padded(np.zeros((4, 6, 3), np.uint8), "rgb8", 2)
    for change, words in (
        ({"height": 0}, "6x0"),
        ({"width": 0}, "0x4"),
        ({"step": 17}, "17 bytes; 6 pixels of rgb8 need at least 18"),
        ({"data": good.data[:-1]}, "79 bytes; 4 rows of 20 bytes need 80"),
        ({"data": array.array("B")}, "0 bytes"),
        ({"height": 2**32 - 1, "step": 2**32 - 1}, "data has 80 bytes"),
        ({"width": 2**32 - 1}, "step is 20 bytes"),
    ):
        bad = padded(np.zeros((4, 6, 3), np.uint8), "rgb8", 2)
        for name, value in change.items():
            setattr(bad, name, value)
        with pytest.raises(InputError, match=words):
            image_to_rgb(bad)


@pytest.mark.parametrize(
    ("encoding", "shape"),
    [("yuv422", (2, 3, 2)), ("yuyv", (1, 1, 2)), ("bayer_rggb8", (2, 8)), ("bayer_gbrg8", (8, 2))],
)
def test_sizes_that_an_encoding_cannot_have_are_refused(encoding: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(EncodingError, match=f"{shape[1]}x{shape[0]}"):
        image_to_rgb(padded(np.zeros(shape, np.uint8), encoding, 0))


@settings(max_examples=300)
@given(
    st.sampled_from([*sorted(ENCODINGS), "", "nonsense"]),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 100),
    st.integers(0, 255),
    st.binary(max_size=400),
)
def test_random_messages_give_an_image_or_an_input_error(
    encoding: str, height: int, width: int, step: int, big_endian: int, data: bytes
) -> None:
    image = Image(height=height, width=width, encoding=encoding, step=step, is_bigendian=big_endian)
    image.data = array.array("B", data)
    try:
        rgb = image_to_rgb(image)
    except InputError:
        return
    assert rgb.shape == (height, width, 3) and rgb.dtype == np.uint8
    assert encoding in CAMERA_ENCODINGS and len(data) >= height * step


def test_arrays_that_are_not_the_encodings_are_refused() -> None:
    for pixels, encoding in (
        (np.zeros((2, 2)), "32FC1"),
        (np.zeros((2, 2), np.uint8), "rgb8"),
        (np.zeros((2, 2, 1), np.float32), "32FC1"),
        (np.zeros(4, np.uint8), "mono8"),
    ):
        with pytest.raises(InputError, match=encoding):
            array_to_image(pixels, encoding, HEADER)
    with pytest.raises(EncodingError, match="64FC1"):
        array_to_image(np.zeros((2, 2)), "64FC1", HEADER)


def random_cloud(height: int, width: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    depth = random.uniform(0.3, 9, (height, width)).astype(np.float32)
    depth[random.random((height, width)) < 0.2] = np.nan
    rgb = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    return packed_cloud(depth, rgb, Camera.from_fov(width, height, 1.2))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_a_cloud_message_has_the_layout_that_nav2_and_pcl_read(height: int, width: int, seed: int) -> None:
    cloud = random_cloud(height, width, seed)
    message = cloud_to_message(cloud, HEADER)
    assert message.header == HEADER
    assert [(f.name, f.offset, f.datatype, f.count) for f in message.fields] == [
        ("x", 0, PointField.FLOAT32, 1),
        ("y", 4, PointField.FLOAT32, 1),
        ("z", 8, PointField.FLOAT32, 1),
        ("rgb", 12, PointField.FLOAT32, 1),
    ]
    assert (message.height, message.width) == (height, width)
    assert (message.point_step, message.row_step) == (16, 16 * width)
    assert message.is_dense == np.isfinite(cloud["x"]).all() and not message.is_bigendian
    assert bytes(message.data) == cloud.tobytes()


def test_the_real_sensor_msgs_py_reads_the_cloud_back() -> None:
    point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2", reason="sensor_msgs_py is not installed")
    cloud = random_cloud(5, 7, 3)
    message = cloud_to_message(cloud, HEADER)
    read = point_cloud2.read_points(message)
    for name in POINT_DTYPE.names or ():
        np.testing.assert_array_equal(read[name].view(np.uint32), cloud[name].ravel().view(np.uint32))
    known = point_cloud2.read_points(message, field_names=("x", "y", "z"), skip_nans=True)
    assert len(known) == np.isfinite(cloud["z"]).sum()


def test_clouds_of_other_types_are_refused() -> None:
    for cloud in (np.zeros((2, 2), np.float32), np.zeros(3, POINT_DTYPE), np.zeros((2, 2), [("x", "<f8")])):
        with pytest.raises(InputError, match="float32"):
            cloud_to_message(cloud, HEADER)


def test_opencv_agrees_on_a_picture() -> None:
    """A whole picture through every 8-bit colour encoding, made by OpenCV's own inverse conversions."""
    random = np.random.default_rng(0)
    rgb = cv2.resize(random.integers(0, 256, (6, 8, 3)).astype(np.uint8), (64, 48), interpolation=cv2.INTER_CUBIC)
    for encoding, code in (("bgr8", cv2.COLOR_RGB2BGR), ("rgba8", cv2.COLOR_RGB2RGBA), ("bgra8", cv2.COLOR_RGB2BGRA)):
        np.testing.assert_array_equal(image_to_rgb(array_to_image(cv2.cvtColor(rgb, code), encoding, HEADER)), rgb)
