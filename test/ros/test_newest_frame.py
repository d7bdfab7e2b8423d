"""The worker: newest wins, one in flight, errors do not end it, stop waits."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from merge_ros.ros.newest_frame import NewestFrameWorker

LIMIT = 30.0  # seconds; reached only when something is broken


class Gate:
    """Work that waits until the test lets it go on, and tells what happened."""

    def __init__(self) -> None:
        self.began: list[int] = []
        self.done: list[int] = []
        self.replaced: list[int] = []
        self.errors: list[Exception] = []
        self.busy = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.worker = NewestFrameWorker[int](self.work, self.replaced.append, self.errors.append)

    def work(self, item: int) -> None:
        self.began.append(item)
        self.busy.release()
        assert self.go.acquire(timeout=LIMIT)
        if item < 0:
            raise ValueError(f"item {item}")
        self.done.append(item)


@pytest.fixture
def gate() -> Gate:
    gate = Gate()
    gate.worker.start()
    yield gate
    for _ in range(10):
        gate.go.release()
    gate.worker.stop()


def test_only_the_newest_waits_and_the_others_are_told(gate: Gate) -> None:
    gate.worker.offer(1)
    assert gate.busy.acquire(timeout=LIMIT)
    for item in (2, 3, 4):
        gate.worker.offer(item)
    assert gate.replaced == [2, 3]
    gate.go.release()
    assert gate.busy.acquire(timeout=LIMIT)
    gate.go.release()
    gate.worker.stop()
    assert gate.began == gate.done == [1, 4]


def test_stop_lets_the_item_in_flight_finish_and_drops_the_waiting_one(gate: Gate) -> None:
    gate.worker.offer(1)
    assert gate.busy.acquire(timeout=LIMIT)
    gate.worker.offer(2)
    stopping = threading.Thread(target=gate.worker.stop)
    stopping.start()
    stopping.join(0.1)
    assert stopping.is_alive()
    gate.go.release()
    stopping.join(LIMIT)
    assert gate.done == [1] and gate.replaced == [2]


def test_an_error_goes_to_its_handler_and_the_worker_goes_on(gate: Gate) -> None:
    for item in (-1, 5):
        gate.worker.offer(item)
        assert gate.busy.acquire(timeout=LIMIT)
        gate.go.release()
    gate.worker.stop()
    assert [str(error) for error in gate.errors] == ["item -1"]
    assert gate.done == [5]


def test_a_stopped_worker_ignores_items_and_starts_again(gate: Gate) -> None:
    gate.worker.stop()
    gate.worker.stop()
    gate.worker.offer(1)
    assert not gate.began and not gate.replaced
    gate.worker.start()
    gate.worker.start()
    gate.worker.offer(2)
    assert gate.busy.acquire(timeout=LIMIT)
    gate.go.release()
    gate.worker.stop()
    assert gate.done == [2]
