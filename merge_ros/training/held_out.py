"""How good a model folder is on frames it has not seen, beside what needs no model at all.

    python -m merge_ros.training.held_out --model DIR --data DIR --train DIR [--sheet FILE] [--json FILE]

The measuring is that of `merge-ros evaluate` (Marigold's protocol, arXiv 2312.02145); this puts model and baselines of
merge-tiny's data side by side, and draws the sheet of docs/merge-tiny.md.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from merge_ros.config import EstimatorSettings
from merge_ros.errors import InputError
from merge_ros.evaluation.baselines import mean_map, measure_baselines
from merge_ros.evaluation.ceiling import RoundTrip
from merge_ros.evaluation.folder import DepthPair, find_pairs
from merge_ros.evaluation.models import DepthModel, merge_model
from merge_ros.evaluation.protocol import DepthProtocol, measure
from merge_ros.evaluation.sheet import depth_panels, sheet_row, stacked

PROTOCOL = DepthProtocol((0.1, 65.0))  # metres: what the stored 16-bit depth can hold
SHEET_COLUMNS, SHEET_ROWS = 3, 8


def evaluate(
    model: DepthModel, pairs: list[DepthPair], train: list[DepthPair], folder: str
) -> tuple[dict[str, Any], list[tuple[float, DepthPair]]]:
    """Measure a model and the baselines.

    Args:
        model: what is measured.
        pairs: held-out frames.
        train: training frames, for the mean depth map.
        folder: the model's, for the ceiling of its autoencoder.

    Returns:
        Results by name, and (AbsRel, frame) from the best to the worst.

    Raises:
        InputError: there are no frames.
        DatasetError: a file is unreadable.
    """
    if not pairs:
        raise InputError("no held-out frames to measure on")
    seconds: list[float] = []

    def timed(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        start = time.perf_counter()
        depth = model.estimate(rgb)
        seconds.append(time.perf_counter() - start)
        return depth

    clocked = replace(model, estimate=timed)
    progress = tqdm(pairs, unit="image", desc="model", disable=None)
    found = [(measure(pair.read(), clocked, PROTOCOL).metrics, pair) for pair in progress]
    means = {metric: float(np.mean([getattr(m, metric) for m, _ in found])) for metric in ("abs_rel", "delta1")}
    rows = {"model": means} | measure_baselines(pairs, PROTOCOL, mean_map(train), RoundTrip(folder))
    results: dict[str, Any] = {
        name: {metric: round(value, 4) for metric, value in row.items()} for name, row in rows.items()
    }
    results["frames"] = len(pairs)
    results["milliseconds_median"] = round(1000 * float(np.median(seconds)), 1)
    return results, sorted(((m.abs_rel, pair) for m, pair in found), key=lambda row: row[0])


def sheet(model: DepthModel, ranked: list[tuple[float, DepthPair]]) -> NDArray[np.uint8]:
    """Picture, truth, aligned prediction and error, from the best to the worst frame in even steps."""
    chosen = np.linspace(0, len(ranked) - 1, SHEET_COLUMNS * SHEET_ROWS).astype(int)
    cells = [
        sheet_row(depth_panels(measure(ranked[index][1].read(), model, PROTOCOL)), f"AbsRel {ranked[index][0]:.3f}")
        for index in chosen
    ]
    rows = [np.hstack(cells[row * SHEET_COLUMNS : (row + 1) * SHEET_COLUMNS]) for row in range(SHEET_ROWS)]
    whole = stacked([np.asarray(row, np.uint8) for row in rows])
    return np.asarray(cv2.resize(whole, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA), np.uint8)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="model folder, or merge-tiny")
    parser.add_argument("--data", type=Path, required=True, help="held-out data set")
    parser.add_argument("--train", type=Path, required=True, help="training data set, for the mean map")
    parser.add_argument("--limit", type=int, help="use only the first frames")
    parser.add_argument("--sheet", type=Path, help="write a picture of the best to worst frames here")
    parser.add_argument("--json", type=Path, help="write the results here")
    arguments = parser.parse_args()
    model = merge_model(EstimatorSettings(model=arguments.model, precision="fp32"))
    pairs = find_pairs(arguments.data)[: arguments.limit]
    results, ranked = evaluate(model, pairs, find_pairs(arguments.train), arguments.model)
    print(json.dumps(results, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    if arguments.sheet:
        cv2.imwrite(str(arguments.sheet), cv2.cvtColor(sheet(model, ranked), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
