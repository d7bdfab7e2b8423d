"""The benchmarks of normals on made-up copies: axes, unknown pixels, Sintel's sky and margins."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from merge_ros.evaluation.benchmarks import NORMALS_BENCHMARKS
from merge_ros.evaluation.models import NormalsModel
from merge_ros.evaluation.normals import measure_normals


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def png(shape: tuple[int, int]) -> bytes:
    return cv2.imencode(".png", np.zeros((*shape, 3), np.uint8))[1].tobytes()


def facing_up_right(shape: tuple[int, int]) -> np.ndarray:
    """As the files have it: x right, y up, z towards the camera."""
    return np.broadcast_to(np.array([2, 3, 6], np.float32) / 7, (*shape, 3)).copy()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("nyuv2_normals", "test/000014"),
        ("scannet_normals", "scene0001_01/001170"),
        ("ibims_normals", "corridor_01"),
    ],
)
def test_axes_and_unknown_pixels(stored: Callable, name: str, stem: str) -> None:
    truth = facing_up_right((4, 6))
    truth[0, 0] = 0
    files = stored({f"{stem}_img.png": png((4, 6)), f"{stem}_normal.npy": npy(truth)})
    (item,) = NORMALS_BENCHMARKS[name].items(files)
    # In the optical frame up is -y and towards the camera is -z.
    estimate = np.broadcast_to(np.array([2, -3, -6], np.float32), (4, 6, 3)).copy()
    estimate[0, 1] = (2, -3, 6)
    metrics = measure_normals(item.read(), NormalsModel("fixed", lambda _: estimate)).metrics
    angle = np.degrees(np.arccos((4 + 9 - 36) / 49))
    assert metrics.n == 23
    assert metrics.mean == pytest.approx(angle / 23, abs=0.02)
    assert metrics.within_30 == pytest.approx(22 / 23)


def test_sintel_sky_faces_the_camera_and_margins_go(stored: Callable) -> None:
    truth = facing_up_right((4, 1024))
    truth[:, :221] = truth[:, -221:] = (0, 0, -1)  # would be far off, if it counted
    truth[0, 300] = 0  # sky
    files = stored({"alley_2/frame_0001_img.png": png((4, 1024)), "alley_2/frame_0001_normal.npy": npy(truth)})
    (item,) = NORMALS_BENCHMARKS["sintel_normals"].items(files)
    sample = item.read()
    assert sample.image.shape == (4, 582, 3)
    assert sample.normals[0, 300 - 221].tolist() == [0, 0, -1]
    estimate = np.broadcast_to(np.array([2, -3, -6], np.float32) / 7, (4, 582, 3))
    metrics = measure_normals(sample, NormalsModel("fixed", lambda _: estimate)).metrics
    assert metrics.n == 4 * 582
    assert metrics.mean == pytest.approx(np.degrees(np.arccos(6 / 7)) / (4 * 582), abs=0.02)
