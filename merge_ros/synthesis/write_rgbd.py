"""The picture with its depth, as files and as a point cloud; and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import CalibrationError, InputError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.pointcloud import write_ply
from merge_ros.synthesis.asset import Asset
from merge_ros.synthesis.frame import transform
from merge_ros.synthesis.view import View

LARGEST = np.iinfo(np.uint16).max  # millimetres


def write_cloud(asset: Asset, name: str, folder: Path) -> None:
    """`NAME.ply`: the pixels of the asset as coloured points, in its frame."""
    surface = asset.surface
    colours = surface.view.rgb[:: surface.stride, :: surface.stride][surface.used]
    write_ply(folder / f"{name}.ply", transform(asset.pose, surface.points[surface.used]), colours)


def write_rgbd(asset: Asset, name: str, folder: Path) -> None:
    """`rgbd/`: the whole picture, its depth in metres (npy) and in millimetres (PNG, 0 unknown), and the intrinsics."""
    target = folder / "rgbd"
    target.mkdir()
    view = asset.view
    depth = np.where(view.known, view.depth, np.nan).astype(np.float32)
    millimetres = np.nan_to_num(np.round(depth * 1000.0), nan=0.0)
    stored = np.where(millimetres <= LARGEST, millimetres, 0).astype(np.uint16)
    cv2.imwrite(str(target / "image.png"), cv2.cvtColor(view.rgb, cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(target / "depth.png"), stored)
    np.save(target / "depth.npy", depth)
    (target / "camera.json").write_text(json.dumps(asdict(view.camera), indent=2) + "\n")


def read_rgbd(image: Path, depth: Path, camera: Path) -> View:
    """A view from files like those that `write_rgbd` writes.

    Args:
        image: any picture that OpenCV reads.
        depth: 16-bit PNG in millimetres, 0 unknown, or .npy of floats in metres.
        camera: JSON object with width, height, fx, fy, cx, cy.

    Raises:
        InputError: a file is missing or malformed, or they do not belong together.
        CalibrationError: the intrinsics are.
    """
    bgr = cv2.imread(str(image), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(f"{image} is not a picture that can be read")
    return View(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8), _read_depth(depth), _read_camera(camera))


def _read_depth(path: Path) -> NDArray[np.floating]:
    if path.suffix == ".npy":
        try:
            depth = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is not an array that can be read: {error}") from error
        if depth.ndim != 2 or not np.issubdtype(depth.dtype, np.floating):
            raise InputError(f"{path} holds {depth.dtype} {depth.shape}; allowed: [height, width] floats, metres")
        return np.asarray(depth)
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.ndim != 2 or stored.dtype != np.uint16:
        raise InputError(f"{path} is not a 16-bit single-channel PNG in millimetres, nor an .npy in metres")
    return np.where(stored > 0, stored.astype(np.float32) / 1000, np.float32(np.nan))


def _read_camera(path: Path) -> Camera:
    try:
        values: Any = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CalibrationError(f"{path} is not JSON that can be read: {error}") from error
    names = ("width", "height", "fx", "fy", "cx", "cy")
    if not isinstance(values, dict):
        raise CalibrationError(f"{path} must be a JSON object with the numbers {', '.join(names)}")
    wrong = [name for name in names if type(values.get(name)) not in (int, float)]
    if wrong:
        raise CalibrationError(f"{path}: {', '.join(wrong)} must be numbers")
    width, height, fx, fy, cx, cy = (values[name] for name in names)
    return Camera(int(width), int(height), float(fx), float(fy), float(cx), float(cy))
