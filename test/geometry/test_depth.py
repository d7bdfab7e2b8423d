import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from merge_ros.errors import InputError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.depth import UNKNOWN_COLOUR, clip_range, colourise, resampled, to_millimetres

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


def test_millimetres_round_and_have_zero_for_all_that_is_not_known() -> None:
    depth = np.array([[1.2344, 0.0004, np.nan, np.inf, 65.535, 65.54, 0.0, -1.0]], np.float32)
    millimetres = to_millimetres(depth)
    assert millimetres.dtype == np.uint16
    np.testing.assert_array_equal(millimetres, [[1234, 0, 0, 0, 65535, 0, 0, 0]])


@pytest.mark.parametrize(("width", "height"), [(32, 24), (20, 17), (128, 96), (64, 12)])
def test_a_resampled_pixel_is_the_one_on_its_ray(width: int, height: int) -> None:
    """Each pixel of the new size holds a pixel of the old one, whose ray differs by half an old pixel at most."""
    old = Camera(64, 48, 60.0, 61.0, 31.0, 22.0)
    new = old.resized(width, height)
    numbers = np.arange(64 * 48).reshape(48, 64)
    taken = resampled(numbers, width, height)
    assert taken.shape == (height, width)
    off = np.abs(old.rays().reshape(-1, 3)[taken] - new.rays()).max(axis=(0, 1))
    edge = 1 if max(width / 64, height / 48) > 1 else 0.5  # past the last pixel's centre there is none
    assert off[0] <= edge / 60 + 1e-6 and off[1] <= edge / 61 + 1e-6


def test_a_size_without_pixels_is_refused() -> None:
    with pytest.raises(InputError, match="0x5"):
        resampled(np.zeros((4, 4)), 0, 5)
