"""Whole-frame time of every engine that is installed, on the same weights and image, interleaved.

    python benchmarks/engines.py [--model merge-tiny] [--width 640] [--height 480] [--runs 20] [--threads 1]

Processor time is printed beside wall time: on a shared machine it is the steadier of the two.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from merge_ros.config import EstimatorSettings
from merge_ros.errors import MergeError
from merge_ros.estimator import DepthEstimator

ENGINES = (("torch", "fp32"), ("torch", "bf16"), ("onnx", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"))


def main() -> None:
    """Load, run in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=EstimatorSettings().model)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    image = np.random.default_rng(0).integers(0, 256, (arguments.height, arguments.width, 3), np.uint8)

    estimators: dict[str, DepthEstimator] = {}
    load_seconds: dict[str, float] = {}
    for backend, precision in ENGINES:
        settings = EstimatorSettings(
            model=arguments.model, backend=backend, precision=precision, threads=arguments.threads
        )
        name, start = f"{backend} {precision}", time.perf_counter()
        try:
            estimator = DepthEstimator(settings)
            estimator(image)
        except MergeError as error:
            print(f"{name}: left out: {error}")
            continue
        estimators[name], load_seconds[name] = estimator, time.perf_counter() - start

    wall: dict[str, list[float]] = {name: [] for name in estimators}
    processor: dict[str, list[float]] = {name: [] for name in estimators}
    for _ in range(arguments.runs):
        for name, estimator in estimators.items():
            start, start_processor = time.perf_counter(), time.process_time()
            estimator(image)
            wall[name].append((time.perf_counter() - start) * 1e3)
            processor[name].append((time.process_time() - start_processor) * 1e3)

    baseline = next(iter(estimators))
    print(f"{arguments.width}x{arguments.height} image, {arguments.threads} thread(s), {arguments.runs} runs in turn")
    print(f"{'engine':<15} {'wall p50':>9} {'p95':>8} {'processor p50':>14} {'times faster':>13} {'load':>8}")
    rows = []
    for name in estimators:
        row = {
            "engine": name,
            "wall_ms_p50": statistics.median(wall[name]),
            "wall_ms_p95": float(np.percentile(wall[name], 95)),
            "processor_ms_p50": statistics.median(processor[name]),
            "speedup": statistics.median(wall[baseline]) / statistics.median(wall[name]),
            "load_s": load_seconds[name],
        }
        rows.append(row)
        print(
            f"{name:<15} {row['wall_ms_p50']:>6.1f} ms {row['wall_ms_p95']:>5.1f} ms "
            f"{row['processor_ms_p50']:>11.1f} ms {row['speedup']:>12.2f}x {row['load_s']:>6.1f} s"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({**vars(arguments), "json": None, "engines": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
