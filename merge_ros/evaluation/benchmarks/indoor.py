"""NYUv2, ScanNet and Hypersim: 16-bit PNG of millimetres, as Marigold's copies have them."""

from __future__ import annotations

from collections.abc import Sequence

from merge_ros.evaluation.benchmarks.benchmark import DepthBenchmark
from merge_ros.evaluation.benchmarks.files import decode_depth_png, decode_image
from merge_ros.evaluation.protocol import DepthProtocol, Window
from merge_ros.evaluation.sample import DepthSample

MILLIMETRES = 1000.0


def decode(contents: Sequence[bytes], names: Sequence[str]) -> DepthSample:
    """Image, and depth in millimetres."""
    return DepthSample(decode_image(contents[0], names[0]), decode_depth_png(contents[1], names[1], MILLIMETRES))


# Truth near the border of the Kinect's image is poor: only this window counts (Eigen et al. 2014). The depth files are
# the measured ones, not those that were filled in.
NYUV2 = DepthBenchmark(
    "nyuv2",
    "NYUv2",
    654,
    (
        r"test/(?P<scene>[^/]+)/rgb_(?P<frame>\d+)\.png",
        r"test/(?P<scene>[^/]+)/depth_(?P<frame>\d+)\.png",
    ),
    decode,
    protocol=DepthProtocol((1e-3, 10.0), window=Window(45, 471, 41, 601)),
)

SCANNET = DepthBenchmark(
    "scannet",
    "ScanNet",
    800,
    (
        r"(?P<scene>scene\d+_\d+)/color/(?P<frame>\d+)\.jpg",
        r"(?P<scene>scene\d+_\d+)/depth/(?P<frame>\d+)\.png",
    ),
    decode,
    protocol=DepthProtocol((1e-3, 10.0)),
)

HYPERSIM = DepthBenchmark(
    "hypersim",
    "Hypersim val",
    None,
    (
        r"(?P<scene>ai_\d+_\d+)/rgb_(?P<frame>cam_\d+_fr\d+)\.png",
        r"(?P<scene>ai_\d+_\d+)/depth_plane_(?P<frame>cam_\d+_fr\d+)\.png",
    ),
    decode,
    protocol=DepthProtocol((1e-5, 65.0)),
)

# The folders of `merge-ros make-dataset`.
PROCEDURAL = DepthBenchmark(
    "procedural",
    "procedural rooms",
    None,
    (r"rgb/(?P<name>[^/]+)\.jpg", r"depth/(?P<name>[^/]+)\.png"),
    decode,
    protocol=DepthProtocol((1e-3, 65.0)),
)
