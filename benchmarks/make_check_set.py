"""Write merge_ros/runtime/check_set.npz from a folder that `merge-ros make-dataset` made.

merge-ros make-dataset --out data/check --count 8 --views 1 --seed 2026
python benchmarks/make_check_set.py --data data/check
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from merge_ros.evaluation.folder import find_pairs
from merge_ros.runtime.check_set import FILE, MILLIMETRES

WIDTH, HEIGHT = 256, 192


def main() -> None:
    """Read, shrink, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--out", type=Path, default=FILE)
    arguments = parser.parse_args()
    pairs = find_pairs(arguments.data)
    stored: dict[str, np.ndarray] = {}
    for index, pair in enumerate(pairs[:: max(1, len(pairs) // arguments.count)][: arguments.count]):
        rgb = cv2.resize(pair.read_image(), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        depth = cv2.resize(pair.read_depth(), (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
        millimetres = np.where(np.isfinite(depth) & (depth > 0), depth * MILLIMETRES, 0).clip(0, 65535)
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        stored[f"image_{index}"] = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
        stored[f"depth_{index}"] = cv2.imencode(".png", np.rint(millimetres).astype(np.uint16))[1]
    np.savez(arguments.out, **stored)
    print(f"{arguments.out}: {len(stored) // 2} pictures, {arguments.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
