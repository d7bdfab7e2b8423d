"""Measure an estimator on a folder of images with true depth, image by image.

The protocol is Marigold's (arXiv 2312.02145): scale and shift fitted to the truth by least squares on the valid pixels,
clip, masked mean per image, mean over images.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from merge_ros.errors import ConfigurationError, InputError, MergeError
from merge_ros.evaluation.folder import DepthPair
from merge_ros.evaluation.metrics import DepthMetrics, aligned_metrics
from merge_ros.files import atomic_write
from merge_ros.geometry.alignment import fit_affine
from merge_ros.geometry.depth import colourise

WORST = 10
PANEL_HEIGHT = 160  # pixels of a row of the worst-ten sheet

Estimator = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Args:
        rows: metrics of each image that could be measured, by name.
        failed: what was wrong with the others, by name.
    """

    rows: dict[str, DepthMetrics]
    failed: dict[str, str]

    def summary(self) -> dict[str, float | int]:
        """`abs_rel` and `delta1` averaged over images, and `n` of them."""
        metrics = self.rows.values()
        return {
            "abs_rel": float(np.mean([m.abs_rel for m in metrics])),
            "delta1": float(np.mean([m.delta1 for m in metrics])),
            "n": len(self.rows),
            "failed": len(self.failed),
        }


def evaluate_pairs(
    estimator: Estimator, pairs: Sequence[DepthPair], valid_range: tuple[float, float], out: Path
) -> Evaluation:
    """Estimate, align, measure and write `per_image.csv`, `summary.json` and `worst.png` to a folder.

    Args:
        estimator: [H, W, 3] uint8 RGB to [H, W] relative depth.
        pairs: from `find_pairs`.
        valid_range: metres (low, high), 0 < low < high; truth outside is left out, and predictions are clipped to it.
        out: folder for the results; made if missing.

    Returns:
        The metrics. An image that cannot be measured is counted and named, and the others go on.

    Raises:
        ConfigurationError: the range is not one.
        InputError: no image at all could be measured.
    """
    low, high = valid_range
    if not 0 < low < high:
        raise ConfigurationError(f"valid range {low} to {high} m must satisfy 0 < low < high")
    result = Evaluation({}, {})
    for pair in tqdm(pairs, unit="image", disable=None):
        try:
            truth = pair.read_depth()
            valid = np.isfinite(truth) & (truth > low) & (truth < high)
            prediction = _at_size(estimator(pair.read_image()), truth)
            result.rows[pair.name] = aligned_metrics(prediction, truth, valid, valid_range)
        except MergeError as error:
            result.failed[pair.name] = str(error)
    if not result.rows:
        raise InputError(
            f"none of {len(pairs)} images could be measured; the first: {next(iter(result.failed.values()))}"
        )
    _write_csv(result, out / "per_image.csv")
    with atomic_write(out / "summary.json") as temporary:
        temporary.write_text(json.dumps({**result.summary(), "failures": result.failed}, indent=2) + "\n")
    worst = sorted(result.rows, key=lambda name: -result.rows[name].abs_rel)[:WORST]
    by_name = {pair.name: pair for pair in pairs}
    rows = [_sheet_row(estimator, by_name[name], result.rows[name], valid_range) for name in worst]
    with atomic_write(out / "worst.png") as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(_stacked(rows), cv2.COLOR_RGB2BGR))
    return result


def _at_size(prediction: NDArray[np.float32], truth: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = truth.shape
    if prediction.shape == truth.shape:
        return prediction
    return np.asarray(cv2.resize(prediction, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _write_csv(result: Evaluation, path: Path) -> None:
    with atomic_write(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "abs_rel", "delta1", "rmse_m", "valid_pixels"])
        for name, metrics in result.rows.items():
            values = (metrics.abs_rel, metrics.delta1, metrics.rmse)
            writer.writerow([name, *(f"{value:.6f}" for value in values), metrics.n])


def _sheet_row(
    estimator: Estimator, pair: DepthPair, metrics: DepthMetrics, valid_range: tuple[float, float]
) -> NDArray[np.uint8]:
    """Image, truth, aligned prediction and relative error (white 50 % and more) of one frame."""
    image, truth = pair.read_image(), pair.read_depth()
    prediction = _at_size(estimator(image), truth)
    low, high = valid_range
    valid = np.isfinite(truth) & (truth > low) & (truth < high)
    affine = fit_affine(prediction[valid], truth[valid])
    aligned = np.clip(affine.apply(prediction), low, high)
    near, far = np.quantile(truth[valid], [0.02, 0.98])
    known = np.where(valid, truth, np.nan)
    error = np.where(valid, np.abs(aligned - truth) / np.where(valid, truth, 1), 0)
    grey = np.repeat((np.clip(error / 0.5, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)
    panels = [image, colourise(known, near, far + 1e-6), colourise(aligned, near, far + 1e-6), grey]
    width = round(PANEL_HEIGHT * truth.shape[1] / truth.shape[0])
    row = np.hstack([cv2.resize(panel, (width, PANEL_HEIGHT), interpolation=cv2.INTER_AREA) for panel in panels])
    text = f"{pair.name}  AbsRel {metrics.abs_rel:.3f}  delta1 {metrics.delta1:.3f}"
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(row, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, thickness, cv2.LINE_AA)
    return np.asarray(row, np.uint8)


def _stacked(rows: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    return np.vstack(padded)
