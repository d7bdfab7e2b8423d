"""What depth costs nobody: guesses that a model has to beat, and the ceiling that its autoencoder sets.

constant            the mean of the truth (its least-squares fit; there is no slope to fit)
vertical gradient   the row number: floors recede upwards
mean map            the mean of many normalised depth maps: what can be known without looking
round trip          the truth itself through the autoencoder: the best that any converter can reach
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from merge_ros.errors import DatasetError, InputError, MergeError
from merge_ros.evaluation.metrics import DepthMetrics, aligned_metrics, metric_metrics
from merge_ros.evaluation.protocol import DepthProtocol, at_size, cut_to, valid_pixels
from merge_ros.evaluation.sample import DepthItem, DepthSample
from merge_ros.geometry.normalisation import depth_range, normalise_depth

MEAN_MAP_FRAMES = 500

Depth = NDArray[np.float32]


class TruthItem(Protocol):
    """An entry of a set whose true depth can be read by itself."""

    def read_depth(self) -> Depth:
        """[h, w] metres; not finite or <= 0 is unknown."""


def vertical_gradient(height: int, width: int) -> Depth:
    """[height, width]: far at the top, near at the bottom."""
    return np.repeat(-np.linspace(0, 1, height, dtype=np.float32)[:, None], width, 1)


def mean_map(items: Sequence[TruthItem], frames: int = MEAN_MAP_FRAMES) -> Depth:
    """Mean of the first normalised depth maps of a set, of the size of the first.

    Raises:
        DatasetError: no items, or a depth map without range.
    """
    total, count = np.zeros((1, 1), np.float64), 0
    for item in islice(items, frames):
        metres = item.read_depth()
        known = np.where(np.isfinite(metres), metres, np.float32(0))
        normalised = normalise_depth(known, *depth_range(known))
        total = normalised.astype(np.float64) if not count else total + at_size(normalised, total.shape)
        count += 1
    if not count:
        raise DatasetError("a mean depth map needs at least one depth map")
    return np.asarray(total / count, np.float32)


def measure_baselines(
    items: Sequence[DepthItem],
    protocol: DepthProtocol,
    mean: Depth | None = None,
    round_trip: Callable[[Depth], Depth] | None = None,
) -> dict[str, dict[str, float]]:
    """AbsRel and delta1 of each baseline, averaged over images.

    Args:
        items: the set.
        protocol: its cut, window and range.
        mean: from `mean_map`; None leaves the mean map out.
        round_trip: [h, w] metres, 0 unknown, to normalised depth of the same size through an autoencoder; None leaves
            the ceiling out.

    Raises:
        InputError: no image could be measured.
    """
    found: dict[str, list[DepthMetrics]] = {}
    for item in tqdm(items, unit="image", desc="baselines", disable=None):
        try:
            metrics = _one_image(cut_to(item.read(), protocol.cut), protocol, mean, round_trip)
        except MergeError:
            continue  # the model's own row names the image
        for name, value in metrics.items():
            found.setdefault(name, []).append(value)
    if not found:
        raise InputError(f"no baseline could be measured on {len(items)} images")
    return {
        name: {
            "abs_rel": float(np.mean([m.abs_rel for m in metrics])),
            "delta1": float(np.mean([m.delta1 for m in metrics])),
        }
        for name, metrics in found.items()
    }


def _one_image(
    sample: DepthSample,
    protocol: DepthProtocol,
    mean: Depth | None,
    round_trip: Callable[[Depth], Depth] | None,
) -> dict[str, DepthMetrics]:
    truth, valid = sample.depth, valid_pixels(sample, protocol)
    if not valid.any():
        raise InputError("no pixel is valid")
    candidates = {"vertical gradient": vertical_gradient(*truth.shape)}
    if mean is not None:
        height, width = truth.shape
        candidates["mean map"] = np.asarray(cv2.resize(mean, (width, height)), np.float32)
    if round_trip is not None:
        candidates["round trip"] = round_trip(np.where(valid, truth, np.float32(0)))
    constant = np.full_like(truth, truth[valid].mean())
    metrics = {"constant": metric_metrics(constant, truth, valid)}
    for name, candidate in candidates.items():
        metrics[name] = aligned_metrics(candidate, truth, valid, protocol.valid_range)
    return metrics
