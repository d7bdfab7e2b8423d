"""Any folder of images with true depth: rgb/NAME.(jpg|png) beside depth/NAME.(png in millimetres | npy in metres)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import DatasetError
from merge_ros.evaluation.sample import DepthSample

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
DEPTH_SUFFIXES = (".png", ".npy")
MILLIMETRES = 1000.0  # per metre, in 16-bit depth images (REP 118)


@dataclass(frozen=True)
class DepthPair:
    """One image and the file of its true depth."""

    name: str
    image: Path
    depth: Path

    def read(self) -> DepthSample:
        """Image and depth."""
        return DepthSample(self.read_image(), self.read_depth())

    def read_image(self) -> NDArray[np.uint8]:
        """See `read_image`."""
        return read_image(self.image)

    def read_depth(self) -> NDArray[np.float32]:
        """See `read_depth`."""
        return read_depth(self.depth)


def read_image(path: Path) -> NDArray[np.uint8]:
    """A stored picture, [H, W, 3] uint8 RGB.

    Raises:
        DatasetError: the file is not an image.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise DatasetError(f"{path} is not an image that can be read")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def read_depth(path: Path) -> NDArray[np.float32]:
    """A stored depth map, [H, W] metres; not finite or <= 0 is unknown.

    Raises:
        DatasetError: the file is not 16-bit millimetres or an [H, W] array of numbers.
    """
    if path.suffix == ".npy":
        try:
            metres = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path} cannot be read: {error}") from error
        if metres.ndim != 2 or metres.dtype.kind not in "fiu":
            raise DatasetError(f"{path} holds {metres.dtype} {metres.shape}; allowed: [H, W] numbers in metres")
        return np.asarray(metres, np.float32)
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint16 or stored.ndim != 2:
        found = "nothing readable" if stored is None else f"{stored.dtype} {stored.shape}"
        raise DatasetError(f"{path} holds {found}; allowed: one channel of 16-bit millimetres")
    return np.asarray(stored / MILLIMETRES, np.float32)


def find_pairs(folder: Path) -> list[DepthPair]:
    """All pairs of a folder, sorted by name; sub-folders of rgb/ and depth/ are followed.

    Raises:
        DatasetError: rgb/ or depth/ is missing or empty, an image has no depth, or two files share a name.
    """
    images = _by_name(folder / "rgb", IMAGE_SUFFIXES)
    depths = _by_name(folder / "depth", DEPTH_SUFFIXES)
    missing = sorted(set(images) - set(depths))
    if missing:
        raise DatasetError(f"{folder}: {len(missing)} image(s) have no depth file, the first is {images[missing[0]]}")
    return [DepthPair(name, images[name], depths[name]) for name in sorted(images)]


def _by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in suffixes:
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise DatasetError(f"{found[name]} and {path} have the same name")
        found[name] = path
    if not found:
        raise DatasetError(f"{folder} holds no files; allowed: {', '.join(suffixes)}")
    return found
