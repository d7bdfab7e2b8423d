"""One data set, opened: its frames as arrays, and whatever is wrong with them as errors that name the file."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.archive import Archive
from merge_ros.config.training import SourceSettings
from merge_ros.errors import DatasetError
from merge_ros.training.sources.layouts import LAYOUT, SHALLOWEST, Pair

Array = TypeVar("Array", NDArray[np.uint8], NDArray[np.float32])


@dataclass(frozen=True)
class SourceFrame:
    """A picture and what is true about it.

    Args:
        name: of the picture's file.
        rgb: [H, W, 3] uint8.
        truth: depth [H, W] in metres, 0 unknown; or unit normals [H, W, 3] in the optical frame (x right, y down,
            z forward, so that a wall seen head on is (0, 0, -1)), 0 unknown. float32.
    """

    name: str
    rgb: NDArray[np.uint8]
    truth: NDArray[np.float32]


class Source:
    """A data set whose frames all come in one size.

    Args:
        settings: where it is and how it is stored.
        task: "depth" or "normals": what is read as the truth.

    Raises:
        DatasetError: nothing is found, or a file is missing; the message names the first.
    """

    def __init__(self, settings: SourceSettings, task: str) -> None:
        self.settings, self.task = settings, task
        self.layout = LAYOUT[settings.layout]
        self.archive = Archive(Path(settings.path).expanduser())
        self.pairs = self._listed(Path(settings.list)) if settings.list else self.layout.find(self.archive, task)
        if not self.pairs:
            raise DatasetError(f"{settings.path} holds no frames in the layout {settings.layout!r}")
        missing = [path for pair in self.pairs for path in pair if path not in self.archive]
        if missing:
            raise DatasetError(f"{len(missing)} file(s) are missing, the first is {self.archive.where(missing[0])}")
        self._common: tuple[int, int] | None = None  # size of all frames, once the first was seen
        height, width = self.frame(0).rgb.shape[:2]
        self._common = self.size = (width, height)

    def __len__(self) -> int:
        return len(self.pairs)

    def frame(self, index: int) -> SourceFrame:
        """One frame, cropped and scaled.

        Raises:
            DatasetError: a file is damaged, sizes differ, or nothing of the truth is known; the message names the file.
        """
        picture, truth = self.pairs[index]
        rgb = self._window(self._picture(picture), picture)
        measured = self._window(self._depth(truth) if self.task == "depth" else self._normals(truth), truth)
        if rgb.shape[:2] != measured.shape[:2]:
            raise DatasetError(
                f"{self.archive.where(truth)} is {_sides(measured)}, its picture {picture} is {_sides(rgb)}"
            )
        if self.settings.size is not None:
            rgb = np.asarray(cv2.resize(rgb, self.settings.size, interpolation=cv2.INTER_AREA), np.uint8)
            # Depths and normals are never mixed across an outline.
            measured = np.asarray(
                cv2.resize(measured, self.settings.size, interpolation=cv2.INTER_NEAREST_EXACT), np.float32
            )
        elif self._common is not None and rgb.shape[:2] != self._common[::-1]:
            raise DatasetError(
                f"{self.archive.where(picture)} is {_sides(rgb)}, others are {self._common[0]}x{self._common[1]}: "
                "set the source's size"
            )
        if not measured.any():
            raise DatasetError(f"{self.archive.where(truth)} has not a single known pixel")
        return SourceFrame(picture, rgb, measured)

    def check(self, frames: int, progress: Callable[[range], range] = lambda rows: rows) -> None:
        """Read some frames, evenly spread; 0 reads all.

        Raises:
            DatasetError: the first that is wrong.
        """
        step = max(1, len(self) // frames) if frames else 1
        for index in progress(range(0, len(self), step)):
            self.frame(index)

    def _listed(self, path: Path) -> list[Pair]:
        try:
            lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
        except OSError as error:
            raise DatasetError(f"the list of frames {path} cannot be read: {error}") from error
        for number, words in enumerate(lines, 1):
            if len(words) < 2:
                raise DatasetError(f"{path}:{number} has {len(words)} word(s); allowed: a picture and its truth")
        # Marigold's lists say None where a picture has no depth.
        return [(words[0], words[1]) for words in lines if words[1] != "None"]

    def _picture(self, path: str) -> NDArray[np.uint8]:
        decoded = self._decoded(path, cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)

    def _depth(self, path: str) -> NDArray[np.float32]:
        if path.endswith(".npy"):
            metres = self._numbers(path, 2)
        else:
            stored = self._decoded(path, cv2.IMREAD_UNCHANGED)
            if stored.dtype != np.uint16 or stored.ndim != 2:
                found = f"{stored.dtype} {stored.shape}"
                raise DatasetError(f"{self.archive.where(path)} holds {found}; allowed: 16-bit grey")
            metres = stored.astype(np.float32) * np.float32(self.layout.unit)
        known = np.isfinite(metres) & (metres > SHALLOWEST) & (metres < self.layout.deepest)
        return np.where(known, metres, np.float32(0))

    def _normals(self, path: str) -> NDArray[np.float32]:
        normals = self._numbers(path, 3)
        length = np.linalg.norm(normals, axis=-1, keepdims=True)
        known = np.isfinite(length) & (length > 0.5)
        unit = np.where(known, normals / np.where(known, length, 1), 0).astype(np.float32)
        if self.settings.layout == "hypersim":
            unit = unit * np.array([1, -1, -1], np.float32)  # stored with y up and z backwards (apple/ml-hypersim)
        return unit

    def _numbers(self, path: str, dimensions: int) -> NDArray[np.float32]:
        try:
            values = np.load(io.BytesIO(self.archive.read(path)), allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise DatasetError(f"{self.archive.where(path)} cannot be read: {error}") from error
        if values.ndim != dimensions or values.dtype.kind not in "fiu" or (dimensions == 3 and values.shape[-1] != 3):
            wanted = "[H, W]" if dimensions == 2 else "[H, W, 3]"
            raise DatasetError(
                f"{self.archive.where(path)} holds {values.dtype} {values.shape}; allowed: {wanted} numbers"
            )
        return np.asarray(values, np.float32)

    def _decoded(self, path: str, flags: int) -> NDArray[np.uint8]:
        data = np.frombuffer(self.archive.read(path), np.uint8)
        decoded = cv2.imdecode(data, flags) if data.size else None
        if decoded is None:
            raise DatasetError(f"{self.archive.where(path)} is not an image that can be read")
        return decoded  # type: ignore[return-value]

    def _window(self, pixels: Array, path: str) -> Array:
        if self.layout.crop is None:
            return pixels
        width, height = self.layout.crop
        top, left = pixels.shape[0] - height, (pixels.shape[1] - width) // 2
        if top < 0 or left < 0:
            raise DatasetError(f"{self.archive.where(path)} is {_sides(pixels)}; at least {width}x{height} is needed")
        return pixels[top : top + height, left : left + width]


def _sides(pixels: NDArray[np.generic]) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"
