"""A few stored pictures with their true depth, on which lower precision has to prove itself before "auto" takes it.

`check_set.npz` holds rendered rooms that merge-tiny was not trained on: `image_N`, JPEG bytes, and `depth_N`, a 16-bit
PNG of millimetres; `benchmarks/make_check_set.py` wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import CheckpointError
from merge_ros.geometry.alignment import fit_affine
from merge_ros.geometry.framing import plan_framing
from merge_ros.runtime.engine import DepthEngine

FILE = Path(__file__).with_name("check_set.npz")
MILLIMETRES = 1000.0  # per metre (REP 118)
NEAREST = 1e-3  # metres; predictions are clipped to this, as the evaluation protocol of NYUv2 has it


def check_set(path: Path = FILE) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Pairs of [H, W, 3] RGB and [H, W] metres, 0 unknown.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            for index in range(len(stored.files) // 2):
                bgr = cv2.imdecode(stored[f"image_{index}"], cv2.IMREAD_COLOR)
                depth = cv2.imdecode(stored[f"depth_{index}"], cv2.IMREAD_UNCHANGED)
                if bgr is None or depth is None:
                    raise ValueError(f"picture {index} is damaged")
                rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
                yield rgb, np.asarray(depth, np.float32) / np.float32(MILLIMETRES)
    except (OSError, KeyError, ValueError, cv2.error) as error:
        raise CheckpointError(f"the check set {path} cannot be read: {error}") from error


def abs_rel(engine: DepthEngine, path: Path = FILE) -> float:
    """Mean over the check set of the mean of |z - truth| / truth, after least squares for scale and shift."""
    errors = []
    for rgb, truth in check_set(path):
        height, width = truth.shape
        framing = plan_framing(width, height, engine.native_pixels, engine.grid)
        size = (framing.padded_width, framing.padded_height)
        relative = engine(np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)[None])[0]
        known = truth > 0
        relative = cv2.resize(relative, (width, height), interpolation=cv2.INTER_LINEAR)[known]
        metres = fit_affine(relative, truth[known]).apply(np.asarray(relative, np.float32)).clip(NEAREST)
        errors.append(float(np.mean(np.abs(metres - truth[known]) / truth[known])))
    return float(np.mean(errors))
