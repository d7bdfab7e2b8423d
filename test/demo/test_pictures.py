from pathlib import Path

import numpy as np
import pytest

from merge_ros.demo.pictures import (
    NO_DATA,
    OUR_COLOUR,
    TRUE_COLOUR,
    View,
    draw_pictures,
    error_colours,
    nice_limit,
    thinned_camera,
    top_view,
)
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import ground_depth

image = pytest.importorskip("PIL.Image")
VIEW = View(Camera.from_fov(320, 240, 1.2), height=0.5, pitch=0.1)
FLOOR = np.minimum(ground_depth(VIEW.camera, VIEW.height, VIEW.pitch, 0.0), np.float32(3.0))  # and a wall at 3 m


def save_frames(path: Path, count: int) -> None:
    depth = np.repeat(FLOOR[None] * np.float32(1.2), count, 0)
    depth[:, :10] = np.nan
    arrays = {
        "time": np.arange(count) * 0.25,
        "rgb": np.full((count, 240, 320, 3), 200, np.uint8),
        "truth": np.repeat(FLOOR[None], count, 0),
        "depth": depth,
        "abs_rel": np.full(count, 0.2),
        "latency_ms": np.full(count, 50.0),
        "step": np.ones(count, int),
    }
    np.savez(path, **arrays)


@pytest.mark.parametrize("count", [1, 2, 70])
def test_sheet_and_animation_of_runs_of_any_length(tmp_path: Path, count: int) -> None:
    save_frames(tmp_path / "frames.npz", count)
    draw_pictures(tmp_path / "frames.npz", tmp_path, VIEW)
    with image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 4 * 320
        assert sheet.height > min(count, 4) * 240
        pixels = np.asarray(sheet.convert("RGB"))
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 500
    with image.open(tmp_path / "drive.gif") as animation:
        frames = getattr(animation, "n_frames", 1)
        # Equal neighbours are merged into one by the format; the length of the run stays.
        assert 1 <= frames <= 60
        total = 0
        for index in range(frames):
            animation.seek(index)
            total += animation.info.get("duration", 0)
        if count > 1:
            assert total == pytest.approx(250 * count, rel=0.05)


def test_errors_are_white_where_right_dark_where_wrong_grey_where_unknown() -> None:
    truth = np.array([[2.0, 2.0, 2.0, np.nan]], np.float32)
    depth = np.array([[2.0, 5.0, np.nan, 2.0]], np.float32)
    right, wrong, unknown, no_truth = error_colours(depth, truth)[0].tolist()
    assert right == [255, 255, 255]
    assert max(wrong) < 70
    assert tuple(unknown) == tuple(no_truth) == NO_DATA


def test_the_colour_range_ends_at_a_full_metre_and_ignores_the_unknown() -> None:
    assert nice_limit(np.array([[0.5, 2.2, np.nan, 3.3]])) == 4.0
    assert nice_limit(np.full((2, 2), 0.4)) == 1.0


def test_thinned_camera_sees_the_kept_pixels() -> None:
    camera = Camera.from_fov(64, 48, 1.0)
    thin = thinned_camera(camera, 16, 12, 4)
    np.testing.assert_allclose(thin.rays(), camera.rays()[2::4, 2::4], atol=1e-6)


def test_from_above_the_floor_is_free_and_a_wall_is_a_line_at_its_distance() -> None:
    side, reach = 200, 5.0
    nothing = np.full_like(FLOOR, np.nan)
    picture = top_view(FLOOR, nothing, VIEW, reach, side)
    ours = (picture == OUR_COLOUR).all(-1)
    rows = np.flatnonzero(ours.any(1))
    # The wall stands across the optical axis, which is pitched by 0.1 rad: its distance over the floor varies a little.
    assert (np.abs((side - 1 - rows) * reach / side - 3.0) < 0.25).all()
    assert not (top_view(nothing, FLOOR, VIEW, reach, side) == OUR_COLOUR).all(-1).any()
    assert (top_view(nothing, FLOOR, VIEW, reach, side) == TRUE_COLOUR).all(-1).any()
