"""KITTI's Eigen split, and Virtual KITTI 2, whose images are cut like KITTI's."""

from __future__ import annotations

from collections.abc import Sequence

from merge_ros.evaluation.benchmarks.benchmark import DepthBenchmark
from merge_ros.evaluation.benchmarks.files import decode_depth_png, decode_image
from merge_ros.evaluation.protocol import DepthProtocol, Window
from merge_ros.evaluation.sample import DepthSample

# Two crops, one after the other: the model sees the benchmark's cut (lowest rows, middle columns), and of that the
# truth counts in the window of Eigen et al. (NeurIPS 2014), given as shares of the cut.
BENCHMARK_CUT = (352, 1216)
EIGEN_WINDOW = Window(0.3324324, 0.91351351, 0.0359477, 0.96405229, shares=True)


def decode_kitti(contents: Sequence[bytes], names: Sequence[str]) -> DepthSample:
    """Image, and depth in 256ths of a metre."""
    return DepthSample(decode_image(contents[0], names[0]), decode_depth_png(contents[1], names[1], 256.0))


def decode_vkitti(contents: Sequence[bytes], names: Sequence[str]) -> DepthSample:
    """Image, and depth in centimetres."""
    return DepthSample(decode_image(contents[0], names[0]), decode_depth_png(contents[1], names[1], 100.0))


# 45 of the split's 697 images have no improved truth (Uhrig et al. 2017), which leaves 652.
KITTI = DepthBenchmark(
    "kitti",
    "KITTI Eigen",
    652,
    (
        r"(?P<drive>\d+_\d+_\d+_drive_\d+_sync)/image_02/data/(?P<frame>\d+)\.png",
        r"(?P<drive>\d+_\d+_\d+_drive_\d+_sync)/proj_depth/groundtruth/image_02/(?P<frame>\d+)\.png",
    ),
    decode_kitti,
    truth_may_lack=True,
    protocol=DepthProtocol((1e-5, 80.0), cut=BENCHMARK_CUT, window=EIGEN_WINDOW),
)

VKITTI = DepthBenchmark(
    "vkitti",
    "Virtual KITTI 2",
    None,
    (
        r"(?P<scene>Scene\d+/[^/]+)/frames/rgb/(?P<camera>Camera_\d)/rgb_(?P<frame>\d+)\.jpg",
        r"(?P<scene>Scene\d+/[^/]+)/frames/depth/(?P<camera>Camera_\d)/depth_(?P<frame>\d+)\.png",
    ),
    decode_vkitti,
    protocol=DepthProtocol((1e-5, 80.0), cut=BENCHMARK_CUT, window=EIGEN_WINDOW),
)
