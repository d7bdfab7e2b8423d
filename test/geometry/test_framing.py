"""Scaling and padding to the patch grid."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from merge_ros.estimator import frame_image, unframe_depth
from merge_ros.geometry.framing import plan_framing


def test_the_main_size_needs_no_padding() -> None:
    framing = plan_framing(640, 480, 256 * 192, 16)
    assert (framing.padded_width, framing.padded_height) == (256, 192)
    assert (framing.width, framing.height) == (256, 192)


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([8, 16, 32]))
def test_the_grid_fits_and_the_aspect_is_kept(width: int, height: int, grid: int) -> None:
    framing = plan_framing(width, height, 256 * 192, grid)
    assert framing.padded_width % grid == 0
    assert framing.padded_height % grid == 0
    assert 0 <= framing.padded_width - framing.width < grid
    assert 0 <= framing.padded_height - framing.height < grid
    # the scaled sides are the exact ones, rounded to whole pixels (at least one)
    factor = (256 * 192 / (width * height)) ** 0.5
    assert abs(framing.width - max(1, width * factor)) <= 0.5 + 1e-6
    assert abs(framing.height - max(1, height * factor)) <= 0.5 + 1e-6


def test_a_ramp_comes_back_where_it_was() -> None:
    """Geometry survives: what was at column c is at column c again."""
    ramp = np.tile(np.arange(131, dtype=np.uint8)[None, :, None], (97, 1, 3))
    framing = plan_framing(131, 97, 256 * 192, 16)
    framed = frame_image(ramp, framing)
    back = unframe_depth(framed[..., 0].astype(np.float32), framing, 131, 97)
    assert np.abs(back - ramp[..., 0]).max() <= 1.5
