"""The simulated clock waits for depth and commands, and not for ever."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from merge_ros.demo import lock_step
from merge_ros.demo.lock_step import PATIENCE_WITH_COMMANDS, PATIENCE_WITH_DEPTH, LockStep


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Real time, in the test's hand."""
    now = [0.0]
    monkeypatch.setattr(lock_step.time, "monotonic", lambda: now[0])
    yield now


def test_without_a_depth_node_the_clock_goes_on(real: list[float]) -> None:
    lock = LockStep(0.3, 0.0)
    for stamp in range(5):
        lock.image_sent(stamp, 0.2 * stamp)
    assert lock.may_go_on(100.0)


def test_the_clock_waits_for_the_word_on_an_image(real: list[float]) -> None:
    lock = LockStep(0.3, 0.0)
    lock.depth_answered(0)
    lock.image_sent(1, 10.0)
    assert lock.may_go_on(10.28)
    assert not lock.may_go_on(10.3)
    lock.image_sent(2, 10.3)
    lock.depth_answered(1)
    assert lock.may_go_on(10.58)
    assert not lock.may_go_on(10.62), "for the second one too"


def test_a_depth_node_that_falls_silent_is_given_up(real: list[float]) -> None:
    lock = LockStep(0.3, 0.0)
    lock.depth_answered(0)
    lock.image_sent(1, 10.0)
    assert not lock.may_go_on(11.0)
    real[0] = PATIENCE_WITH_DEPTH + 1
    assert lock.may_go_on(11.0) and lock.given_up == 1
    lock.image_sent(2, 11.0)
    assert lock.may_go_on(20.0), "until it speaks again"
    lock.depth_answered(2)
    lock.image_sent(3, 20.0)
    assert not lock.may_go_on(21.0)


def test_while_the_robot_is_driven_the_clock_waits_for_the_next_command(real: list[float]) -> None:
    lock = LockStep(0.0, 0.1)
    assert lock.may_go_on(5.0), "nobody drives"
    for now in itertools.islice(itertools.count(5.0, 0.05), 4):
        lock.commanded(True, now)
        assert lock.may_go_on(now + 0.08)
    assert not lock.may_go_on(5.3)
    lock.commanded(False, 5.3)
    assert lock.may_go_on(9.0), "it was stopped"
    lock.commanded(True, 9.0)
    assert not lock.may_go_on(9.2)
    real[0] += PATIENCE_WITH_COMMANDS + 0.1
    assert lock.may_go_on(9.2) and lock.given_up == 1
    assert lock.may_go_on(9.4), "until the next command"
