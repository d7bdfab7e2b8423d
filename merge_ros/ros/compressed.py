"""Compressed camera images: JPEG and PNG to pixels, with what is damaged or absurd refused before it is unpacked."""

from __future__ import annotations

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage

from merge_ros.errors import EncodingError, InputError
from merge_ros.ros.conversions import ENCODINGS, Rgb

# 8K, 7680x4320, fits. A few hundred bytes of PNG can claim gigabytes of pixels (a "decompression bomb").
MAX_PIXELS = 1 << 25

# ITU-T T.81 (JPEG), annex B: two-byte markers, most of them followed by the length of their segment.
_JPEG, _END_OF_IMAGE = b"\xff\xd8\xff", b"\xff\xd9"
_START_OF_SCAN = 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start of frame, which holds the size
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a segment
# ISO 15948 (PNG): the header chunk comes first, the end chunk last.
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"


def compressed_to_rgb(image: CompressedImage) -> Rgb:
    """The colours of a compressed camera image.

    A picture that was turned by a note in its metadata (EXIF) stays as it was taken: camera_info describes that. A
    Bayer mosaic that was compressed as it is (format "bayer_rggb8; jpeg compressed bayer_rggb8") is interpolated.

    Args:
        image: JPEG or PNG, recognised by its bytes.

    Returns:
        [height, width, 3] uint8, red first; 16-bit channels keep their upper byte, transparency is dropped.

    Raises:
        EncodingError: neither JPEG nor PNG, or a compressed depth image.
        InputError: damaged or truncated data, a side of zero, or more than `MAX_PIXELS` pixels.
    """
    data = bytes(image.data)
    if "compressedDepth" in image.format:
        raise EncodingError(f"compressed image format {image.format!r} is that of a depth image; allowed: JPEG, PNG")
    width, height = _size(data)
    if width < 1 or height < 1:
        raise InputError(f"the compressed image is {width}x{height}: both sides must be at least 1 pixel")
    if width * height > MAX_PIXELS:
        raise InputError(f"the compressed image claims to be {width}x{height}; allowed are {MAX_PIXELS} pixels")
    mosaic = ENCODINGS.get(image.format.rsplit(" ", 1)[-1]) if "bayer_" in image.format else None
    mode = cv2.IMREAD_COLOR if mosaic is None else cv2.IMREAD_GRAYSCALE
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), mode | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise InputError(f"the compressed image cannot be decoded: {error.err}") from error
    if pixels is None or pixels.shape[:2] != (height, width):
        raise InputError(f"the compressed image ({width}x{height}, {len(data)} bytes) is damaged: it cannot be decoded")
    if mosaic is not None and mosaic.to_rgb is not None and min(width, height) >= mosaic.smallest:
        return np.asarray(mosaic.to_rgb(pixels), np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.ndim == 3 else cv2.COLOR_GRAY2RGB), np.uint8)


def _size(data: bytes) -> tuple[int, int]:
    """(width, height) that the data claims, once it is seen to be whole."""
    if data.startswith(_JPEG):
        return _jpeg_size(data)
    if data.startswith(_PNG):
        if len(data) < 24 or _PNG_END not in data[-12:]:
            raise InputError(f"the PNG image is truncated: {len(data)} bytes, without its end chunk")
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    begin = f"begins with {data[:8]!r}" if data else "is empty"
    raise EncodingError(f"the compressed image {begin}; allowed: JPEG, PNG")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    size: tuple[int, int] | None = None
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES and at + 9 <= len(data):
            size = int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        if marker == _START_OF_SCAN:
            # The end marker cannot occur within a scan. libjpeg fills what is missing with grey and calls it a picture.
            if data.find(_END_OF_IMAGE, at) < 0:
                raise InputError(f"the JPEG image is truncated: {len(data)} bytes, without its end marker")
            break
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    if size is None:
        raise InputError(f"the JPEG image is damaged: no frame header in its {len(data)} bytes")
    return size
