"""Angles computed by hand, and what must hold for any normals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from merge_ros.errors import InputError
from merge_ros.evaluation.models import NormalsModel
from merge_ros.evaluation.normals import angles_between, measure_normals, normals_metrics
from merge_ros.evaluation.sample import NormalsSample


def tilted(*degrees: float) -> np.ndarray:
    """[1, n, 3] normals turned by so many degrees from facing the camera."""
    angle = np.radians(degrees)
    return np.stack([np.sin(angle), np.zeros(len(degrees)), -np.cos(angle)], -1)[None]


def test_a_known_case() -> None:
    metrics = normals_metrics(angles_between(tilted(0, 5, 20, 25, 90), tilted(0, 0, 0, 0, 0)))
    assert metrics.mean == pytest.approx(28)
    assert metrics.median == pytest.approx(20)
    assert (metrics.within_11_25, metrics.within_22_5, metrics.within_30) == pytest.approx((0.4, 0.6, 0.8))
    assert metrics.n == 5


def test_thresholds_are_strict() -> None:
    assert normals_metrics(np.array([[11.25, 11.2499]])).within_11_25 == 0.5
    assert normals_metrics(np.array([[22.5, 22.4999]])).within_22_5 == 0.5
    assert normals_metrics(np.array([[30.0, 29.9999]])).within_30 == 0.5


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_length_does_not_matter_and_the_angle_is_symmetric(seed: int, length: float) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, 3, 4, 3)) + 0.01
    angles = angles_between(a, b)
    assert angles_between(length * a, b) == pytest.approx(angles, abs=1e-5)
    assert angles_between(b, a) == pytest.approx(angles, abs=1e-5)
    assert angles_between(-a, b) == pytest.approx(180 - angles, abs=1e-5)


def test_unknown_truth_is_left_out_and_no_estimate_is_a_right_angle() -> None:
    truth, estimate = tilted(0, 0, 0, 0), tilted(10, 10, 10, 10)
    truth[0, 0], truth[0, 1] = 0, np.nan
    estimate[0, 0], estimate[0, 2] = np.nan, 0
    assert angles_between(estimate, truth)[0].tolist() == pytest.approx([np.nan, np.nan, 90, 10], nan_ok=True)


def test_estimates_are_scaled_to_the_truth() -> None:
    seen = []

    def estimate(rgb: np.ndarray) -> np.ndarray:
        seen.append(rgb.shape)
        return np.broadcast_to(tilted(0)[0], (*rgb.shape[:2], 3)).astype(np.float32)

    truth = NormalsSample(np.zeros((12, 16, 3), np.uint8), np.broadcast_to(tilted(0)[0], (12, 16, 3)))
    metrics = measure_normals(truth, NormalsModel("m", estimate), processing_side=8).metrics
    assert seen == [(6, 8, 3)]
    assert metrics.mean == pytest.approx(0, abs=1e-3)
    assert metrics.n == 12 * 16


def test_refusals() -> None:
    with pytest.raises(InputError, match="no true normal"):
        normals_metrics(angles_between(tilted(0), 0 * tilted(0)))
    with pytest.raises(InputError, match="not finite"):
        angles_between(np.nan * tilted(0), tilted(0))
    with pytest.raises(InputError, match="allowed: both"):
        angles_between(tilted(0, 1), tilted(0))
