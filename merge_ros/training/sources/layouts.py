"""How each data set names and stores its frames.

    hypersim   SCENE/rgb_cam_00_fr0000.png  SCENE/depth_plane_cam_00_fr0000.png   16-bit millimetres
                                            SCENE/normal_cam_cam_00_fr0000.npy    as Marigold's preprocessing writes it
    vkitti     rgb/SCENE/.../frames/rgb/Camera_0/rgb_00000.jpg  depth/SCENE/.../frames/depth/Camera_0/depth_00000.png
               16-bit centimetres; `rgb` and `depth` may also be called as the download is, vkitti_2.0.3_rgb and _depth
    rooms      what `merge-ros make-dataset` writes: rgb/NAME.jpg  depth/NAME.png  16-bit millimetres
    folder     rgb/NAME.(jpg|png)  depth/NAME.(png|npy)  normals/NAME.npy: millimetres, or metres in npy

Source of the first two, and of what counts as known depth: github.com/prs-eth/Marigold, src/dataset and
script/dataset_preprocess; the authors of MERGE take the same files (H-EmbodVis/MERGE, config/dataset).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from merge_ros.archive import Archive
from merge_ros.errors import DatasetError

Pair = tuple[str, str]
"""Paths of a picture and of its depth or normals."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
TRUTH_SUFFIXES = (".npy", ".png")
SHALLOWEST = 1e-5  # metres; below counts as unknown (Marigold)


@dataclass(frozen=True)
class Layout:
    """One way to store frames.

    Args:
        find: all pairs of an archive for a task.
        unit: metres per step of a stored 16-bit depth.
        deepest: metres; at least that far counts as unknown.
        crop: (width, height) of the window that is used, bottom centre (the KITTI benchmark's); None: all.
    """

    find: Callable[[Archive, str], list[Pair]]
    unit: float
    deepest: float
    crop: tuple[int, int] | None = None


def _find_hypersim(archive: Archive, task: str) -> list[Pair]:
    kind, suffix = ("depth_plane", ".png") if task == "depth" else ("normal_cam", ".npy")
    pairs = []
    for name in archive.names():
        path = PurePosixPath(name)
        if path.name.startswith("rgb_") and path.suffix == ".png":
            truth = path.with_name(f"{kind}_{path.stem.removeprefix('rgb_')}{suffix}")
            pairs.append((name, str(truth)))
    return pairs


def _find_vkitti(archive: Archive, task: str) -> list[Pair]:
    if task != "depth":
        raise DatasetError(f"{archive.place}: Virtual KITTI 2 has no normals; allowed for it: task depth")
    pairs = []
    for name in archive.names():
        match = re.fullmatch(r"(.*?)rgb(/.+/frames/)rgb(/Camera_\d+/)rgb_(\d+)\.jpg", name)
        if match:
            before, middle, camera, number = match.groups()
            pairs.append((name, f"{before}depth{middle}depth{camera}depth_{number}.png"))
    return pairs


def _find_folder(archive: Archive, task: str) -> list[Pair]:
    names = archive.names()
    truth_folder = {"depth": "depth/", "normals": "normals/"}[task]
    truths: dict[str, str] = {}
    for name in names:
        if name.startswith(truth_folder) and PurePosixPath(name).suffix.lower() in TRUTH_SUFFIXES:
            truths[_stem(name, truth_folder)] = name
    pairs = []
    for name in names:
        if name.startswith("rgb/") and PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES:
            stem = _stem(name, "rgb/")
            # A truth that is missing is named as the files of this folder would be, and reported by the caller.
            pairs.append((name, truths.get(stem, f"{truth_folder}{stem}.png")))
    return pairs


def _stem(name: str, folder: str) -> str:
    return str(PurePosixPath(name.removeprefix(folder)).with_suffix(""))


LAYOUT: dict[str, Layout] = {
    "hypersim": Layout(_find_hypersim, unit=1e-3, deepest=65.0),
    "vkitti": Layout(_find_vkitti, unit=1e-2, deepest=80.0, crop=(1216, 352)),
    "rooms": Layout(_find_folder, unit=1e-3, deepest=65.0),
    "folder": Layout(_find_folder, unit=1e-3, deepest=float("inf")),
}
