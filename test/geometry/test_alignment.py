import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from merge_ros.errors import InputError, ScaleError
from merge_ros.geometry.alignment import Affine, fit_affine, fit_affine_robust

relatives = arrays(np.float64, st.integers(2, 50), elements=st.floats(0, 1))
scales, shifts = st.floats(0.1, 50), st.floats(-10, 10)


@given(relatives, scales, shifts)
def test_recovers_an_exact_affine(relative: np.ndarray, scale: float, shift: float) -> None:
    assume(np.ptp(relative) > 1e-3)
    fit = fit_affine(relative, scale * relative + shift)
    assert fit.scale == pytest.approx(scale, rel=1e-6)
    assert fit.shift == pytest.approx(shift, abs=1e-6)


@given(relatives, st.floats(0.1, 10), st.floats(-5, 5), st.integers(0, 2**32 - 1))
def test_the_aligned_result_does_not_depend_on_an_affine_change(
    relative: np.ndarray, a: float, b: float, seed: int
) -> None:
    assume(np.ptp(relative) > 1e-3)
    target = np.random.default_rng(seed).uniform(0.5, 9, relative.shape)
    first, second = fit_affine(relative, target), fit_affine(a * relative + b, target)
    np.testing.assert_allclose(
        first.scale * relative + first.shift, second.scale * (a * relative + b) + second.shift, atol=1e-6
    )


@given(st.integers(0, 2**32 - 1))
def test_agrees_with_numpys_weighted_least_squares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, w = rng.uniform(0, 1, (5, 8)), rng.uniform(0.5, 9, (5, 8)), rng.uniform(0.1, 3, (5, 8))
    slope, offset = np.polyfit(x.ravel(), y.ravel(), 1, w=np.sqrt(w.ravel()))
    fit = fit_affine(x, y, w)
    assert fit.scale == pytest.approx(slope, rel=1e-7)
    assert fit.shift == pytest.approx(offset, rel=1e-7)


def test_samples_that_are_not_finite_or_weigh_nothing_do_not_count() -> None:
    x = np.array([0.0, 0.5, 1.0, np.nan, 0.3, 0.4])
    y = np.array([1.0, 2.0, 3.0, 7.0, np.inf, 99.0])
    fit = fit_affine(x, y, [1, 1, 1, 1, 1, 0])
    assert (fit.scale, fit.shift) == (pytest.approx(2), pytest.approx(1))


def test_apply_keeps_shape_and_float32() -> None:
    metres = Affine(2.0, 0.5).apply(np.array([[0.0, 1.0]], np.float32))
    assert metres.dtype == np.float32
    np.testing.assert_array_equal(metres, [[0.5, 2.5]])


@pytest.mark.parametrize("fit", [fit_affine, fit_affine_robust])
def test_refuses_what_cannot_be_fitted(fit) -> None:
    with pytest.raises(InputError, match="same shape"):
        fit(np.zeros(3), np.zeros(4))
    with pytest.raises(InputError, match="weights must be"):
        fit(np.arange(9.0), np.arange(9.0), np.full(9, -1.0))
    with pytest.raises(ScaleError, match="samples"):
        fit(np.array([1.0]), np.array([1.0]))
    with pytest.raises(ScaleError):
        fit(np.full(20, 0.5), np.linspace(1, 5, 20))
    with pytest.raises(ScaleError, match="samples"):
        fit(np.full(20, np.nan), np.linspace(1, 5, 20))


@given(st.integers(0, 2**32 - 1), st.floats(1, 50), st.floats(0.2, 3), st.floats(0, 0.5), st.booleans())
def test_robust_fit_survives_wrong_samples(
    seed: int, scale: float, shift: float, wrong: float, one_sided: bool
) -> None:
    rng = np.random.default_rng(seed)
    relative = rng.uniform(0, 1, 800)
    target = scale * relative + shift
    outlier = rng.random(800) < wrong
    # Seen nearer than it is, as clutter in front of a reference, or anything at all.
    factor = rng.uniform(0.2, 0.7, 800) if one_sided else np.exp(rng.uniform(-1.5, 1.5, 800))
    seen = np.where(outlier, (target * factor - shift) / scale, relative)
    fit = fit_affine_robust(seen, target, overshoot_penalty=1.0 if one_sided else 0.0)
    assert fit.affine.scale == pytest.approx(scale, rel=0.01)
    assert fit.affine.shift == pytest.approx(shift, rel=0.02, abs=0.005 * scale)
    assert fit.inliers[~outlier].all()
    assert fit.residual < 0.06


def test_robust_fit_repeats_itself() -> None:
    rng = np.random.default_rng(3)
    relative, target = rng.uniform(0, 1, 500), rng.uniform(1, 5, 500)
    first, second = (fit_affine_robust(relative, target, tolerance=0.3) for _ in range(2))
    assert first.affine == second.affine
    np.testing.assert_array_equal(first.inliers, second.inliers)


def test_noise_in_relative_depth_does_not_shrink_the_scale() -> None:
    rng = np.random.default_rng(0)
    target = rng.uniform(1, 4, 5000)
    relative = (target - 1) / 3 * (1 + 0.03 * rng.standard_normal(5000))
    assert fit_affine_robust(relative, target, tolerance=0.2).affine.scale == pytest.approx(3, rel=0.02)


def test_the_overshoot_penalty_decides_between_two_planes() -> None:
    """A table of two thirds of the area at half the height, over a floor: the larger plane must not win."""
    floor = np.linspace(1, 4, 900)
    true_depth = np.where(np.arange(900) % 3 > 0, floor / 2, floor)
    relative = (true_depth - 0.5) / 3.5
    free = fit_affine_robust(relative, floor)
    bounded = fit_affine_robust(relative, floor, overshoot_penalty=2.0)
    assert free.affine.scale == pytest.approx(7.0, rel=0.01)
    assert free.overshoot_fraction > 0.3
    assert bounded.affine.scale == pytest.approx(3.5, rel=0.01)
    assert bounded.overshoot_fraction == 0


def test_robust_fit_refuses_a_falling_relation_and_bad_settings() -> None:
    target = np.linspace(1, 5, 100)
    with pytest.raises(ScaleError, match="falls"):
        fit_affine_robust(1 - target / 5, target)
    with pytest.raises(ScaleError, match="hardly varies"):
        fit_affine_robust(np.linspace(0, 1, 100), np.full(100, 2.0))
    for bad in ({"tolerance": 0.0}, {"tolerance": math.nan}, {"trials": 0}, {"overshoot_penalty": -1.0}):
        with pytest.raises(InputError, match="must"):
            fit_affine_robust(target, target, **bad)
