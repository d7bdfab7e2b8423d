"""The watch over inference: what hangs is left behind, what answers goes on, and nothing waits for ever."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from merge_ros.errors import BackendError, CheckpointError, InferenceTimeout, InputError
from merge_ros.ros import watchdog
from merge_ros.ros.watchdog import WatchedEstimator, hung_inferences

LIMIT = 0.2  # seconds
PICTURE, BAD = np.zeros((3, 4, 3), np.uint8), np.ones((3, 4, 3), np.uint8)


class Model:
    """Hangs for as long as the test wants, raises on a picture of ones, and knows the threads that call it."""

    description = "a model"

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.threads: set[int] = set()
        self.closed = threading.Event()

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        self.threads.add(threading.get_ident())
        assert self.go.wait(60)
        if rgb.any():
            raise RuntimeError("ones")
        return np.zeros(rgb.shape[:2], np.float32)

    def close(self) -> None:
        self.closed.set()


class Loader:
    """Loads models, and remembers them."""

    def __init__(self) -> None:
        self.models: list[Model] = []
        self.hanging = self.broken = False

    def __call__(self) -> Model:
        if self.broken:
            raise CheckpointError("the disk is gone")
        self.models.append(Model())
        if self.hanging:
            self.models[-1].go.clear()
        return self.models[-1]


@pytest.fixture
def loader() -> Loader:
    loader = Loader()
    yield loader
    for model in loader.models:
        model.go.set()
        assert model.closed.wait(60), "a model was never let go of"
    deadline = time.monotonic() + 60
    while watchdog.engine_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not watchdog.engine_threads()


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def estimator(loader: Loader, warnings: list[str]) -> WatchedEstimator:
    """One that has seen its first image."""
    estimator = WatchedEstimator(loader, LIMIT, warnings.append)
    estimator(PICTURE)
    yield estimator
    estimator.close()


def test_one_thread_calls_the_model_whoever_asks(estimator: WatchedEstimator, loader: Loader) -> None:
    for _ in range(3):
        asking = threading.Thread(target=estimator, args=(PICTURE,))
        asking.start()
        asking.join()
    assert estimator.description == "a model"
    (thread,) = loader.models[0].threads
    assert thread != threading.get_ident()


def test_what_the_model_raises_comes_through_and_it_goes_on(estimator: WatchedEstimator, loader: Loader) -> None:
    with pytest.raises(RuntimeError, match="ones"):
        estimator(BAD)
    assert estimator(PICTURE).shape == (3, 4)
    assert len(loader.models) == 1 and not estimator.given_up


def test_a_hung_call_raises_in_time_and_a_new_model_takes_over(
    estimator: WatchedEstimator, loader: Loader, warnings: list[str]
) -> None:
    first = loader.models[0]
    first.go.clear()
    begin = time.monotonic()
    with pytest.raises(InferenceTimeout, match=r"the limit is 0\.2 s: inference_timeout"):
        estimator(PICTURE)
    assert time.monotonic() - begin >= LIMIT
    assert hung_inferences() == 1
    assert estimator(PICTURE).shape == (3, 4)
    assert len(loader.models) == 2 and len(warnings) == 1 and not estimator.given_up
    assert not first.closed.is_set()  # its call is still under way

    first.go.set()  # comes back late: nobody hears of it, and it lets go of itself
    assert first.closed.wait(60)
    assert hung_inferences() == 0


def test_a_call_that_came_back_late_costs_its_frame_only(estimator: WatchedEstimator, loader: Loader) -> None:
    loader.models[0].go.clear()
    with pytest.raises(InferenceTimeout):
        estimator(PICTURE)
    loader.models[0].go.set()
    while hung_inferences():
        time.sleep(0.01)
    assert estimator(PICTURE).shape == (3, 4)
    assert len(loader.models) == 1


def test_a_model_that_hangs_twice_is_given_up(estimator: WatchedEstimator, loader: Loader) -> None:
    loader.models[0].go.clear()
    loader.hanging = True
    with pytest.raises(InferenceTimeout):
        estimator(PICTURE)
    assert not estimator.given_up
    with pytest.raises(InferenceTimeout):
        estimator(PICTURE)
    assert "given up" in estimator.given_up and "inference_timeout" in estimator.given_up
    with pytest.raises(BackendError, match="given up"):
        estimator(PICTURE)
    assert len(loader.models) == 2 and hung_inferences() == 2


def test_hanging_once_in_a_while_is_not_hanging_twice(estimator: WatchedEstimator, loader: Loader) -> None:
    for _ in range(3):
        loader.models[-1].go.clear()
        with pytest.raises(InferenceTimeout):
            estimator(PICTURE)
        estimator(PICTURE)
    assert not estimator.given_up and len(loader.models) == 4


def test_a_new_model_that_cannot_be_loaded_is_given_up_with_the_reason(
    estimator: WatchedEstimator, loader: Loader
) -> None:
    loader.models[0].go.clear()
    with pytest.raises(InferenceTimeout):
        estimator(PICTURE)
    loader.broken = True
    with pytest.raises(BackendError, match="the disk is gone"):
        estimator(PICTURE)
    assert "CheckpointError: the disk is gone" in estimator.given_up


def test_a_first_load_that_fails_raises_what_it_raised(loader: Loader) -> None:
    loader.broken = True
    with pytest.raises(CheckpointError, match="the disk is gone"):
        WatchedEstimator(loader, LIMIT, print)


def test_the_first_image_of_a_size_may_take_longer(
    estimator: WatchedEstimator, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loader.models[0]
    model.go.clear()
    threading.Timer(3 * LIMIT, model.go.set).start()
    assert estimator(np.zeros((5, 6, 3), np.uint8)).shape == (5, 6)

    monkeypatch.setattr(watchdog, "PREPARATION", 2 * LIMIT)
    model.go.clear()
    begin = time.monotonic()
    with pytest.raises(InferenceTimeout):
        estimator(np.zeros((7, 8, 3), np.uint8))
    assert time.monotonic() - begin >= 2 * LIMIT


def test_a_limit_of_zero_waits_until_the_process_is_to_end(estimator: WatchedEstimator, loader: Loader) -> None:
    estimator.limit = 0.0
    loader.models[0].go.clear()
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            estimator(PICTURE)
        except InferenceTimeout as error:
            raised.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(3 * LIMIT)
    assert asking.is_alive()
    estimator.hurry(0.0)
    asking.join(60)
    assert not asking.is_alive() and raised


def test_a_closed_estimator_says_so(estimator: WatchedEstimator, loader: Loader) -> None:
    estimator.close()
    estimator.close()
    assert loader.models[0].closed.wait(60)
    with pytest.raises(InputError, match="closed"):
        estimator(PICTURE)
