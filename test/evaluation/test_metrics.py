import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from merge_ros.errors import InputError, ScaleError
from merge_ros.evaluation.metrics import aligned_metrics, delta1, metric_metrics

ALL = np.ones((6, 8), bool)
seeds = st.integers(0, 2**32 - 1)


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.5, 9.0, ALL.shape)
    return truth * rng.uniform(0.8, 1.25, ALL.shape), truth


def test_a_known_case() -> None:
    truth = np.array([[1.0, 2.0, 4.0, 8.0]])
    prediction = np.array([[1.1, 2.0, 2.0, 8.0]])
    result = metric_metrics(prediction, truth, np.ones((1, 4), bool))
    assert result.abs_rel == pytest.approx((0.1 + 0 + 0.5 + 0) / 4)
    assert result.delta1 == 0.75
    assert result.rmse == pytest.approx(math.sqrt((0.01 + 4) / 4))
    assert result.n == 4


def test_delta1_is_strict() -> None:
    truth = np.ones(4)
    assert delta1(np.array([1.25, 0.8, 1.2499999, 0.8000001]), truth) == 0.5


@given(seeds, st.floats(0.05, 20), st.floats(-10, 10))
def test_aligned_metrics_do_not_change_under_an_affine_change(seed: int, a: float, b: float) -> None:
    prediction, truth = scene(seed)
    first = aligned_metrics(prediction, truth, ALL, (1e-3, 10))
    second = aligned_metrics(a * prediction + b, truth, ALL, (1e-3, 10))
    assert second.abs_rel == pytest.approx(first.abs_rel, rel=1e-6)
    assert second.delta1 == pytest.approx(first.delta1, abs=1 / ALL.size)  # a pixel may sit on the threshold
    assert second.rmse == pytest.approx(first.rmse, rel=1e-6)


@given(seeds)
def test_an_affine_copy_of_the_truth_is_perfect(seed: int) -> None:
    _, truth = scene(seed)
    result = aligned_metrics(0.3 * truth - 2, truth, ALL, (1e-3, 10))
    assert result.abs_rel == pytest.approx(0, abs=1e-9)
    assert result.delta1 == 1


@given(seeds, seeds)
def test_masked_pixels_do_not_matter(seed: int, mask_seed: int) -> None:
    prediction, truth = scene(seed)
    valid = np.random.default_rng(mask_seed).random(ALL.shape) < 0.6
    assume(valid.sum() > 2)
    spoiled_prediction, spoiled_truth = np.where(valid, prediction, np.nan), np.where(valid, truth, 0.0)
    for measure in (metric_metrics, lambda p, t, v: aligned_metrics(p, t, v, (1e-3, 10))):
        assert measure(spoiled_prediction, spoiled_truth, valid) == measure(prediction, truth, valid)
    assert metric_metrics(prediction, truth, valid).n == valid.sum()


def test_alignment_comes_before_the_clip() -> None:
    """The fit sees the whole line; clipping first would give other numbers."""
    truth = np.array([[1.0, 2.0, 3.0, 12.0]])
    prediction = np.array([[0.0, 1.0, 2.0, 11.0]])  # truth - 1: a perfect fit
    result = aligned_metrics(prediction, truth, np.ones((1, 4), bool), (1.5, 10.0))
    assert result.abs_rel == pytest.approx((0.5 / 1 + 0 + 0 + 2 / 12) / 4)


def test_an_aligned_prediction_is_never_below_the_protocols_floor() -> None:
    truth = np.array([[0.1, 0.1, 0.1, 9.0]])
    prediction = np.array([[0.0, 1.0, 1.0, 3.0]])
    result = aligned_metrics(prediction, truth, np.ones((1, 4), bool), (0.0, 80.0))
    assert np.isfinite([result.abs_rel, result.delta1, result.rmse]).all()


def test_refuses_what_cannot_be_measured() -> None:
    prediction, truth = scene(0)
    with pytest.raises(InputError, match="shapes must be equal"):
        metric_metrics(prediction[:-1], truth, ALL)
    with pytest.raises(InputError, match="no pixel"):
        metric_metrics(prediction, truth, ~ALL)
    with pytest.raises(InputError, match="bool"):
        metric_metrics(prediction, truth, ALL.astype(np.uint8))
    with pytest.raises(InputError, match="truth"):
        metric_metrics(prediction, np.where(truth > 1, truth, 0), ALL)
    with pytest.raises(InputError, match="prediction"):
        metric_metrics(-prediction, truth, ALL)
    with pytest.raises(InputError, match="prediction"):
        aligned_metrics(prediction * np.nan, truth, ALL, (0, 10))
    with pytest.raises(InputError, match="clip"):
        aligned_metrics(prediction, truth, ALL, (10, 0))
    with pytest.raises(ScaleError):
        aligned_metrics(np.ones_like(truth), truth, ALL, (0, 10))
