"""ETH3D and DIODE: large images, indoors and outdoors, from laser scanners."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from merge_ros.errors import DatasetError
from merge_ros.evaluation.benchmarks.benchmark import DepthBenchmark
from merge_ros.evaluation.benchmarks.files import decode_image, decode_npy
from merge_ros.evaluation.protocol import DepthProtocol
from merge_ros.evaluation.sample import DepthSample


def decode_eth3d(contents: Sequence[bytes], names: Sequence[str]) -> DepthSample:
    """Image, and bare float32 metres of the image's size in row order, infinite where nothing is known."""
    image = decode_image(contents[0], names[0])
    height, width = image.shape[:2]
    if len(contents[1]) != 4 * height * width:
        raise DatasetError(
            f"{names[1]} holds {len(contents[1])} bytes; allowed: float32 of {width}x{height}, like its image, "
            f"{4 * height * width} bytes"
        )
    depth = np.frombuffer(contents[1], "<f4").reshape(height, width)
    return DepthSample(image, np.where(np.isposinf(depth), np.float32(0), depth))


def decode_diode(contents: Sequence[bytes], names: Sequence[str]) -> DepthSample:
    """Image, metres, and the mask of what the scanner saw."""
    depth, mask = (decode_npy(content, name, 2) for content, name in zip(contents[1:], names[1:], strict=True))
    return DepthSample(decode_image(contents[0], names[0]), np.asarray(depth, np.float32), np.asarray(mask, bool))


# Scale and shift come from 1024 pixels along the longer side, and are judged at full size. (The released code means
# that, but its one-dimensional scaling thins out the columns only; the fit hardly differs.)
ETH3D = DepthBenchmark(
    "eth3d",
    "ETH3D",
    454,
    (
        r"rgb/(?P<scene>[^/]+)/images/dslr_images/(?P<frame>[^/]+)\.JPG",
        r"depth/[^/]+/(?P<scene>[^/]+)/ground_truth_depth/dslr_images/(?P<frame>[^/]+)\.JPG",
    ),
    decode_eth3d,
    protocol=DepthProtocol((1e-5, float("inf")), fit_side=1024, processing_side=756),
)

# The range clips predictions only: what counts is what the mask files say.
DIODE = DepthBenchmark(
    "diode",
    "DIODE",
    771,
    (
        r"(?P<where>indoors|outdoor)/(?P<scan>scene_\d+/scan_\d+)/(?P<frame>[^/]+)\.png",
        r"(?P<where>indoors|outdoor)/(?P<scan>scene_\d+/scan_\d+)/(?P<frame>[^/]+)_depth\.npy",
        r"(?P<where>indoors|outdoor)/(?P<scan>scene_\d+/scan_\d+)/(?P<frame>[^/]+)_depth_mask\.npy",
    ),
    decode_diode,
    protocol=DepthProtocol((0.6, 350.0), range_masks=False, processing_side=640),
)
