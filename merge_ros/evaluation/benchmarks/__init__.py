"""The benchmarks by name: each data set with its protocol, the layout of its files, and how they are read.

Layouts are those of Marigold's copies (https://github.com/prs-eth/Marigold), which can be unpacked or not.
"""

from merge_ros.evaluation.benchmarks.benchmark import DepthBenchmark, NormalsBenchmark
from merge_ros.evaluation.benchmarks.driving import KITTI, VKITTI
from merge_ros.evaluation.benchmarks.indoor import HYPERSIM, NYUV2, PROCEDURAL, SCANNET
from merge_ros.evaluation.benchmarks.normals import IBIMS_NORMALS, NYUV2_NORMALS, SCANNET_NORMALS, SINTEL_NORMALS
from merge_ros.evaluation.benchmarks.outdoor import DIODE, ETH3D

DEPTH_BENCHMARKS: dict[str, DepthBenchmark] = {
    benchmark.name: benchmark for benchmark in (NYUV2, KITTI, ETH3D, SCANNET, DIODE, HYPERSIM, VKITTI, PROCEDURAL)
}
NORMALS_BENCHMARKS: dict[str, NormalsBenchmark] = {
    benchmark.name: benchmark for benchmark in (NYUV2_NORMALS, SCANNET_NORMALS, IBIMS_NORMALS, SINTEL_NORMALS)
}

__all__ = ["DEPTH_BENCHMARKS", "NORMALS_BENCHMARKS", "DepthBenchmark", "NormalsBenchmark"]
