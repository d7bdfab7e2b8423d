"""Latents of a whole data set, encoded once by the frozen autoencoder and kept on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from merge_ros.model.autoencoder import downsampling, encode
from merge_ros.training.compute import Worker
from merge_ros.training.data import PackedData

BATCH = 16


class LatentStore:
    """Encodes a data set when it is first asked for, and opens what an earlier run left.

    Args:
        vae: the trained autoencoder.
        data: what to encode.
        cache: folder for the arrays, which belong to this autoencoder and this data.
        worker: this process; each encodes its share, so all must ask for the same arrays in the same order.
    """

    def __init__(self, vae: AutoencoderKL, data: PackedData, cache: Path, worker: Worker) -> None:
        self._vae, self._data, self._cache, self._worker = vae, data, cache, worker
        self._open: dict[tuple[str, int], NDArray[np.float16]] = {}

    def images(self, index: NDArray[np.intp], reduction: int = 1) -> Tensor:
        """Latents of some pictures, scaled down by a factor first: [batch, channels, h, w] float32."""
        return torch.from_numpy(self._array("image", reduction)[index].astype(np.float32))

    def depths(self, index: NDArray[np.intp], reduction: int = 1) -> Tensor:
        """Latents of some normalised depth maps, scaled down by a factor first: [batch, channels, h, w] float32."""
        return torch.from_numpy(self._array("depth", reduction)[index].astype(np.float32))

    def _array(self, kind: str, reduction: int) -> NDArray[np.float16]:
        if (kind, reduction) not in self._open:
            height, width = self._data.size
            size = (height // reduction, width // reduction)
            path = self._cache / f"latent_{kind}_{len(self._data)}x{size[1]}x{size[0]}.npy"
            self._worker.wait()  # all have looked before the first one may create it
            if not path.is_file():
                self._encode(kind, size, path)
            self._open[kind, reduction] = np.load(path, mmap_mode="r")
        return self._open[kind, reduction]

    @torch.no_grad()
    def _encode(self, kind: str, size: tuple[int, int], path: Path) -> None:
        worker, data, factor = self._worker, self._data, downsampling(self._vae)
        worker.wait()
        partial = path.with_suffix(".partial.npy")
        if worker.is_first:
            shape = (len(data), self._vae.config.latent_channels, size[0] // factor, size[1] // factor)
            np.lib.format.open_memmap(partial, "w+", np.float16, shape).flush()
        worker.wait()
        rows = np.lib.format.open_memmap(partial, "r+")
        source = data.images if kind == "image" else data.depths
        for start in range(worker.rank * BATCH, len(data), worker.count * BATCH):
            part = slice(start, min(start + BATCH, len(data)))
            with worker.autocast():
                rows[part] = encode(self._vae, resized(source(part), size)).float().half().numpy()
        rows.flush()
        worker.wait()
        if worker.is_first:
            partial.replace(path)
        worker.wait()


def resized(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """[batch, channels, H, W] averaged down to (height, width)."""
    return pixels if pixels.shape[-2:] == size else functional.interpolate(pixels, size, mode="area")
