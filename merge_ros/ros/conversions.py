"""Messages to arrays and back: sensor_msgs Image in as a view of its bytes, Image and PointCloud2 out in one copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from merge_ros.errors import EncodingError, InputError

Rgb = NDArray[np.uint8]
ToRgb = Callable[[NDArray], NDArray]


@dataclass(frozen=True)
class Encoding:
    """How one value of `sensor_msgs/Image.encoding` lies in memory, and how it becomes RGB.

    Args:
        dtype: of one channel.
        channels: per pixel.
        to_rgb: from the array that `image_to_array` gives to [H, W, 3] uint8; None: not a colour or grey image.
        width_multiple: the width must be a multiple of it.
        smallest: least width and height.
    """

    dtype: type[np.generic]
    channels: int
    to_rgb: ToRgb | None
    width_multiple: int = 1
    smallest: int = 1


def _cv(code: int) -> ToRgb:
    return lambda image: cv2.cvtColor(image, code)


def _unchanged(image: NDArray) -> NDArray:
    return image


def _grey16_to_rgb(image: NDArray) -> NDArray:
    # The whole 16-bit range maps onto 8 bits, whatever the picture shows: a frame's brightness must not depend on its
    # own extremes, or a still scene would flicker.
    return cv2.cvtColor((image >> 8).astype(np.uint8), cv2.COLOR_GRAY2RGB)


_BGR, _BGRA = _cv(cv2.COLOR_BGR2RGB), _cv(cv2.COLOR_BGRA2RGB)
_GREY = _cv(cv2.COLOR_GRAY2RGB)
_UYVY, _YUYV = _cv(cv2.COLOR_YUV2RGB_UYVY), _cv(cv2.COLOR_YUV2RGB_YUY2)

# sensor_msgs/image_encodings.hpp. The generic 8UCn types say nothing of colour; they come from OpenCV, so their
# channels are taken in OpenCV's order.
ENCODINGS: dict[str, Encoding] = {
    "rgb8": Encoding(np.uint8, 3, _unchanged),
    "bgr8": Encoding(np.uint8, 3, _BGR),
    "rgba8": Encoding(np.uint8, 4, _cv(cv2.COLOR_RGBA2RGB)),
    "bgra8": Encoding(np.uint8, 4, _BGRA),
    "mono8": Encoding(np.uint8, 1, _GREY),
    "mono16": Encoding(np.uint16, 1, _grey16_to_rgb),
    "8UC1": Encoding(np.uint8, 1, _GREY),
    "8UC3": Encoding(np.uint8, 3, _BGR),
    "8UC4": Encoding(np.uint8, 4, _BGRA),
    # OpenCV leaves images under 3x3 black.
    "bayer_rggb8": Encoding(np.uint8, 1, _cv(cv2.COLOR_BayerRGGB2RGB), smallest=3),
    "bayer_bggr8": Encoding(np.uint8, 1, _cv(cv2.COLOR_BayerBGGR2RGB), smallest=3),
    "bayer_gbrg8": Encoding(np.uint8, 1, _cv(cv2.COLOR_BayerGBRG2RGB), smallest=3),
    "bayer_grbg8": Encoding(np.uint8, 1, _cv(cv2.COLOR_BayerGRBG2RGB), smallest=3),
    "yuv422": Encoding(np.uint8, 2, _UYVY, width_multiple=2),
    "uyvy": Encoding(np.uint8, 2, _UYVY, width_multiple=2),
    "yuv422_yuy2": Encoding(np.uint8, 2, _YUYV, width_multiple=2),
    "yuyv": Encoding(np.uint8, 2, _YUYV, width_multiple=2),
    # Depth images: readable as arrays, refused as camera images.
    "16UC1": Encoding(np.uint16, 1, None),
    "32FC1": Encoding(np.float32, 1, None),
}
CAMERA_ENCODINGS = tuple(name for name, encoding in ENCODINGS.items() if encoding.to_rgb)


def stamp_nanoseconds(stamp: Time) -> int:
    """A stamp as one number. (`rclpy.time.Time` raises on negative seconds, which a message can hold.)"""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def image_to_rgb(image: Image) -> Rgb:
    """The colours of a camera image.

    Args:
        image: in one of `CAMERA_ENCODINGS`, with or without padding at the end of its rows.

    Returns:
        [height, width, 3] uint8, red first. rgb8 is a view of the message's bytes, the others are new. mono16 keeps
        the upper byte; grey is repeated in the three channels.

    Raises:
        EncodingError: another encoding, or a size that the encoding cannot have.
        InputError: see `image_to_array`.
    """
    encoding = ENCODINGS.get(image.encoding)
    if encoding is None or encoding.to_rgb is None:
        raise _refused(image.encoding, CAMERA_ENCODINGS)
    pixels = image_to_array(image)
    if image.width % encoding.width_multiple or min(image.width, image.height) < encoding.smallest:
        raise EncodingError(
            f"a {image.encoding} image cannot be {image.width}x{image.height}: its width must be a multiple of "
            f"{encoding.width_multiple} and both sides at least {encoding.smallest}"
        )
    return encoding.to_rgb(pixels)


def image_to_array(image: Image) -> NDArray:
    """The pixels of an image as they are.

    Args:
        image: in one of `ENCODINGS`.

    Returns:
        [height, width] or [height, width, channels] of the encoding's type, in this machine's byte order: a view of the
        message's bytes, or a copy where bytes had to be swapped.

    Raises:
        EncodingError: an unknown encoding.
        InputError: a side of zero, `step` shorter than a row, or `data` shorter than height * step.
    """
    encoding = _layout(image.encoding)
    dtype = np.dtype(encoding.dtype)
    if image.width < 1 or image.height < 1:
        raise InputError(f"image is {image.width}x{image.height}: both sides must be at least 1 pixel")
    row_bytes = image.width * encoding.channels * dtype.itemsize
    if image.step < row_bytes:
        raise InputError(
            f"image step is {image.step} bytes; {image.width} pixels of {image.encoding} need at least {row_bytes}"
        )
    if len(image.data) < image.height * image.step:
        raise InputError(
            f"image data has {len(image.data)} bytes; {image.height} rows of {image.step} bytes need "
            f"{image.height * image.step}"
        )
    stored = dtype.newbyteorder(">" if image.is_bigendian else "<")
    pixel_bytes = encoding.channels * dtype.itemsize
    array: NDArray = np.ndarray(
        (image.height, image.width, encoding.channels),
        stored,
        np.frombuffer(image.data, np.uint8),
        strides=(image.step, pixel_bytes, dtype.itemsize),
    )
    if encoding.channels == 1:
        array = array[..., 0]
    return array.astype(dtype, copy=False)


def array_to_image(array: NDArray, encoding: str, header: Header) -> Image:
    """An image message with the array's pixels, rows without padding.

    Args:
        array: [height, width] or [height, width, channels] of the encoding's type.
        encoding: one of `ENCODINGS`.
        header: goes into the message as it is.

    Raises:
        EncodingError: an unknown encoding.
        InputError: the array's shape or type is not the encoding's.
    """
    layout = _layout(encoding)
    dtype = np.dtype(layout.dtype)
    trailing = () if layout.channels == 1 else (layout.channels,)
    if array.dtype != dtype or array.ndim < 2 or array.shape[2:] != trailing:
        raise InputError(
            f"array {array.dtype} {array.shape} cannot be a {encoding} image; needed: {dtype} "
            f"{('height', 'width', *trailing)}"
        )
    image = Image(header=header, height=array.shape[0], width=array.shape[1], encoding=encoding)
    image.step = array.shape[1] * layout.channels * dtype.itemsize
    image.is_bigendian = 0
    _fill(image, array.astype(dtype.newbyteorder("<"), copy=False))
    return image


def cloud_to_message(cloud: NDArray[np.void], header: Header) -> PointCloud2:
    """A PointCloud2 with the fields of a structured array, rows without padding.

    Args:
        cloud: [height, width], every field a little-endian float32; not finite is unknown.
        header: goes into the message as it is.

    Raises:
        InputError: not two-dimensional, or a field of another type.
    """
    fields: Mapping[str, Any] = cloud.dtype.fields or {}
    if cloud.ndim != 2 or not fields or any(field[0] != np.dtype("<f4") for field in fields.values()):
        raise InputError(f"cloud {cloud.shape} of type {cloud.dtype}; allowed: [height, width] of float32 fields")
    message = PointCloud2(header=header, height=cloud.shape[0], width=cloud.shape[1])
    message.fields = [
        PointField(name=name, offset=field[1], datatype=PointField.FLOAT32, count=1) for name, field in fields.items()
    ]
    message.is_bigendian = False
    message.point_step = cloud.dtype.itemsize
    message.row_step = cloud.dtype.itemsize * cloud.shape[1]
    message.is_dense = bool(np.isfinite(cloud[next(iter(fields))]).all())  # unknown depth is NaN
    _fill(message, cloud)
    return message


def _fill(message: Image | PointCloud2, array: NDArray) -> None:
    # Assigning to `data` checks every byte in Python (96 ms for a VGA image); filling the array in place does not.
    message.data.frombytes(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _layout(encoding: str) -> Encoding:
    if encoding not in ENCODINGS:
        raise _refused(encoding, tuple(ENCODINGS))
    return ENCODINGS[encoding]


def _refused(encoding: str, allowed: tuple[str, ...]) -> EncodingError:
    kind = "of a depth image " if encoding in ENCODINGS else ""
    return EncodingError(f"image encoding {encoding!r} {kind}cannot be used here; allowed: {', '.join(allowed)}")
