"""Random rooms: the same by seed, varied, and never broken."""

import math

import numpy as np
import pytest

from merge_ros.errors import ConfigurationError

pytest.importorskip("mujoco", reason="rendering needs the extra 'sim'")

from merge_ros.simulation.rooms import make_room
from merge_ros.simulation.views import ViewRange, is_clear, is_good, room_views

SIZE = (64, 48)


def test_same_seed_gives_the_same_frames() -> None:
    first, again = room_views(5, 2, SIZE), room_views(5, 2, SIZE)
    assert len(first) == 2
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.rgb, b.rgb)
        assert np.array_equal(a.depth, b.depth)
        assert np.array_equal(a.pose, b.pose)
        assert (a.caption, a.camera) == (b.caption, b.camera)
    assert not np.array_equal(first[0].rgb, room_views(6, 1, SIZE)[0].rgb)


def test_frames_are_never_broken() -> None:
    frames = [frame for seed in range(100, 112) for frame in room_views(seed, 2, SIZE)]
    assert len(frames) >= 20
    captions = set()
    for frame in frames:
        assert frame.rgb.shape == (48, 64, 3)
        assert frame.rgb.dtype == np.uint8
        assert frame.depth.dtype == np.float32
        assert np.isfinite(frame.depth).all()
        near, far = np.quantile(frame.depth, (0.02, 0.98))
        assert far / near >= 1.35
        assert frame.depth.min() >= 0.15
        assert frame.depth.max() < 25, "a hole in the walls"
        assert 30 < frame.rgb.mean() < 240
        assert 0.2 <= frame.camera_height <= 1.2
        assert -5 <= math.degrees(frame.camera_pitch) <= 25
        assert 55 <= math.degrees(frame.camera.horizontal_fov) <= 95
        assert frame.pose[2, 3] == frame.camera_height
        captions.add(frame.caption)
    assert len(captions) >= 15


def test_camera_stands_clear_of_furniture() -> None:
    for seed in (1, 2, 3):
        scene = make_room(np.random.default_rng(seed))
        for frame in room_views(seed, 3, SIZE):
            assert is_clear(scene, frame.pose[0, 3], frame.pose[1, 3], 0.25)


def test_caption_names_what_is_in_the_picture() -> None:
    for seed in (11, 12, 13):
        scene = make_room(np.random.default_rng(seed))
        things = {f"{thing.colour} {thing.name}" for thing in scene.things}
        for frame in room_views(seed, 2, SIZE):
            start, _, rest = frame.caption.partition(" floor")
            assert scene.caption_start == start + " floor"
            named = rest.replace(" and ", ", ").strip(", ")
            for words in filter(None, named.split(", ")):
                assert words.removeprefix("an ").removeprefix("a ") in things


def test_flat_and_black_frames_are_refused() -> None:
    checker = (np.indices((48, 64)).sum(0) % 16 < 8)[..., None].repeat(3, -1).astype(np.uint8) * 200 + 20
    slope = np.linspace(1, 3, 48 * 64, dtype=np.float32).reshape(48, 64)
    assert is_good(checker, slope)
    assert not is_good(checker, np.full_like(slope, 2))
    assert not is_good(checker, slope * 0.1)
    assert not is_good(np.zeros_like(checker), slope)
    assert not is_good(np.full_like(checker, 128), slope)


def test_impossible_view_ranges_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="height"):
        ViewRange(height=(1.0, 0.5))
    with pytest.raises(ConfigurationError, match="below 180"):
        ViewRange(fov=(60, 180))
