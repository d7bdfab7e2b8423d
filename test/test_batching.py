"""Several cameras on one model: what waits together goes together, each gets its own depth, and failures reach all."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from merge_ros.batching import SharedModel
from merge_ros.config import EstimatorSettings
from merge_ros.errors import CheckpointError, ConfigurationError, InputError
from merge_ros.estimator import DepthEstimator

SETTINGS = EstimatorSettings()
LIMIT = 60.0  # seconds; reached only when something is broken


class Recorder:
    """An estimator that answers with the mean of each image, and works only while `gate` is open."""

    description = "recorder"

    def __init__(self, settings: EstimatorSettings) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.sizes: list[int] = []
        self.closed = False

    def batch(self, images: list[np.ndarray]) -> list[np.ndarray]:
        self.sizes.append(len(images))
        assert self.gate.wait(LIMIT)
        if any(image[0, 0, 0] == 255 for image in images):
            raise RuntimeError("white image")
        return [np.full(image.shape[:2], image.mean(), np.float32) for image in images]

    def close(self) -> None:
        self.closed = True


def image(value: int) -> np.ndarray:
    return np.full((4, 6, 3), value, np.uint8)


def wait_for(condition: object) -> None:
    end = time.monotonic() + LIMIT
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.001)


def test_images_that_wait_at_the_same_time_are_one_batch_and_each_gets_its_own_depth() -> None:
    loaded: list[Recorder] = []
    shared = SharedModel(load=lambda settings: loaded.append(Recorder(settings)) or loaded[-1])  # type: ignore[arg-type]
    cameras = [shared.join(f"camera {index}", SETTINGS) for index in range(4)]
    (model,) = loaded
    model.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(cameras[0], image(10))
        wait_for(lambda: model.sizes == [1])
        others = [pool.submit(camera, image(value)) for camera, value in zip(cameras[1:], (20, 30, 40), strict=True)]
        wait_for(lambda: len(cameras[0].engine._waiting) == 3)
        model.gate.set()
        depths = [future.result(LIMIT) for future in (first, *others)]
    assert model.sizes == [1, 3] and shared.batches == {1: 1, 3: 1}
    assert [float(depth[0, 0]) for depth in depths] == [10, 20, 30, 40]


def test_patience_lets_cameras_that_shoot_together_stay_together() -> None:
    loaded: list[Recorder] = []
    shared = SharedModel(patience=2.0, load=lambda settings: loaded.append(Recorder(settings)) or loaded[-1])  # type: ignore[arg-type]
    left, right = shared.join("left", SETTINGS), shared.join("right", SETTINGS)
    left(image(1))  # alone: the other has never asked, so it is not waited for
    barrier = threading.Barrier(2)

    def run(camera: object) -> None:
        barrier.wait(LIMIT)
        for _ in range(20):
            camera(image(2))  # type: ignore[operator]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, (left, right)))
    # The first one may have gone alone before the other had asked, and the last one then.
    assert shared.batches[2] >= 19


def test_a_failure_reaches_every_camera_of_the_batch_and_the_next_one_works() -> None:
    shared = SharedModel(load=Recorder)  # type: ignore[arg-type]
    camera = shared.join("front", SETTINGS)
    with pytest.raises(RuntimeError, match="white"):
        camera(image(255))
    assert float(camera(image(7))[0, 0]) == 7


def test_the_model_is_loaded_once_and_closed_with_the_last_camera() -> None:
    loaded: list[Recorder] = []
    shared = SharedModel(load=lambda settings: loaded.append(Recorder(settings)) or loaded[-1])  # type: ignore[arg-type]
    first, second = shared.join("first", SETTINGS), shared.join("second", SETTINGS)
    first.close()
    first.close()
    assert not loaded[0].closed and float(second(image(3))[0, 0]) == 3
    with pytest.raises(InputError, match="closed"):
        first(image(3))
    second.close()
    assert loaded[0].closed
    shared.join("first", EstimatorSettings(threads=2))  # nobody is left who would mind
    assert len(loaded) == 2


def test_other_settings_are_refused_with_what_differs() -> None:
    shared = SharedModel(load=Recorder)  # type: ignore[arg-type]
    shared.join("front", SETTINGS)
    with pytest.raises(ConfigurationError, match="rear and front differ in threads: 2, 0"):
        shared.join("rear", EstimatorSettings(threads=2))


def test_a_model_that_hangs_is_left_behind_by_all_and_loaded_once_anew() -> None:
    loaded: list[Recorder] = []
    shared = SharedModel(load=lambda settings: loaded.append(Recorder(settings)) or loaded[-1])  # type: ignore[arg-type]
    front, rear = shared.join("front", SETTINGS), shared.join("rear", SETTINGS)
    loaded[0].gate.clear()
    with ThreadPoolExecutor(2) as pool:
        hung = [pool.submit(camera, image(1)) for camera in (front, rear)]
        wait_for(lambda: loaded[0].sizes)
        # What each camera's watchdog does.
        again = shared.join("front", SETTINGS), shared.join("rear", SETTINGS)
        assert len(loaded) == 2
        assert [float(camera(image(5))[0, 0]) for camera in again] == [5, 5]
        loaded[0].gate.set()
        assert all(future.result(LIMIT) is not None for future in hung)
    front.close()
    rear.close()
    assert loaded[0].closed and not loaded[1].closed
    assert float(again[0](image(6))[0, 0]) == 6


def test_a_model_that_cannot_be_loaded_can_be_tried_again() -> None:
    def load(settings: EstimatorSettings) -> Recorder:
        if settings.threads == 0:
            raise CheckpointError("no such folder")
        return Recorder(settings)

    shared = SharedModel(load=load)  # type: ignore[arg-type,return-value]
    with pytest.raises(CheckpointError):
        shared.join("front", SETTINGS)
    assert shared.join("front", EstimatorSettings(threads=1)).description == "recorder"


def test_a_real_model_gives_the_same_depth_in_a_batch_as_alone(random_model: Path) -> None:
    settings = EstimatorSettings(model=str(random_model), backend="torch", processing_pixels=1024)
    shared = SharedModel(patience=2.0)
    cameras = [shared.join(name, settings) for name in ("left", "right")]
    rng = np.random.default_rng(0)
    # The same size inside, another one outside; and one that is another inside.
    pictures = [rng.integers(0, 255, shape).astype(np.uint8) for shape in ((48, 64, 3), (96, 128, 3))]
    own = DepthEstimator(settings)
    alone = [own(picture) for picture in pictures]
    barrier = threading.Barrier(2)

    def twice(camera: object, picture: np.ndarray) -> np.ndarray:
        barrier.wait(LIMIT)
        camera(picture)  # type: ignore[operator]
        return camera(picture)  # type: ignore[operator,no-any-return]

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(twice, cameras, pictures))
    assert shared.batches[2] >= 1
    for depth, picture, reference in zip(together, pictures, alone, strict=True):
        assert depth.shape == picture.shape[:2]
        np.testing.assert_allclose(depth, reference, atol=1e-5)
    for camera in cameras:
        camera.close()
