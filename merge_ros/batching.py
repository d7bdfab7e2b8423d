"""One model for several cameras: images that wait at the same time go through it as one batch."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import EstimatorSettings
from merge_ros.errors import ConfigurationError, InputError
from merge_ros.estimator import DepthEstimator

# A camera that has not asked for so long is not waited for. Longer than any usual camera's period.
SILENT_AFTER = 5.0  # seconds

Rgb = NDArray[np.uint8]
Depth = NDArray[np.float32]


@dataclass(eq=False)
class _Request:
    rgb: Rgb
    depth: Depth | None = None
    error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.depth is not None or self.error is not None


class SharedModel:
    """A model that is loaded when the first camera joins, and let go of when the last one has left.

    Cameras call from threads of their own. Whoever comes while the model is free takes all images that wait and works
    on them as one batch, while the others wait for their share of it.

    Args:
        patience: seconds to wait for the other cameras' images before a batch begins; it begins sooner once each camera
            that is not silent has asked. 0: with those that wait already.
        load: loads the model.
    """

    def __init__(
        self, patience: float = 0.0, load: Callable[[EstimatorSettings], DepthEstimator] = DepthEstimator
    ) -> None:
        self.batches: Counter[int] = Counter()  # size of a batch -> how many there were
        self.patience, self._load = patience, load
        self._joining = threading.Lock()
        self._members: dict[str, CameraEstimator] = {}
        self._settings: EstimatorSettings | None = None
        self._engine: _Engine | None = None

    def join(self, camera: str, settings: EstimatorSettings) -> CameraEstimator:
        """An estimator for a camera.

        A camera that joins again without having left has been left without an answer: the model hangs. It is left
        behind with whoever waits for it, and loaded anew, unless another camera has seen to that before.

        Raises:
            ConfigurationError: other settings than those that the model was loaded with for the cameras before.
            CheckpointError, BackendError, MissingDependencyError: the model cannot be loaded.
        """
        with self._joining:
            others = [name for name in self._members if name != camera]
            if self._settings is not None and settings != self._settings and others:
                ours, theirs = vars(settings), vars(self._settings)
                differing = [f"{name}: {ours[name]!r}, {theirs[name]!r}" for name in ours if ours[name] != theirs[name]]
                raise ConfigurationError(
                    f"cameras that share one model need the same settings of it; {camera} and {', '.join(others)} "
                    f"differ in {', '.join(differing)}"
                )
            before = self._members.get(camera)
            if self._engine is None or (before is not None and before.engine is self._engine):
                self._engine = _Engine(self._load(settings), self.patience, self.batches)
            self._settings = settings
            member = self._members[camera] = CameraEstimator(self._engine, self._leave)
            return member

    def _leave(self, member: CameraEstimator) -> None:
        with self._joining:
            self._members = {name: other for name, other in self._members.items() if other is not member}
            if any(other.engine is member.engine for other in self._members.values()):
                return
            member.engine.close()
            if self._engine is member.engine:
                self._engine = None


class CameraEstimator:
    """One camera's share of a `SharedModel`; used like a `merge_ros.estimator.DepthEstimator` of its own.

    Args:
        engine: that it is a share of.
        leave: called when it is closed.
    """

    def __init__(self, engine: _Engine, leave: Callable[[CameraEstimator], None]) -> None:
        self.engine = engine
        self.description = engine.description
        self._leave = leave
        self._closed = False

    def __call__(self, rgb: Rgb) -> Depth:
        """See `DepthEstimator.__call__`."""
        if self._closed:
            raise InputError("the estimator was closed")
        return self.engine.estimate(self, rgb)

    def warm_up(self, width: int, height: int) -> None:
        """See `DepthEstimator.warm_up`."""
        self(np.full((height, width, 3), 128, np.uint8))

    def close(self) -> None:
        """Leave the model to the other cameras; the last one to leave lets go of it. Closing twice is allowed."""
        if not self._closed:
            self._closed = True
            self.engine.forget(self)
            self._leave(self)


class _Engine:
    """One loaded model, and the images that wait for it."""

    def __init__(self, estimator: DepthEstimator, patience: float, batches: Counter[int]) -> None:
        self.description = estimator.description
        self._estimator, self._patience, self._batches = estimator, patience, batches
        self._changed = threading.Condition()
        self._waiting: list[_Request] = []
        self._busy = False
        self._last_asked: dict[CameraEstimator, float] = {}

    def estimate(self, camera: CameraEstimator, rgb: Rgb) -> Depth:
        """Depth of one camera's image, worked on together with those of the others."""
        request = _Request(rgb)
        with self._changed:
            self._last_asked[camera] = time.monotonic()
            self._waiting.append(request)
            self._changed.notify_all()
            self._changed.wait_for(lambda: request.done or not self._busy)
            if not request.done:
                self._busy = True
                self._changed.wait_for(self._all_here, self._patience)
                batch, self._waiting = self._waiting, []
        if not request.done:
            self._work(batch)
        if request.depth is None:
            raise request.error or InputError("the model was let go of")
        return request.depth

    def forget(self, camera: CameraEstimator) -> None:
        """Wait for this camera no more."""
        with self._changed:
            self._last_asked.pop(camera, None)
            self._changed.notify_all()

    def close(self) -> None:
        """Let go of the model."""
        self._estimator.close()

    def _all_here(self) -> bool:
        now = time.monotonic()
        return len(self._waiting) >= sum(now - asked < SILENT_AFTER for asked in self._last_asked.values())

    def _work(self, batch: list[_Request]) -> None:
        depths: list[Depth] = []
        failure: Exception | None = None
        try:
            depths = self._estimator.batch([request.rgb for request in batch])
        except Exception as error:
            failure = error
        with self._changed:
            for index, request in enumerate(batch):
                request.depth, request.error = (None, failure) if failure else (depths[index], None)
            self._batches[len(batch)] += 1
            self._busy = False
            self._changed.notify_all()
