"""The pieces of the protocol, and what must hold for any prediction."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from merge_ros.errors import ConfigurationError, DatasetError, InputError
from merge_ros.evaluation.metrics import align
from merge_ros.evaluation.models import DepthModel
from merge_ros.evaluation.protocol import (
    DepthProtocol,
    Window,
    at_size,
    cut_to,
    measure,
    scaled_to_side,
    sparse_grid,
    valid_pixels,
)
from merge_ros.evaluation.sample import DepthSample

seeds = st.integers(0, 2**32 - 1)


def sample(seed: int, height: int = 12, width: int = 20) -> DepthSample:
    rng = np.random.default_rng(seed)
    return DepthSample(
        np.zeros((height, width, 3), np.uint8),
        rng.uniform(0.5, 9, (height, width)).astype(np.float32),
        rng.random((height, width)) < 0.7,
    )


@given(seeds, st.floats(0.1, 10), st.floats(-5, 5))
def test_any_affine_of_a_prediction_is_as_good(seed: int, scale: float, shift: float) -> None:
    truth = sample(seed)
    estimate = np.random.default_rng(seed + 1).uniform(0, 1, truth.depth.shape)
    protocol = DepthProtocol((0.6, 8.0), window=Window(2, 10, 3, 18), fit_side=7)
    first, second = (
        measure(truth, DepthModel("m", lambda _, e=e: e.astype(np.float64)), protocol).metrics
        for e in (estimate, scale * estimate + shift)
    )
    assert second.abs_rel == pytest.approx(first.abs_rel, rel=1e-5)
    assert second.n == first.n


@given(seeds)
def test_pixels_that_do_not_count_change_nothing(seed: int) -> None:
    truth = sample(seed)
    protocol = DepthProtocol((0.6, 8.0), window=Window(0.1, 0.9, 0.2, 0.8, shares=True))
    valid = valid_pixels(truth, protocol)
    estimate = np.random.default_rng(seed + 1).uniform(0, 1, truth.depth.shape)
    spoilt = np.where(valid, estimate, 1e6)
    first, second = (measure(truth, DepthModel("m", lambda _, e=e: e), protocol) for e in (estimate, spoilt))
    assert first.metrics == second.metrics
    assert valid.sum() == first.metrics.n


def test_the_range_is_open_at_both_ends() -> None:
    depth = np.array([[1.0, 1.5, 2.0, 0.0, np.nan, np.inf]], np.float32)
    image = np.zeros((1, 6, 3), np.uint8)
    assert valid_pixels(DepthSample(image, depth), DepthProtocol((1.0, 2.0))).tolist() == [[False, True, *[False] * 4]]
    to_infinity = DepthProtocol((1.0, float("inf")))
    assert valid_pixels(DepthSample(image, depth), to_infinity).tolist() == [[False, True, True, *[False] * 3]]


def test_a_window_in_shares_is_rounded_down() -> None:
    inside = Window(0.25, 0.99, 0.0, 0.5, shares=True).mask(7, 5)
    assert inside.any(axis=1).tolist() == [False, True, True, True, True, True, False]  # 1.75 to 6.93
    assert inside.any(axis=0).tolist() == [True, True, False, False, False]  # 0 to 2.5


@pytest.mark.parametrize(("height", "width", "side"), [(40, 60, 31), (60, 40, 7), (100, 33, 64)])
def test_the_sparse_grid_is_what_nearest_scaling_keeps(height: int, width: int, side: int) -> None:
    torch = pytest.importorskip("torch", reason="compared with torch's nearest")
    factor = side / max(height, width)
    numbers = torch.arange(height * width, dtype=torch.float64).reshape(1, 1, height, width)
    kept = torch.nn.functional.interpolate(numbers, scale_factor=factor, mode="nearest").numpy().astype(int).ravel()
    assert np.flatnonzero(sparse_grid((height, width), side)).tolist() == sorted(set(kept))


def test_small_images_are_fitted_on_all_pixels() -> None:
    assert sparse_grid((30, 40), 40).all()
    assert sparse_grid((30, 40), None).all()


def test_the_cut_keeps_the_lowest_rows_and_the_middle_columns() -> None:
    depth = np.arange(5 * 8, dtype=np.float32).reshape(5, 8)
    image = np.repeat(depth[..., None].astype(np.uint8), 3, 2)
    found = cut_to(DepthSample(image, depth, depth > 20), (2, 5))
    assert found.depth.tolist() == depth[3:, 1:6].tolist()
    assert found.image[..., 0].tolist() == depth[3:, 1:6].tolist()
    assert found.mask.shape == (2, 5)
    with pytest.raises(DatasetError, match="smaller than the 9x2"):
        cut_to(DepthSample(image, depth), (2, 9))


def test_sides() -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    assert scaled_to_side(image, 20).shape == (15, 20, 3)
    assert scaled_to_side(image, 80).shape == (60, 80, 3)
    assert scaled_to_side(image, None) is image
    assert at_size(np.zeros((3, 4, 3), np.float32), (6, 8)).shape == (6, 8, 3)


def test_disparity_is_fitted_as_disparity() -> None:
    truth = np.array([[1.0, 2.0, 4.0, 8.0]])
    disparity = 3 / truth + 0.5
    everywhere = np.ones_like(truth, bool)
    assert align(disparity, truth, everywhere, (0.1, 100), "disparity") == pytest.approx(truth)
    assert np.abs(align(disparity, truth, everywhere, (0.1, 100)) - truth).max() > 0.5
    # Beyond the fit's horizon the disparity stays at its floor: 1000 m, then the range.
    beyond = np.array([[3.5, 2.0, 1.25, 0.1]])
    assert align(beyond, truth, np.array([[True, True, True, False]]), (0.1, 80), "disparity")[0, 3] == 80


def test_refusals() -> None:
    for name in ((5.0, 1.0), (0.0, 1.0)):
        with pytest.raises(ConfigurationError, match="must satisfy"):
            DepthProtocol(name)
    with pytest.raises(ConfigurationError, match="fit_side=0"):
        DepthProtocol((1, 2), fit_side=0)
    with pytest.raises(ConfigurationError, match="space 'inverse' is unknown; allowed: depth, disparity"):
        DepthModel("m", lambda rgb: rgb, "inverse")
    truth = sample(0)
    with pytest.raises(DatasetError, match="differ in size"):
        valid_pixels(DepthSample(truth.image, truth.depth, truth.mask[1:]), DepthProtocol((1, 2)))
    with pytest.raises(InputError, match="not finite"):
        model = DepthModel("m", lambda _: np.full(truth.depth.shape, np.nan))
        measure(truth, model, DepthProtocol((0.1, 10)))


def test_a_picture_that_is_read_the_way_opencv_does() -> None:
    """Predictions of another size are scaled bilinearly."""
    estimate = np.random.default_rng(0).random((4, 5)).astype(np.float32)
    assert np.array_equal(at_size(estimate, (8, 10)), cv2.resize(estimate, (10, 8), interpolation=cv2.INTER_LINEAR))
