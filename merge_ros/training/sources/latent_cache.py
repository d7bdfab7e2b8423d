"""Latents of pictures and of their truth: encoded by the frozen autoencoder when first needed, and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from merge_ros.errors import DatasetError
from merge_ros.model.autoencoder import Autoencoder, downsampling, encode
from merge_ros.training.checksum import checksum
from merge_ros.training.sources.batches import Batch
from merge_ros.training.sources.source import Source

KINDS = ("image", "target")
Rows = tuple[NDArray[np.float16], NDArray[np.bool_]]


class LatentCache:
    """Encodes frames, each once where a folder is given.

    Frames are encoded one by one and rounded to half precision whether they are kept or not, so a training gives the
    same weights with a full cache, an empty one, or none. Several processes may share the folder: they write the same
    numbers, and a latent is marked as known only after it is there. What is kept belongs to one autoencoder and one
    list of frames; others get files of their own.

    Args:
        vae: the frozen autoencoder.
        sources: whose frames are asked for.
        folder: for the files; None keeps nothing.
        wait: until all processes are here.
        is_first: whether this process makes the files.
    """

    def __init__(
        self,
        vae: Autoencoder,
        sources: Sequence[Source],
        folder: Path | None,
        wait: Callable[[], None],
        is_first: bool,
    ) -> None:
        self._vae = vae
        self._rows: dict[tuple[int, str], Rows] = {}
        if folder is None:
            return
        weights = checksum(vae)
        stems = [_stem(source, weights) for source in sources]
        if is_first:
            for source, stem in zip(sources, stems, strict=True):
                self._make(source, folder, stem)
        wait()
        for number, stem in enumerate(stems):
            for kind in KINDS:
                latents, known = _paths(folder, stem, kind)
                self._rows[number, kind] = (np.load(latents, mmap_mode="r+"), np.load(known, mmap_mode="r+"))

    def latents(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Latents of the pictures and of the truth of a batch, each [batch, C, h, w] float32 on the batch's device."""
        return self._encoded(batch, "image"), self._encoded(batch, "target")

    def _encoded(self, batch: Batch, kind: str) -> Tensor:
        pixels: Tensor = getattr(batch, kind)
        found = []
        for row, key in enumerate(batch.keys):
            kept = self._rows.get((key.source, kind))
            place = 2 * key.index + int(key.mirrored)
            if kept is not None and kept[1][place]:
                latent = torch.from_numpy(np.array(kept[0][place])).to(pixels.device)
            else:
                with torch.no_grad():
                    latent = encode(self._vae, pixels[row : row + 1])[0].half()
                if kept is not None:
                    kept[0][place] = latent.cpu().numpy()
                    kept[1][place] = True
            found.append(latent.float())
        return torch.stack(found)

    def _make(self, source: Source, folder: Path, stem: str) -> None:
        factor = downsampling(self._vae)
        shape = (2 * len(source), self._vae.config.latent_channels, source.size[1] // factor, source.size[0] // factor)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for kind in KINDS:
                latents, known = _paths(folder, stem, kind)
                if not known.is_file():  # made last
                    np.lib.format.open_memmap(latents, "w+", np.float16, shape).flush()
                    # The whole file at once: a disk that fills up later would kill the process at a write.
                    with latents.open("r+b") as stream:
                        os.posix_fallocate(stream.fileno(), 0, latents.stat().st_size)
                    np.lib.format.open_memmap(known, "w+", np.bool_, shape[:1]).flush()
        except OSError as error:
            raise DatasetError(f"the latents of {source.settings.path} cannot be kept in {folder}: {error}") from error


def _stem(source: Source, weights: str) -> str:
    described = [asdict(source.settings), source.task, source.pairs, source.size, weights]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]


def _paths(folder: Path, stem: str, kind: str) -> tuple[Path, Path]:
    return folder / f"{stem}_{kind}.npy", folder / f"{stem}_{kind}_known.npy"
