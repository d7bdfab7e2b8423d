"""Laser scans, clouds and beams as references of the scale, against rooms with known depth."""

from typing import Any

import numpy as np
import pytest

from merge_ros.config import ScaleSettings
from merge_ros.errors import ScaleError
from merge_ros.scale import RangeReturns, Returns, ScaleState, make_scale
from merge_ros.scale.returns import project
from merge_ros.scale.transforms import OPTICAL_FROM_BODY, FixedPose, SamePose, matrix, rotation

RANGE = ScaleSettings(source="range")


def points_of(room: Any, rows: slice, columns: slice = slice(None)) -> np.ndarray:
    """[n, 3] in the optical frame: what a perfect sensor would see of these pixels."""
    return (room.camera.rays() * room.depth[..., None])[rows, columns].reshape(-1, 3).astype(np.float64)


def scale_error(room: Any, affine: Any, relative: np.ndarray) -> float:
    inside = (relative > 0.01) & (relative < 0.99)
    return float(np.abs(affine.apply(relative)[inside] / room.depth[inside] - 1).max())


def test_a_scan_through_an_extrinsic_gives_the_scale(room: Any) -> None:
    """A lidar 10 cm above and 5 cm behind the camera, turned by 20 degrees, sees one plane of its own."""
    pose = FixedPose(-0.05, 0.02, 0.1, 0.0, 0.3, 0.35).at("lidar", "camera", 0.0)
    seen = points_of(room, slice(30, 90, 7))
    in_sensor = (seen - pose[:3, 3]) @ pose[:3, :3]
    reference = RangeReturns("range", FixedPose(-0.05, 0.02, 0.1, 0.0, 0.3, 0.35), 0.2)
    reference.add(Returns(in_sensor, "lidar", 10.05))
    relative = room.seen(4)
    reading = reference.read(relative, room.camera, "camera", 10.0)
    assert scale_error(room, reading.affine(), relative) < 0.01
    assert reading.inliers > 0.95


@pytest.mark.parametrize("lie", ["anything", "near", "far"])
def test_thirty_percent_of_lies_cost_less_than_three_percent(room: Any, lie: str) -> None:
    errors = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        points = points_of(room, slice(30, 100, 5))
        wrong = rng.random(len(points)) < 0.3
        factor = {
            "anything": np.exp(rng.uniform(-1.5, 1.5, len(points))),
            "near": rng.uniform(0.2, 0.7, len(points)),
            "far": rng.uniform(1.4, 3.0, len(points)),
        }[lie]
        points[wrong] *= factor[wrong, None]
        reference = RangeReturns("range", SamePose(), 0.2)
        reference.add(Returns(points, "lidar", 0.0))
        relative = room.seen(seed, noise=0.02)
        affine = reference.read(relative, room.camera, "camera", 0.0).affine()
        clean = room.seen(seed)
        errors.append(scale_error(room, affine, clean))
    assert max(errors) < 0.03


def test_what_the_camera_does_not_see_behind_an_obstacle_is_left_out(room: Any) -> None:
    """The sensor looks over the box: returns from the wall behind it fall on the box's pixels."""
    visible = points_of(room, slice(None))
    behind = points_of(room, slice(20, 70), slice(20, 60))
    behind = behind * (room.wall / behind[:, 2:])
    reference = RangeReturns("range", SamePose(), 0.2)
    reference.add(Returns(np.concatenate([behind, visible]), "lidar", 0.0))
    relative = room.seen(1)
    assert scale_error(room, reference.read(relative, room.camera, "camera", 0.0).affine(), relative) < 0.02
    pixels, depths = project(np.array([[0.0, 0.0, 4.0], [0.0, 0.0, 1.5]]), room.camera)
    assert len(pixels) == 1 and depths[0] == 1.5


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.empty((0, 3)), "none of the 0 returns"),
        (np.array([[0.0, 0.0, -1.0]] * 50), "none of the 50 returns"),
        (np.array([[0.0, 0.0, np.nan]] * 50), "none of the 50"),
        (np.random.default_rng(0).normal([0, 0, 3], 0.5, (500, 3)), "agree|visible|varies|explains"),
    ],
)
def test_useless_returns_are_refused_with_the_reason(room: Any, points: np.ndarray, words: str) -> None:
    reference = RangeReturns("range", SamePose(), 0.2)
    reference.add(Returns(points, "lidar", 0.0))
    with pytest.raises(ScaleError, match=words):
        reference.read(room.seen(), room.camera, "camera", 0.0)


def test_a_wall_at_one_distance_cannot_tell_scale_from_shift(make_room: Any) -> None:
    room = make_room(wall=3.0, box=0.0)
    reference = RangeReturns("range", SamePose(), 0.2)
    reference.add(Returns(points_of(room, slice(5, 15)), "lidar", 0.0))
    with pytest.raises(ScaleError, match=r"hardly varies|times its nearest"):
        reference.read(room.seen(), room.camera, "camera", 0.0)


def test_the_message_nearest_in_time_counts_and_an_old_one_does_not(room: Any) -> None:
    reference = RangeReturns("range", SamePose(), 0.2)
    points = points_of(room, slice(30, 100, 5))
    with pytest.raises(ScaleError, match="no reference has come"):
        reference.read(room.seen(), room.camera, "camera", 0.0)
    for stamp, factor in ((1.0, 2.0), (1.5, 1.0), (2.0, 3.0)):
        reference.add(Returns(points * factor, "lidar", stamp))
    relative = room.seen()
    assert scale_error(room, reference.read(relative, room.camera, "camera", 1.45).affine(), relative) < 0.01
    with pytest.raises(ScaleError, match=r"0\.50 s away.*reference_max_age"):
        reference.read(relative, room.camera, "camera", 2.5)


def test_a_single_beam_locks_once_it_has_seen_two_distances(room: Any, make_room: Any, seen_by_a_model: Any) -> None:
    """One ultrasonic sensor knows one depth per frame; the view moves up and down before it."""
    lock = make_scale(ScaleSettings(source="range", max_uncertainty=0.2))
    states, estimate = [], None
    for index in range(80):
        shifted = room.depth
        box = 1.0 if index % 20 < 10 else 2.5
        shifted[40:80, 60:100] = box
        relative = seen_by_a_model(shifted, index)
        stamp = 0.1 * index
        lock.reference.add(Returns(np.array([[box, 0.0, 0.0]]), "sonar", stamp, beam=0.2))
        estimate = lock.update(relative, room.camera, "camera", stamp)
        states.append(estimate.state)
    assert states[:8] == [ScaleState.SEARCHING] * 8  # one distance so far
    assert states[-1] == ScaleState.LOCKED
    inside = (relative > 0.01) & (relative < 0.99)
    assert np.median(np.abs(estimate.affine.apply(relative)[inside] / shifted[inside] - 1)) < 0.1


def test_a_beam_that_leaves_the_view_says_so(room: Any) -> None:
    reference = RangeReturns("range", SamePose(), 0.2)
    reference.add(Returns(np.array([[0.0, 0.0, -2.0]]), "sonar", 0.0, beam=0.2))
    with pytest.raises(ScaleError, match="beam"):
        reference.read(room.seen(), room.camera, "camera", 0.0)


def test_poses_follow_rep_103() -> None:
    pose = FixedPose(1.0, 2.0, 3.0, 0.0, 0.0, np.pi / 2).at("", "", 0.0)
    # The sensor's x axis points to the camera's left: optical -x. Its origin is right where the parameters say.
    np.testing.assert_allclose(pose @ [1, 0, 0, 1], [-2 - 1, -3, 1, 1], atol=1e-12)
    np.testing.assert_allclose(OPTICAL_FROM_BODY @ [1, 0, 0], [0, 0, 1])
    half = np.sqrt(0.5)
    np.testing.assert_allclose(matrix(0, 0, 0, 0, 0, half, half)[:3, :3], rotation(0, 0, np.pi / 2), atol=1e-12)
    np.testing.assert_allclose(matrix(0, 0, 0, half, 0, 0, half)[:3, :3], rotation(np.pi / 2, 0, 0), atol=1e-12)
    np.testing.assert_allclose(matrix(0, 0, 0, 0, half, 0, half)[:3, :3], rotation(0, np.pi / 2, 0), atol=1e-12)
