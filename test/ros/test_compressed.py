"""Compressed images: real JPEG and PNG bytes, and everything that can be wrong with them."""

from __future__ import annotations

import array
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from sensor_msgs.msg import CompressedImage

from merge_ros.errors import EncodingError, InputError
from merge_ros.ros.compressed import MAX_PIXELS, compressed_to_rgb

ROWS, COLUMNS = np.mgrid[:48, :64]
RGB = np.stack([4 * COLUMNS, 5 * ROWS, 128 + 0 * ROWS], -1).astype(np.uint8)


def packed(extension: str, picture: np.ndarray, *flags: int) -> bytes:
    return cv2.imencode(extension, picture, flags)[1].tobytes()


JPEG, PNG = packed(".jpg", RGB[..., ::-1]), packed(".png", RGB[..., ::-1])


def message(data: bytes, image_format: str = "rgb8; jpeg compressed bgr8") -> CompressedImage:
    return CompressedImage(format=image_format, data=array.array("B", data))


def test_png_is_exact_and_jpeg_is_near() -> None:
    np.testing.assert_array_equal(compressed_to_rgb(message(PNG, "png")), RGB)
    off = compressed_to_rgb(message(JPEG)).astype(int) - RGB
    assert np.abs(off).mean() < 3  # red and blue swapped would be 60 and more


@pytest.mark.parametrize("flags", [(cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)])
def test_progressive_and_restart_markers(flags: tuple[int, int]) -> None:
    off = compressed_to_rgb(message(packed(".jpg", RGB[..., ::-1], *flags))).astype(int) - RGB
    assert np.abs(off).mean() < 3


def test_grey_sixteen_bit_and_transparent_pictures() -> None:
    grey = RGB[..., 1]
    np.testing.assert_array_equal(compressed_to_rgb(message(packed(".png", grey))), np.repeat(grey[..., None], 3, 2))
    deep = RGB[..., ::-1].astype(np.uint16) * 257
    np.testing.assert_array_equal(compressed_to_rgb(message(packed(".png", deep))), RGB)
    clear = np.dstack([RGB[..., ::-1], np.full((48, 64), 7, np.uint8)])
    np.testing.assert_array_equal(compressed_to_rgb(message(packed(".png", clear))), RGB)


def test_bytes_behind_the_picture_are_allowed_as_uvc_cameras_send_them() -> None:
    assert compressed_to_rgb(message(JPEG + bytes(200))).shape == (48, 64, 3)


def test_a_note_that_the_camera_was_turned_does_not_turn_the_picture() -> None:
    """EXIF orientation 6 (turn clockwise), written by hand: TIFF header, one entry."""
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x112, 3, 1, 6, 0) + bytes(4)
    note = b"Exif\0\0" + tiff
    turned = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(note) + 2) + note + JPEG[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (64, 48, 3)
    assert compressed_to_rgb(message(turned)).shape == (48, 64, 3)


def test_a_compressed_mosaic_gets_its_colours() -> None:
    red, mosaic = np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint8)
    red[...] = (200, 0, 0)
    mosaic[0::2, 0::2] = 200  # rggb
    rgb = compressed_to_rgb(message(packed(".png", mosaic), "bayer_rggb8; png compressed bayer_rggb8"))
    np.testing.assert_array_equal(rgb[2:-2, 2:-2], red[2:-2, 2:-2])


def png_of(width: int, height: int, rows: bytes = b"") -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    """The picture, with another size in its frame header (baseline: marker C0)."""
    at = JPEG.index(b"\xff\xc0")
    return JPEG[: at + 5] + struct.pack(">HH", height, width) + JPEG[at + 9 :]


BAD = {
    "empty": (b"", InputError, "is empty"),
    "text": (b"hello, world", EncodingError, "begins with b'hello, w'"),
    "another format": (packed(".bmp", RGB), EncodingError, "allowed: JPEG, PNG"),
    "truncated JPEG": (JPEG[:-40], InputError, "truncated"),
    "JPEG without its last byte": (JPEG[:-1], InputError, "truncated"),
    "JPEG of a header": (JPEG[:20], InputError, "no frame header"),
    "truncated PNG": (PNG[: len(PNG) // 2], InputError, "truncated"),
    "PNG of a header": (PNG[:16], InputError, "truncated"),
    "PNG bomb": (png_of(100_000, 100_000), InputError, "claims to be 100000x100000"),
    "JPEG bomb": (jpeg_of(65_500, 65_500), InputError, "claims to be 65500x65500"),
    "PNG without pixels": (png_of(0, 7), InputError, "0x7"),
    "JPEG without pixels": (jpeg_of(64, 0), InputError, "64x0"),
    "PNG without its rows": (png_of(64, 48), InputError, "damaged"),
    "PNG with a broken header": (PNG[:19] + b"\x41" + PNG[20:], InputError, "damaged"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_bytes_are_refused_with_the_reason(case: str) -> None:
    data, kind, words = BAD[case]
    with pytest.raises(kind, match=words):
        compressed_to_rgb(message(data))


def test_a_compressed_depth_image_is_refused() -> None:
    with pytest.raises(EncodingError, match="depth"):
        compressed_to_rgb(message(bytes(12) + PNG, "16UC1; compressedDepth"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([JPEG, PNG, b""]), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=20))
def test_random_damage_gives_a_picture_or_an_error_of_ours(whole: bytes, damage: list[tuple[int, int]]) -> None:
    data = bytearray(whole)
    for place, value in damage:
        if data:
            data[place % len(data)] = value
        else:
            data.extend((value, place % 256))
    try:
        rgb = compressed_to_rgb(message(bytes(data)))
    except InputError:
        return
    assert rgb.dtype == np.uint8 and rgb.shape[2] == 3 and rgb.shape[0] * rgb.shape[1] <= MAX_PIXELS
