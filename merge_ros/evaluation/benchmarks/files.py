"""Lists of files, and how the data sets store images and depth."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import DatasetError


def read_split(path: Path, columns: int) -> list[tuple[str, ...]]:
    """Lines of a split list: file names relative to the root of the data, separated by blanks.

    Further columns are ignored. Lines whose second column is `None` have no truth (KITTI's list has some), and are left
    out.

    Raises:
        DatasetError: the file cannot be read, is empty, or a line has too few columns.
    """
    try:
        lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"split list {path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if len(line) < columns:
            raise DatasetError(f"{path}:{number} has {len(line)} column(s); a line of this set needs {columns}")
    chosen = [tuple(line[:columns]) for line in lines if line[1:2] != ["None"]]
    if not chosen:
        raise DatasetError(f"split list {path} names no image with truth")
    return chosen


def under_root(names: Iterable[str], rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The rows of a split list as names of the data set, which may lie in a folder of their own inside it.

    Raises:
        DatasetError: a file of the list is not there.
    """
    rows, names = list(rows), frozenset(names)
    first = rows[0][0].removeprefix("./")
    roots = {name[: -len(first)] for name in names if name == first or name.endswith("/" + first)}
    root = min(roots, key=len, default="")
    found = [tuple(root + name.removeprefix("./") for name in row) for row in rows]
    missing = [name for row in found for name in row if name not in names]
    if missing:
        raise DatasetError(f"{len(missing)} file(s) of the split list are not in the data, the first is {missing[0]}")
    return found


def decode_image(content: bytes, name: str) -> NDArray[np.uint8]:
    """A stored picture as [H, W, 3] uint8 RGB, the pixels as they are stored: EXIF turns nothing, as in the protocol.

    Raises:
        DatasetError: not an image.
    """
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    if bgr is None:
        raise DatasetError(f"{name} is not an image that can be read")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def decode_depth_png(content: bytes, name: str, units_per_metre: float) -> NDArray[np.float32]:
    """A 16-bit PNG as [H, W] float32 metres, 0 unknown.

    Raises:
        DatasetError: not one channel of 16 bits.
    """
    stored = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    if stored is None or stored.dtype != np.uint16 or stored.ndim != 2:
        found = "nothing readable" if stored is None else f"{stored.dtype} {stored.shape}"
        raise DatasetError(f"{name} holds {found}; allowed: one channel of 16 bits")
    return np.asarray(stored / units_per_metre, np.float32)


def decode_npy(content: bytes, name: str, dimensions: int) -> NDArray[np.floating]:
    """An .npy file; axes of length 1 that are too many are dropped.

    Raises:
        DatasetError: not an array of numbers with so many dimensions.
    """
    try:
        values = np.load(io.BytesIO(content), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"{name} is not an .npy file that can be read: {error}") from error
    if values.ndim > dimensions:
        values = np.squeeze(values)
    if values.ndim != dimensions or values.dtype.kind not in "fiub":
        raise DatasetError(f"{name} holds {values.dtype} {values.shape}; allowed: numbers with {dimensions} dimensions")
    return np.asarray(values)
