"""The picture sheet of the worst images: one row each, of the same height, with a line of text."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.evaluation.normals import MeasuredNormals
from merge_ros.evaluation.protocol import MeasuredDepth
from merge_ros.geometry.depth import colourise

ROW_HEIGHT = 160  # pixels
TEXT_HEIGHT = 22
WHITE_ERROR = 0.5  # relative error of depth that is drawn white
WHITE_ANGLE = 60.0  # degrees, the same for normals

Picture = NDArray[np.uint8]


def depth_panels(measured: MeasuredDepth) -> list[Picture]:
    """Image, truth, aligned prediction, relative error (white 50 % and more)."""
    truth, valid = measured.sample.depth, measured.valid
    near, far = np.quantile(truth[valid], [0.02, 0.98])
    error = np.where(valid, np.abs(measured.aligned - truth) / np.where(valid, truth, 1), 0)
    colours = [colourise(depth, near, far + 1e-6) for depth in (np.where(valid, truth, np.nan), measured.aligned)]
    return [measured.sample.image, *colours, _grey(error / WHITE_ERROR)]


def normals_panels(measured: MeasuredNormals) -> list[Picture]:
    """Image, true normals, estimated normals, angle (white 60 degrees and more)."""
    known = np.isfinite(measured.angles)
    pictures = [
        normals_colours(measured.sample.normals, known),
        normals_colours(measured.estimated, np.ones_like(known)),
    ]
    return [measured.sample.image, *pictures, _grey(np.where(known, measured.angles, 0) / WHITE_ANGLE)]


def normals_colours(normals: NDArray[np.floating], known: NDArray[np.bool_]) -> Picture:
    """[h, w, 3] normals in the usual colours: right red, up green, towards the camera blue; unknown black."""
    length = np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-9)
    shown = np.where(known[..., None], normals / length, 0) * np.array([1, -1, -1])
    return np.where(known[..., None], np.rint((shown + 1) * 127.5), 0).astype(np.uint8)


def sheet_row(panels: Sequence[Picture], text: str) -> Picture:
    """Panels side by side, as wide as the second one (the truth) asks, with a line of text."""
    height, width = panels[1].shape[:2]
    size = (max(1, round(ROW_HEIGHT * width / height)), ROW_HEIGHT)
    row = np.asarray(np.hstack([cv2.resize(panel, size, interpolation=cv2.INTER_AREA) for panel in panels]), np.uint8)
    row[:TEXT_HEIGHT] = row[:TEXT_HEIGHT] // 3  # dark behind the text, whatever the picture
    cv2.putText(row, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return row


def stacked(rows: Sequence[Picture]) -> Picture:
    """Rows of any width below each other."""
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])


def _grey(level: NDArray[np.floating]) -> Picture:
    return np.repeat((np.clip(level, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)
