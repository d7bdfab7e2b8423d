import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from merge_ros.errors import InputError
from merge_ros.geometry.depth import UNKNOWN_COLOUR, clip_range, colourise

depths = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2), elements=st.floats(0, 100, width=32) | st.just(np.nan)
)


@given(depths, st.floats(0.1, 5), st.floats(6, 50))
def test_clipped_depth_is_unknown_valid_or_too_far(depth: np.ndarray, near: float, far: float) -> None:
    given_depth = depth.copy()
    clipped = clip_range(depth, near, far)
    np.testing.assert_array_equal(depth, given_depth)
    assert clipped.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(clipped), np.isnan(depth) | (depth < np.float32(near)))
    np.testing.assert_array_equal(np.isposinf(clipped), depth > np.float32(far))
    inside = np.isfinite(clipped)
    np.testing.assert_array_equal(clipped[inside], depth[inside])


def test_zero_and_negative_depth_become_unknown() -> None:
    assert np.isnan(clip_range(np.array([0.0, -1.0, -np.inf], np.float32), 0.05, 10)).all()


def test_colours_go_from_red_near_to_blue_far_and_black_unknown() -> None:
    depth = np.array([[1.0, 3.0, 5.0, np.nan, np.inf, 0.2]], np.float32)
    red, green, blue, unknown, sky, closer = colourise(depth, 1.0, 5.0)[0].astype(int)
    assert red[0] == max(red)
    assert green[1] == max(green)
    assert blue[2] == max(blue)
    assert tuple(unknown) == UNKNOWN_COLOUR
    np.testing.assert_array_equal(sky, blue)
    np.testing.assert_array_equal(closer, red)


def test_colours_are_those_of_turbo() -> None:
    ramp = np.linspace(1, 0, 256)[:, None]
    turbo = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)[..., ::-1]
    difference = colourise(ramp, 0.0, 1.0).astype(int) - turbo.astype(int)
    assert np.abs(difference).max() <= 8


def test_refuses_an_empty_range() -> None:
    with pytest.raises(InputError, match="near"):
        clip_range(np.ones((2, 2), np.float32), 2.0, 2.0)
    with pytest.raises(InputError, match="near"):
        colourise(np.ones((2, 2), np.float32), 2.0, 1.0)
