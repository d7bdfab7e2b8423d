"""The scale lock: states, what is carried from frame to frame, and what makes it doubt."""

import math
from typing import Any

import numpy as np
import pytest

from merge_ros.config import ScaleSettings
from merge_ros.errors import ConfigurationError, InputError, ScaleError
from merge_ros.geometry.alignment import Affine
from merge_ros.scale import FixedScale, NoScale, ScaleEstimate, ScaleLock, ScaleState, make_scale
from merge_ros.scale.near_far import Reading

GROUND = ScaleSettings(source="ground_plane", camera_height=0.6, camera_pitch=0.25)


class Words:
    """A reference that says what the test tells it to: metres of relative depth 0 and 1, or why not."""

    name = "words"

    def __init__(self) -> None:
        self.says: tuple[float, float] | str = "nothing yet"
        self.sigma = 0.01

    def read(self, relative: Any, camera: Any, frame: str, stamp: float) -> Reading:
        if isinstance(self.says, str):
            raise ScaleError(self.says)
        return Reading(np.eye(2), np.array(self.says), self.sigma**2 * np.eye(2), np.zeros((2, 2)))


class Run:
    """Frames one after the other, at 10 Hz."""

    def __init__(self, lock: ScaleLock) -> None:
        self.lock, self.stamp = lock, 100.0

    def __call__(self, relative: np.ndarray, camera: Any, step: float = 0.1) -> ScaleEstimate:
        self.stamp += step
        return self.lock.update(relative, camera, "camera", self.stamp)


def error(estimate: ScaleEstimate, relative: np.ndarray, depth: np.ndarray) -> float:
    """Largest relative error of metres where the model is not saturated."""
    inside = (relative > 0.01) & (relative < 0.99)
    return float(np.abs(estimate.affine.apply(relative)[inside] / depth[inside] - 1).max())


def test_it_locks_on_the_floor_in_three_frames_whatever_the_normalisation(room: Any) -> None:
    run = Run(make_scale(GROUND))
    estimates = [run(room.seen(seed), room.camera) for seed in range(8)]
    assert [e.state.name for e in estimates] == ["SEARCHING"] * 2 + ["LOCKED"] * 6
    assert [e.affine is None for e in estimates[:3]] == [True, True, False]
    assert "1 of 3" in estimates[0].reason and estimates[2].reason == ""
    for seed, estimate in enumerate(estimates[2:], 2):
        assert error(estimate, room.seen(seed), room.depth) < 0.01
        assert 0 < estimate.sigma[0] < estimate.sigma[1] < estimate.sigma[2] < 1.0


def test_a_still_scene_flickers_less_than_its_readings(room: Any) -> None:
    run = Run(make_scale(GROUND))
    filtered, alone = [], []
    for seed in range(40):
        relative = room.seen(seed, noise=0.04)
        estimate = run(relative, room.camera)
        if estimate.affine is not None:
            # One pixel on the wall: its own noise is not the lock's, so its true relative depth is asked for.
            place = room.seen(seed)[5, 100]
            filtered.append(estimate.affine.apply(place))
            alone.append(estimate.reading.affine().apply(place))
    assert len(filtered) == 38
    assert np.std(filtered[5:]) < 0.5 * np.std(alone[5:])
    assert abs(np.mean(filtered) / room.wall - 1) < 0.03


def test_a_changed_view_is_followed_at_once(room: Any, make_room: Any) -> None:
    run = Run(make_scale(GROUND))
    for seed in range(10):
        run(room.seen(seed), room.camera)
    other = make_room(wall=2.5, box=0.0)
    estimate = run(other.seen(11), room.camera)
    assert estimate.state == ScaleState.LOCKED
    assert error(estimate, other.seen(11), other.depth) < 0.01


def test_a_hidden_floor_is_held_then_lost_then_found(make_room: Any, seen_by_a_model: Any) -> None:
    """Something near comes before all of the floor; the walls and the box are still seen."""
    room = make_room(wall=2.5, pitch=0.0)
    run = Run(make_scale(ScaleSettings(source="ground_plane", camera_height=0.6, hold_seconds=1.0)))
    for seed in range(5):
        assert run(room.seen(seed), room.camera).state != ScaleState.LOST
    covered = room.depth
    covered[84:] = np.linspace(0.45, 0.5, 160)[None]
    states, errors = [], []
    for seed in range(5, 25):
        relative = seen_by_a_model(covered, seed)
        estimate = run(relative, room.camera)
        states.append(estimate.state.name)
        if estimate.affine is not None:
            errors.append(error(estimate, relative, covered))
            assert "floor" in estimate.reason or "agree" in estimate.reason
    held = states.count("HOLDING")
    assert states == ["HOLDING"] * held + ["LOST"] * (20 - held)
    assert 2 <= held <= 10
    assert max(errors) < 0.03
    after = [run(room.seen(seed), room.camera).state.name for seed in range(30, 34)]
    assert after == ["SEARCHING", "SEARCHING", "LOCKED", "LOCKED"]


def test_half_a_view_that_changes_at_once_is_not_held(room: Any, seen_by_a_model: Any) -> None:
    run = Run(make_scale(GROUND))
    for seed in range(5):
        run(room.seen(seed), room.camera)
    covered = room.depth
    covered[60:] = np.linspace(0.45, 0.5, 160)[None]
    estimate = run(seen_by_a_model(covered, 5), room.camera)
    assert estimate.state == ScaleState.LOST and estimate.affine is None
    assert "the view changed" in estimate.reason


def test_held_metres_grow_uncertain_and_end_before_they_are_worthless(room: Any) -> None:
    reference = Words()
    run = Run(ScaleLock(reference, ScaleSettings(source="range", hold_seconds=60.0)))
    reference.says = (1.0, 5.0)
    relative = as_relative(room)
    for _ in range(3):
        run(relative, room.camera)
    reference.says = "the sensor is silent"
    sigmas = []
    for _ in range(60):
        estimate = run(relative, room.camera)
        if estimate.state != ScaleState.HOLDING:
            break
        sigmas.append(estimate.sigma[1])
        assert estimate.reason == "the sensor is silent"
        assert estimate.unconfirmed == pytest.approx(0.1 * len(sigmas))
    assert np.all(np.diff(sigmas) > 0)
    assert estimate.state == ScaleState.LOST and estimate.affine is None
    assert "max_uncertainty" in estimate.reason and sigmas[-1] / 3 <= 0.25


def as_relative(room: Any) -> np.ndarray:
    """The room seen with 0 at 1 m and 1 at 5 m, always."""
    return np.clip((room.depth - 1) / 4, 0, 1).astype(np.float32)


def locked(room: Any, **settings: Any) -> tuple[Run, Words, np.ndarray]:
    reference = Words()
    reference.says = (1.0, 5.0)
    run = Run(ScaleLock(reference, ScaleSettings(source="range", **settings)))
    relative = as_relative(room)
    for _ in range(3):
        estimate = run(relative, room.camera)
    assert estimate.state == ScaleState.LOCKED and estimate.affine.scale == pytest.approx(4, rel=0.02)
    return run, reference, relative


def test_single_frames_in_which_the_reference_lies_do_not_move_it(room: Any) -> None:
    run, reference, relative = locked(room)
    for index in range(40):
        reference.says = (1.6, 8.0) if index % 3 == 2 else (1.0, 5.0)
        estimate = run(relative, room.camera)
        assert estimate.state == (ScaleState.HOLDING if index % 3 == 2 else ScaleState.LOCKED)
        assert estimate.affine.scale == pytest.approx(4, rel=0.03)


def test_a_reference_that_keeps_contradicting_ends_the_lock_and_is_then_believed(room: Any) -> None:
    run, reference, relative = locked(room)
    reference.says = (1.6, 8.0)
    states = [run(relative, room.camera) for _ in range(16)]
    names = [estimate.state.name for estimate in states]
    assert names[0] == "HOLDING" and "contradicts" in states[0].reason and "instead of 3.00 m" in states[0].reason
    assert names[-1] == "LOCKED" and states[-1].affine.scale == pytest.approx(6.4, rel=0.02)
    # Between the two nothing is said in metres.
    assert all(e.affine is None for e in states if e.state in (ScaleState.SEARCHING, ScaleState.LOST))
    assert "SEARCHING" in names


def test_readings_that_contradict_each_other_never_lock(room: Any) -> None:
    reference, relative = Words(), as_relative(room)
    run = Run(ScaleLock(reference, ScaleSettings(source="range", search_seconds=1.0)))
    names = []
    for index in range(20):
        reference.says = [(1.0, 5.0), (1.6, 8.0)][index % 2]
        names.append(run(relative, room.camera).state.name)
    assert set(names[:9]) == {"SEARCHING"} and "LOCKED" not in names and "LOST" in names


def test_search_ends_in_lost_with_the_references_own_words(room: Any) -> None:
    reference = Words()
    run = Run(ScaleLock(reference, ScaleSettings(source="range", search_seconds=0.5)))
    estimates = [run(as_relative(room), room.camera) for _ in range(10)]
    assert [e.state.name for e in estimates] == ["SEARCHING"] * 6 + ["LOST"] * 4
    assert estimates[-1].reason == "nothing yet" and math.isnan(estimates[-1].unconfirmed)


def test_a_vague_reference_does_not_lock(room: Any) -> None:
    reference = Words()
    reference.says, reference.sigma = (1.0, 5.0), 3.0
    run = Run(ScaleLock(reference, ScaleSettings(source="range")))
    estimates = [run(as_relative(room), room.camera) for _ in range(4)]
    assert estimates[-1].state == ScaleState.SEARCHING and "max_uncertainty" in estimates[-1].reason
    # Averaging helps, in time.
    for _ in range(40):
        estimate = run(as_relative(room), room.camera)
    assert estimate.state == ScaleState.LOCKED


def test_a_slow_reference_locks_and_is_carried_between_its_readings(room: Any) -> None:
    reference = Words()
    run = Run(ScaleLock(reference, ScaleSettings(source="range")))
    states = []
    for index in range(30):
        reference.says = (1.0, 5.0) if index % 5 == 0 else "no reference near in time"
        states.append(run(as_relative(room), room.camera).state.name)
    assert states[10:15] == ["LOCKED", *["HOLDING"] * 4] and states[25:] == ["LOCKED", *["HOLDING"] * 4]


@pytest.mark.parametrize("disturb", ["restart", "clock back", "long silence", "other size"])
def test_what_starts_it_afresh(room: Any, make_room: Any, disturb: str) -> None:
    run, _, relative = locked(room)
    if disturb == "restart":
        run.lock.restart()
        estimate = run(relative, room.camera)
    elif disturb == "other size":
        estimate = run(relative.repeat(2, 0).repeat(2, 1), room.camera.resized(320, 240))
    else:
        estimate = run(relative, room.camera, step={"clock back": -50.0, "long silence": 5.0}[disturb])
    assert estimate.state == ScaleState.SEARCHING and estimate.affine is None


def test_a_constant_picture_loses_what_was_held(room: Any) -> None:
    run, reference, _ = locked(room)
    reference.says = "the sensor is silent"
    estimate = run(np.full((120, 160), 0.5, np.float32), room.camera)
    assert estimate.state == ScaleState.LOST and estimate.affine is None
    assert "the sensor is silent" in estimate.reason and "does not vary" in estimate.reason


def test_none_and_fixed_never_change(room: Any) -> None:
    none, fixed = make_scale(ScaleSettings()), make_scale(ScaleSettings(source="fixed", scale=3.0, shift=0.4))
    assert isinstance(none, NoScale) and isinstance(fixed, FixedScale)
    relative = room.seen()
    assert none.update(relative, room.camera, "camera", 0.0).state == ScaleState.NONE
    assert "relative depth" in none.update(relative, room.camera, "camera", 0.0).reason
    estimate = fixed.update(relative, room.camera, "camera", 0.0)
    assert (estimate.state, estimate.affine) == (ScaleState.LOCKED, Affine(3.0, 0.4))


@pytest.mark.parametrize("settings", [ScaleSettings(), ScaleSettings(source="fixed"), GROUND])
def test_every_source_refuses_a_depth_map_of_another_size(room: Any, settings: ScaleSettings) -> None:
    with pytest.raises(InputError, match="camera needs"):
        make_scale(settings).update(np.zeros((4, 5), np.float32), room.camera, "camera", 0.0)


def test_tf_must_be_there_where_settings_ask_for_it() -> None:
    for settings in (
        ScaleSettings(source="ground_plane", camera_mounting="tf"),
        ScaleSettings(source="range", reference_pose="tf"),
        ScaleSettings(source="ground_plane", camera_mounting="imu", camera_height=1.0, reference_pose="tf"),
    ):
        assert settings.needs_tf
        if settings.camera_mounting != "imu":
            with pytest.raises(ConfigurationError, match="TF"):
                make_scale(settings)
    assert not ScaleSettings(source="depth").needs_tf and not ScaleSettings(reference_pose="tf").needs_tf
