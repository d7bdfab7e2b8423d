"""Surface normals: NYUv2, ScanNet, iBims-1 and Sintel, as Marigold's copies of DSINE's selection have them.

NAME_img.png beside NAME_normal.npy, [H, W, 3] with x to the right, y up and z towards the camera; zeros are unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from merge_ros.evaluation.benchmarks.benchmark import NormalsBenchmark
from merge_ros.evaluation.benchmarks.files import decode_image, decode_npy
from merge_ros.evaluation.sample import NormalsSample

TO_OPTICAL = np.array([1, -1, -1], np.float32)  # to x right, y down, z forward
SINTEL_MARGIN = 221  # columns cut from each side of 1024, which leaves the 4:3 that models are used to
SINTEL_SKY = 0.1  # a shorter normal is sky, and counts as facing the camera


def decode(contents: Sequence[bytes], names: Sequence[str]) -> NormalsSample:
    """Image, and normals in the optical frame."""
    normals = np.asarray(decode_npy(contents[1], names[1], 3), np.float32) * TO_OPTICAL
    return NormalsSample(decode_image(contents[0], names[0]), normals)


def decode_sintel(contents: Sequence[bytes], names: Sequence[str]) -> NormalsSample:
    """The same with the sky facing the camera, cut at both sides."""
    sample = decode(contents, names)
    normals = sample.normals.copy()
    normals[np.linalg.norm(normals, axis=2) <= SINTEL_SKY] = (0, 0, -1)
    middle = slice(SINTEL_MARGIN, -SINTEL_MARGIN)
    return NormalsSample(np.ascontiguousarray(sample.image[:, middle]), np.ascontiguousarray(normals[:, middle]))


def _files(stem: str) -> tuple[str, str]:
    return rf"{stem}_img\.png", rf"{stem}_normal\.npy"


NYUV2_NORMALS = NormalsBenchmark("nyuv2_normals", "NYUv2 normals", 654, _files(r"(?P<frame>\d+)"), decode)
SCANNET_NORMALS = NormalsBenchmark(
    "scannet_normals", "ScanNet normals", 300, _files(r"(?P<frame>scene\d+_\d+/\d+)"), decode
)
IBIMS_NORMALS = NormalsBenchmark("ibims_normals", "iBims-1 normals", 100, _files(r"(?P<frame>[a-z]+_\d+)"), decode)
# DSINE has all 1064 images; Marigold leaves poor ones out, by a list that --split takes.
SINTEL_NORMALS = NormalsBenchmark(
    "sintel_normals", "Sintel normals", 1064, _files(r"(?P<frame>[a-z]+_\d+/frame_\d+)"), decode_sintel
)
