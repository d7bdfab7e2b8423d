"""Several cameras through one model: as one batch, or one after the other.

Interleaved rounds on the same images and engine; medians of milliseconds for one image of each camera:

    python benchmarks/multi_camera.py                      # the shipped model, 2 and 4 cameras of 640x480
    python benchmarks/multi_camera.py --cameras 3 --backend torch --rounds 20

`batch` is what multi_camera_node does with images that wait together, `one by one` what separate calls of the same
engine take, `threads` what comes of it when each camera calls from a thread of its own through `SharedModel`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from merge_ros.batching import SharedModel
from merge_ros.config import BACKENDS, BUNDLED_MODEL, EstimatorSettings
from merge_ros.estimator import DepthEstimator


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=BUNDLED_MODEL, help="name, folder or Hugging Face id")
    parser.add_argument("--backend", default="auto", choices=BACKENDS)
    parser.add_argument("--cameras", type=int, nargs="+", default=[2, 4], help="how many")
    parser.add_argument("--size", default="640x480", help="of the images, WIDTHxHEIGHT pixels")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    shared = SharedModel(patience=0.01, load=DepthEstimator)
    settings = EstimatorSettings(model=options.model, backend=options.backend)
    cameras = [shared.join(f"camera {index}", settings) for index in range(max(options.cameras))]
    alone = DepthEstimator(settings)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (height, width, 3)).astype(np.uint8) for _ in cameras]

    print(f"{alone.description}; {width}x{height}, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    print(f"{'cameras':>8}{'one by one':>12}{'batch':>8}{'ratio':>7}{'threads':>9}   batches by size")
    for count in options.cameras:
        some = images[:count]
        pool = ThreadPoolExecutor(count)
        ways: dict[str, Callable[[], object]] = {
            "one by one": lambda some=some: [alone(image) for image in some],
            "batch": lambda some=some: alone.batch(some),
            "threads": lambda some=some, pool=pool: list(pool.map(lambda camera, image: camera(image), cameras, some)),
        }
        for way in ways.values():
            way()  # an engine may build something for a new batch
        shared.batches.clear()
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                taken[name].append(1e3 * (time.perf_counter() - start))
        pool.shutdown()
        middle = {name: statistics.median(values) for name, values in taken.items()}
        ratio = middle["one by one"] / middle["batch"]
        print(
            f"{count:8}{middle['one by one']:12.1f}{middle['batch']:8.1f}{ratio:7.2f}{middle['threads']:9.1f}"
            f"   {dict(sorted(shared.batches.items()))}"
        )


if __name__ == "__main__":
    main()
