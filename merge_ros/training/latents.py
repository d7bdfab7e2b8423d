"""Latents of a data set, encoded by the frozen autoencoder when first needed, and kept on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from merge_ros.model.autoencoder import downsampling, encode
from merge_ros.training.checksum import checksum
from merge_ros.training.compute import Worker
from merge_ros.training.data import PackedData


class LatentStore:
    """Encodes each frame once, when it is first asked for.

    Frames are encoded one by one, so that a latent does not depend on what else was in the batch. Two processes may
    encode the same frame at the same time: they write the same numbers.

    Args:
        vae: the trained autoencoder.
        data: what to encode.
        cache: folder for the arrays, named by the autoencoder's weights; they belong to this data.
        worker: this process; all processes must ask for the same kinds and sizes in the same order.
    """

    def __init__(self, vae: AutoencoderKL, data: PackedData, cache: Path, worker: Worker) -> None:
        self._vae, self._data, self._cache, self._worker = vae, data, cache, worker
        self._encoder = checksum(vae)[:12]  # latents of another autoencoder would be taken for this one's
        self._open: dict[tuple[str, int], tuple[NDArray[np.float16], NDArray[np.bool_]]] = {}

    def images(self, index: NDArray[np.intp], reduction: int = 1) -> Tensor:
        """Latents of some pictures, scaled down by a factor first: [batch, channels, h, w] float32."""
        return self._latents("image", index, reduction)

    def depths(self, index: NDArray[np.intp], reduction: int = 1) -> Tensor:
        """Latents of some normalised depth maps, scaled down by a factor first: [batch, channels, h, w] float32."""
        return self._latents("depth", index, reduction)

    def _latents(self, kind: str, index: NDArray[np.intp], reduction: int) -> Tensor:
        height, width = self._data.size
        size = (height // reduction, width // reduction)
        if (kind, reduction) not in self._open:
            self._open[kind, reduction] = self._arrays(kind, size)
        rows, known = self._open[kind, reduction]
        for row in index[~known[index]]:
            rows[row] = self._encode(kind, row, size)
            known[row] = True  # after the latent itself: a kill in between costs one latent, not a wrong one
        return torch.from_numpy(rows[index].astype(np.float32))

    def _arrays(self, kind: str, size: tuple[int, int]) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
        count, factor = self._data.rows, downsampling(self._vae)
        shape = (count, self._vae.config.latent_channels, size[0] // factor, size[1] // factor)
        least = self._data.min_brightness
        brightened = f"_from{least:g}" if kind == "image" and least else ""
        stem = f"{kind}_{self._encoder}{brightened}_{count}x{size[1]}x{size[0]}.npy"
        latents, known = self._cache / f"latent_{stem}", self._cache / f"known_{stem}"
        self._worker.wait()
        if self._worker.is_first and not known.is_file():
            np.lib.format.open_memmap(latents, "w+", np.float16, shape).flush()
            np.lib.format.open_memmap(known, "w+", np.bool_, (count,)).flush()
        self._worker.wait()
        return np.lib.format.open_memmap(latents, "r+"), np.lib.format.open_memmap(known, "r+")

    @torch.no_grad()
    def _encode(self, kind: str, row: int, size: tuple[int, int]) -> NDArray[np.float16]:
        part = np.array([row])
        pixels = self._data.images(part) if kind == "image" else self._data.depths(part)
        with self._worker.autocast():
            latent: NDArray[np.float16] = encode(self._vae, resized(pixels, size))[0].half().numpy()
        return latent


def resized(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """[batch, channels, H, W] averaged down to (height, width)."""
    return pixels if pixels.shape[-2:] == size else functional.interpolate(pixels, size, mode="area")
