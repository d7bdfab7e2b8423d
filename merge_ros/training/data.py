"""Training images in one memory-mapped array, in the form the VAE sees them.

Decoding thousands of small files in every epoch costs more than a training step: they are packed once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from merge_ros.errors import DatasetError
from merge_ros.evaluation.folder import read_depth, read_image
from merge_ros.geometry.ground import down_in_camera
from merge_ros.geometry.normalisation import depth_range, normalise_depth
from merge_ros.model.pixels import encoder_pixels
from merge_ros.simulation.dataset import read_index

FLOOR_TOLERANCE = 0.02  # relative: what is stored is rounded to millimetres, and a rug is a centimetre high


@dataclass(frozen=True)
class PackedData:
    """A data set in memory-mapped arrays.

    Each of the n frames is there twice: row n + i is row i seen in a mirror.

    Args:
        rgb: [n, height, width, 3] uint8.
        depth: [n, height, width] uint16: normalised depth, (value / 65535) * 2 - 1 in [-1, 1].
        metres: [n, 2] float32: the depths in metres that -1 and 1 stand for.
        captions: n sentences.
        kinds: kind of view of each frame, see `simulation.views`.
        floors: [n, 3] float32: a, b and c of each frame's floor, whose depth z at pixel (x, y) follows from
            1 / z = a x + b y + c in 1/metres (`geometry.ground.floor_depth` of a pinhole camera).
        min_brightness: darker pictures are brightened up to it, as in depth mode (`model.pixels`); None: never.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.uint16]
    metres: NDArray[np.float32]
    captions: tuple[str, ...]
    kinds: tuple[str, ...]
    floors: NDArray[np.float32]
    min_brightness: float | None = None

    def __len__(self) -> int:
        return len(self.rgb)

    @property
    def rows(self) -> int:
        """Frames with their mirror images."""
        return 2 * len(self)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return int(self.rgb.shape[1]), int(self.rgb.shape[2])

    def chances(self, shares: Mapping[str, float]) -> NDArray[np.float64]:
        """Chance of each row in a draw, so that the kinds of view come up in the given proportions: [rows], sum 1.

        Args:
            shares: by kind of view. A kind that the data lacks is left out, and the others keep their proportions.

        Raises:
            DatasetError: the data has views of a kind that is not among the shares.
        """
        counts = Counter(self.kinds)
        if unknown := counts.keys() - shares.keys():
            raise DatasetError(f"views of kind {', '.join(sorted(unknown))}; known: {', '.join(shares)}")
        weights = np.tile([shares[kind] / counts[kind] for kind in self.kinds], 2)
        chances: NDArray[np.float64] = weights / weights.sum()
        return chances

    def images(self, index: NDArray[np.intp]) -> Tensor:
        """Pictures of some rows in [-1, 1]: [batch, 3, height, width] float32."""
        rgb = torch.from_numpy(self.rgb[index % len(self)])
        return self._mirrored(encoder_pixels(rgb, torch.float32, self.min_brightness), index)

    def depths(self, index: NDArray[np.intp]) -> Tensor:
        """Normalised depth of some rows in [-1, 1] as three equal channels: [batch, 3, height, width] float32."""
        depth = torch.from_numpy(self.depth[index % len(self)].astype(np.float32) / 32767.5 - 1)
        return self._mirrored(depth[:, None], index).expand(-1, 3, -1, -1)

    def ranges(self, index: NDArray[np.intp]) -> Tensor:
        """Metres that -1 and 1 stand for in some rows: [batch, 2] float32."""
        return torch.from_numpy(self.metres[index % len(self)])

    def on_floor(self, index: NDArray[np.intp], metres: Tensor) -> Tensor:
        """Where some rows show the floor.

        Args:
            index: the rows.
            metres: [batch, h, w] depth of these rows, at any size.

        Returns:
            [batch, h, w] float32, 1 on the floor and 0 elsewhere.
        """
        (height, width), (h, w) = self.size, metres.shape[-2:]
        x = (torch.arange(w) + 0.5) * width / w - 0.5
        y = (torch.arange(h) + 0.5) * height / h - 0.5
        mirror = torch.from_numpy(index >= len(self))[:, None, None]
        a, b, c = torch.from_numpy(self.floors[index % len(self)])[..., None, None].unbind(1)
        inverse = a * torch.where(mirror, x.flip(0), x) + b * y[:, None] + c
        return ((metres * inverse - 1).abs() < FLOOR_TOLERANCE).float()

    def _mirrored(self, pixels: Tensor, index: NDArray[np.intp]) -> Tensor:
        mirror = torch.from_numpy(index >= len(self))[:, None, None, None]
        return torch.where(mirror, pixels.flip(-1), pixels)


def pack(folder: Path, cache: Path, limit: int | None = None, min_brightness: float | None = None) -> PackedData:
    """Pack a data set folder, or open the pack that is there.

    Args:
        folder: made by `simulation.dataset.make_dataset`.
        cache: folder for the packed arrays.
        limit: use only the first frames.
        min_brightness: see `PackedData`; what is packed does not depend on it.

    Raises:
        DatasetError: the folder is no data set, a file is unreadable, or sizes differ.
    """
    records = read_index(folder)[:limit]
    if not records:
        raise DatasetError(f"{folder} holds no frames")
    count, first = len(records), records[0]["camera"]
    height, width = int(first["height"]), int(first["width"])
    captions = tuple(record["caption"] for record in records)
    kinds = tuple(record["kind"] for record in records)
    floors = np.array([_floor(record) for record in records], np.float32)
    stem = f"{count}x{width}x{height}"
    rgb_path, depth_path, range_path = (cache / f"{kind}_{stem}.npy" for kind in ("rgb", "depth", "range"))
    if not range_path.is_file():  # written last
        cache.mkdir(parents=True, exist_ok=True)
        partial_rgb, partial_depth = cache / "rgb.partial.npy", cache / "depth.partial.npy"
        rgb = np.lib.format.open_memmap(partial_rgb, "w+", np.uint8, (count, height, width, 3))
        depth = np.lib.format.open_memmap(partial_depth, "w+", np.uint16, (count, height, width))
        ranges = np.empty((count, 2), np.float32)
        for row, record in enumerate(tqdm(records, desc="packing frames", unit="frame")):
            image = read_image(folder / "rgb" / f"{record['name']}.jpg")
            metres = read_depth(folder / "depth" / f"{record['name']}.png")
            if image.shape[:2] != (height, width) or metres.shape != (height, width):
                raise DatasetError(f"frame {record['name']} of {folder} is not {width}x{height}")
            rgb[row] = image
            ranges[row] = near, far = depth_range(metres)
            depth[row] = np.round((normalise_depth(metres, near, far) + 1) * 32767.5)
        rgb.flush()
        depth.flush()
        partial_rgb.replace(rgb_path)
        partial_depth.replace(depth_path)
        np.save(range_path, ranges)
    return PackedData(
        np.load(rgb_path, mmap_mode="r"),
        np.load(depth_path, mmap_mode="r"),
        np.load(range_path),
        captions,
        kinds,
        floors,
        min_brightness,
    )


def _floor(record: Mapping[str, Any]) -> tuple[float, float, float]:
    camera, down = record["camera"], down_in_camera(record["camera_pitch"], record["camera_roll"])
    a, b = down[0] / camera["fx"], down[1] / camera["fy"]
    return tuple(np.array([a, b, down[2] - a * camera["cx"] - b * camera["cy"]]) / record["camera_height"])
