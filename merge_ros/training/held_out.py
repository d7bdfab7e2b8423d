"""How good a model folder is on frames it has not seen, beside what needs no model at all.

    python -m merge_ros.training.held_out --model DIR --data DIR --train DIR [--sheet FILE] [--json FILE]

Metrics are those of Marigold's protocol (arXiv 2312.02145): least-squares scale and shift per image against metres,
then AbsRel and delta1, averaged over images.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray

from merge_ros.config import EstimatorSettings
from merge_ros.errors import DatasetError
from merge_ros.estimator import DepthEstimator
from merge_ros.evaluation.folder import read_depth, read_image
from merge_ros.evaluation.metrics import DepthMetrics, aligned_metrics, metric_metrics
from merge_ros.model.autoencoder import decode_depth, encode
from merge_ros.model.checkpoint import load_checkpoint
from merge_ros.simulation.dataset import read_index
from merge_ros.training.data import depth_range, normalise_depth

CLIP = (0.1, 65.0)  # metres: what the stored 16-bit depth can hold
MEAN_MAP_FRAMES = 500
SHEET_COLUMNS, SHEET_ROWS = 4, 6

Depth = NDArray[np.float32]


def evaluate(
    model: Path, folder: Path, train: Path, limit: int | None = None
) -> tuple[dict[str, object], list[tuple[float, str, Depth]]]:
    """Measure a model and the baselines.

    Args:
        model: folder in the MERGE layout.
        folder: held-out data set.
        train: training data set, for the mean depth map.
        limit: use only the first frames.

    Returns:
        Results by name, and (AbsRel, frame name, prediction) of every frame.

    Raises:
        DatasetError: an empty or unreadable data set.
    """
    names = [str(record["name"]) for record in read_index(folder)[:limit]]
    if not names:
        raise DatasetError(f"{folder} holds no frames")
    estimator = DepthEstimator(EstimatorSettings(model=str(model), precision="fp32"))
    vae = load_checkpoint(str(model)).vae
    mean_map = mean_depth(train, MEAN_MAP_FRAMES)
    found: dict[str, list[DepthMetrics]] = {}
    predictions, seconds = [], []
    for name in names:
        image = read_image(folder / "rgb" / f"{name}.jpg")
        truth = read_depth(folder / "depth" / f"{name}.png")
        valid = truth > 0
        start = time.perf_counter()
        predicted = estimator(image)
        seconds.append(time.perf_counter() - start)
        height, width = truth.shape
        rows = np.repeat(-np.linspace(0, 1, height, dtype=np.float32)[:, None], width, 1)
        candidates = {
            "model": predicted,
            "vertical gradient": rows,
            "mean map": np.asarray(cv2.resize(mean_map, (width, height)), np.float32),
            "vae round trip": round_trip(vae, truth),
        }
        for label, candidate in candidates.items():
            found.setdefault(label, []).append(aligned_metrics(candidate, truth, valid, CLIP))
        # The least-squares fit of a constant is the mean; its slope is undefined, so it is not fitted.
        constant = np.full_like(truth, truth[valid].mean())
        found.setdefault("constant", []).append(metric_metrics(constant, truth, valid))
        predictions.append((found["model"][-1].abs_rel, name, predicted))
    results: dict[str, object] = {
        label: {
            "abs_rel": round(float(np.mean([m.abs_rel for m in metrics])), 4),
            "delta1": round(float(np.mean([m.delta1 for m in metrics])), 4),
        }
        for label, metrics in found.items()
    }
    results["frames"] = len(names)
    results["milliseconds_median"] = round(1000 * float(np.median(seconds)), 1)
    return results, predictions


def mean_depth(folder: Path, frames: int) -> Depth:
    """Mean of the normalised depth maps of a data set: what can be known without looking."""
    maps = []
    for record in read_index(folder)[:frames]:
        metres = read_depth(folder / "depth" / f"{record['name']}.png")
        maps.append(normalise_depth(metres, *depth_range(metres)))
    return np.asarray(np.mean(maps, axis=0), np.float32)


@torch.inference_mode()
def round_trip(vae: AutoencoderKL, metres: Depth) -> Depth:
    """True depth through the autoencoder: the best that any converter can reach."""
    depth = torch.from_numpy(normalise_depth(metres, *depth_range(metres)))
    latent = encode(vae, depth[None, None].expand(-1, 3, -1, -1))
    return decode_depth(vae, latent)[0].numpy()


def sheet(folder: Path, predictions: list[tuple[float, str, Depth]]) -> NDArray[np.uint8]:
    """Picture, truth and aligned prediction side by side, from the best to the worst frame in even steps."""
    ordered = sorted(predictions, key=lambda item: item[0])
    chosen = np.linspace(0, len(ordered) - 1, SHEET_COLUMNS * SHEET_ROWS).astype(int)
    cells = []
    for index in chosen:
        error, name, predicted = ordered[index]
        image = read_image(folder / "rgb" / f"{name}.jpg")[..., ::-1]
        truth = read_depth(folder / "depth" / f"{name}.png")
        near, far = depth_range(truth)
        slope, shift = np.polyfit(predicted.ravel(), truth.ravel(), 1)
        panels = [image, _coloured(truth, near, far), _coloured(predicted * slope + shift, near, far)]
        cell = cv2.resize(np.hstack(panels), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
        cv2.putText(
            cell, f"AbsRel {error:.3f}", (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (255, 255, 255), 1, cv2.LINE_AA
        )
        cells.append(cell)
    rows = [np.hstack(cells[row * SHEET_COLUMNS : (row + 1) * SHEET_COLUMNS]) for row in range(SHEET_ROWS)]
    return np.vstack(rows).astype(np.uint8, copy=False)


def _coloured(depth: NDArray[np.floating], near: float, far: float) -> NDArray[np.uint8]:
    level = np.clip((depth - near) / (far - near), 0, 1)
    return np.asarray(cv2.applyColorMap((255 - 255 * level).astype(np.uint8), cv2.COLORMAP_TURBO), np.uint8)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--data", type=Path, required=True, help="held-out data set")
    parser.add_argument("--train", type=Path, required=True, help="training data set, for the mean map")
    parser.add_argument("--limit", type=int, help="use only the first frames")
    parser.add_argument("--sheet", type=Path, help="write a picture of the best to worst frames here")
    parser.add_argument("--json", type=Path, help="write the results here")
    arguments = parser.parse_args()
    results, predictions = evaluate(arguments.model, arguments.data, arguments.train, arguments.limit)
    print(json.dumps(results, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    if arguments.sheet:
        cv2.imwrite(str(arguments.sheet), sheet(arguments.data, predictions))


if __name__ == "__main__":
    main()
