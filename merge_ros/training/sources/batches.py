"""Frames as the network wants them: pictures and truth in [-1, 1], with masks of what is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from merge_ros.errors import DatasetError, MergeError
from merge_ros.geometry.normalisation import depth_range, normalise_depth
from merge_ros.training.sources.order import FrameKey
from merge_ros.training.sources.source import Source


@dataclass(frozen=True)
class Batch:
    """Frames of one pass; all of one source.

    Args:
        keys, names: which frames.
        image: [batch, 3, H, W] in [-1, 1].
        target: [batch, 3, H, W] in [-1, 1], what the VAE shall encode: depth, between its 2 % and 98 % quantiles and in
            three equal channels, or unit normals. Unknown depth lies at the far end, unknown normals are 0.
        valid: [batch, H, W] bool.
        truth: what a prediction is compared with: depth [batch, H, W] in metres, clipped to those quantiles, or the
            normals [batch, 3, H, W].
    """

    keys: tuple[FrameKey, ...]
    names: tuple[str, ...]
    image: Tensor
    target: Tensor
    valid: Tensor
    truth: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("image", "target", "valid", "truth")}
        return replace(self, **moved)


def load_batch(sources: Sequence[Source], keys: Sequence[FrameKey]) -> Batch:
    """Read frames and bring them into shape.

    Raises:
        DatasetError: a frame is damaged; the message names the file.
    """
    examples = [_example(sources[key.source], key) for key in keys]
    names, images, targets, valid, truths = zip(*examples, strict=True)
    stacked = (torch.from_numpy(np.stack(arrays)) for arrays in (images, targets, valid, truths))
    return Batch(tuple(keys), names, *stacked)


def batches(sources: Sequence[Source], order: Iterable[list[FrameKey]], workers: int) -> Iterator[Batch]:
    """Batches in the given order, read ahead by some processes.

    Raises:
        DatasetError: a frame is damaged; the message names the file.
    """
    reader: Any = DataLoader(_Frames(sources), batch_sampler=order, num_workers=workers, collate_fn=_whole)
    for found in reader:
        # Errors travel as values: raised in a worker, they would come with a page of its stack.
        if isinstance(found, MergeError):
            raise found
        yield found


class _Frames(Dataset):
    """What a reading process does: one key, one example."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def __getitems__(self, keys: list[FrameKey]) -> Batch | MergeError:
        """A batch at a time; `DataLoader` calls this in place of __getitem__ where it exists."""
        try:
            return load_batch(self._sources, keys)
        except MergeError as error:
            return error


def _whole(batch: Any) -> Any:
    """A batch is one when it is read."""
    return batch


def _example(
    source: Source, key: FrameKey
) -> tuple[str, NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    frame = source.frame(key.index)
    rgb, truth = frame.rgb, frame.truth
    if key.mirrored:
        rgb, truth = rgb[:, ::-1], truth[:, ::-1]
    image = np.asarray(np.ascontiguousarray(rgb.transpose(2, 0, 1)) / 127.5 - 1, np.float32)
    if source.task == "normals":
        if key.mirrored:
            truth = truth * np.array([-1, 1, 1], np.float32)  # what faced right now faces left
        normals = np.ascontiguousarray(truth.transpose(2, 0, 1))
        return frame.name, image, normals, np.asarray(truth.any(axis=-1), np.bool_), normals
    try:
        near, far = depth_range(truth)
    except DatasetError as error:
        raise DatasetError(f"{source.archive.where(source.pairs[key.index][1])}: {error}") from error
    depth = normalise_depth(truth, near, far)
    target = np.ascontiguousarray(np.broadcast_to(depth, (3, *depth.shape)))
    return frame.name, image, target, truth > 0, np.clip(truth, near, far).astype(np.float32)
