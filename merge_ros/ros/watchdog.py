"""A watch over inference: a call that does not come back in time is left behind, and a new engine takes its place."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import BackendError, InferenceTimeout, InputError

Rgb = NDArray[np.uint8]
Depth = NDArray[np.float32]
Answer = TypeVar("Answer")

# Seconds for the first image of a size, for which engines compile, or build a plan (TensorRT: minutes).
PREPARATION = 600.0
# A new engine may take this many times as long as the first one took to load, and for its first image of a size.
SLOWER = 3.0
# Calls that may hang in succession: one, and one of the engine that took over.
CHANCES = 2
PATIENCE_AT_CLOSE = 2.0  # seconds
PULSE = 0.1  # seconds between two looks at whether the process is to end


class Estimator(Protocol):
    """What is watched; `merge_ros.estimator.DepthEstimator` is one."""

    description: str

    def __call__(self, rgb: Rgb) -> Depth:
        """[H, W, 3] uint8 to [H, W] relative depth."""

    def warm_up(self, width: int, height: int) -> None:
        """Run once on an image of this size."""

    def close(self) -> None:
        """Let go of the model."""


class EngineThread(threading.Thread):
    """The only thread that calls an estimator.

    Python cannot end a thread. One whose call never returns stays, with its engine and one image, until the process
    ends; a result that comes late is thrown away, and the thread then lets go of its engine and ends.

    Args:
        load: gives the estimator; called in this thread.
    """

    def __init__(self, load: Callable[[], Estimator]) -> None:
        super().__init__(name="inference", daemon=True)
        self.loaded: Future[Estimator] = Future()
        self._load = load
        self._work: queue.SimpleQueue[tuple[Rgb, Future[Depth]] | None] = queue.SimpleQueue()
        self._given_up: Future | None = None
        self.start()

    def estimate(self, rgb: Rgb) -> Future[Depth]:
        """Hand over an image; the future gets its depth."""
        answer: Future[Depth] = Future()
        self._work.put((rgb, answer))
        return answer

    def give_up(self, answer: Future) -> None:
        """Nobody waits for this answer any more."""
        self._given_up = answer

    @property
    def hangs(self) -> bool:
        """Whether a call that was given up has not come back."""
        return self._given_up is not None and not self._given_up.done()

    def finish(self) -> None:
        """Let go of the estimator and end, as soon as no call is under way."""
        self._work.put(None)

    def run(self) -> None:
        """Load, then work until told to finish."""
        try:
            estimator = self._load()
        except Exception as error:
            self.loaded.set_exception(error)
            return
        self.loaded.set_result(estimator)
        while (task := self._work.get()) is not None:
            rgb, answer = task
            try:
                answer.set_result(estimator(rgb))
            except Exception as error:
                answer.set_exception(error)
            del task, rgb, answer  # no image is held while there is nothing to do
        estimator.close()


def engine_threads() -> list[EngineThread]:
    """All that are alive in this process."""
    return [thread for thread in threading.enumerate() if isinstance(thread, EngineThread)]


def hung_inferences() -> int:
    """Calls in this process that were given up and have not come back."""
    return sum(thread.hangs for thread in engine_threads())


class WatchedEstimator:
    """An estimator that answers in time, or raises.

    After a call that hung, the next one loads a new engine, unless the old one has come back by then. When that hangs
    too, or cannot be loaded, `given_up` says why, and every later call raises.

    The first image of a size is given `PREPARATION`. An engine that takes over is given more time too, by what its
    predecessor took to load and for its first image of that size.

    Not thread-safe: one call at a time, but for `hurry`.

    Args:
        load: loads the model; called now, in this thread, and later in others. What it raises now leaves unchanged.
        limit: seconds that a call may take; 0: no limit. May be changed at any time.
        warn: gets a sentence when an engine is replaced.
    """

    def __init__(self, load: Callable[[], Estimator], limit: float, warn: Callable[[str], object]) -> None:
        self.limit = limit
        self.given_up = ""
        self._load, self._warn = load, warn
        self._end = math.inf  # time.monotonic()
        self._hung = 0  # calls in succession
        begin = time.monotonic()
        estimator = load()
        self._loading = time.monotonic() - begin
        self._first: dict[tuple[int, ...], float] = {}  # image size -> seconds that its first image took
        self._prepared: set[tuple[int, ...]] = set()  # sizes that the present engine has had
        self.description = estimator.description
        self._engine: EngineThread | None = EngineThread(lambda: estimator)

    def __call__(self, rgb: Rgb) -> Depth:
        """Estimate depth: [H, W, 3] uint8 to [H, W] float32 in [0, 1].

        Raises:
            InferenceTimeout: there is no answer within the limit.
            BackendError: it hung before, and no new engine could take over.
            InputError: it was closed.
        """
        if self.given_up:
            raise BackendError(self.given_up)
        if self._engine is None:
            raise InputError("the estimator was closed")
        try:
            if self._engine.hangs:
                self._engine = self._replace(self._engine)
            depth = self._estimate(self._engine, rgb)
        except InferenceTimeout as error:
            self._hung += 1
            if self._hung >= CHANCES:
                self.given_up = f"{error}; it is the engine that took over after another one hung: given up"
            raise
        self._hung = 0
        return depth

    @property
    def present(self) -> Estimator | None:
        """The estimator that answers now; None when it hangs, could not be loaded, or was closed."""
        engine = self._engine
        return engine.loaded.result() if engine is not None and engine.loaded.done() and not engine.hangs else None

    def hurry(self, seconds: float) -> None:
        """The process is to end: wait for this long at most, now and from now on. From any thread."""
        self._end = time.monotonic() + seconds

    def close(self) -> None:
        """Let go of the model. An engine that hangs keeps its memory. Closing twice is allowed."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.finish()
            engine.join(0.0 if engine.hangs else PATIENCE_AT_CLOSE)

    def _replace(self, hanging: EngineThread) -> EngineThread:
        self._warn(f"the model still hangs; loading a new engine ({hung_inferences()} left behind)")
        hanging.finish()
        engine = self._engine = EngineThread(self._load)
        self._prepared.clear()
        allowed = self.limit and self.limit + SLOWER * self._loading
        try:
            self._wait(engine, engine.loaded, allowed, "loading a new engine")
        except InferenceTimeout:
            raise
        except Exception as error:
            self.given_up = f"the model hung, and no new engine can be loaded: {type(error).__name__}: {error}"
            raise BackendError(self.given_up) from error
        return engine

    def _estimate(self, engine: EngineThread, rgb: Rgb) -> Depth:
        size = rgb.shape[:2]
        allowed = self.limit
        if allowed and size not in self._prepared:
            first = self._first.get(size)
            allowed = max(allowed, PREPARATION) if first is None else allowed + SLOWER * first
        begin = time.monotonic()
        depth = self._wait(engine, engine.estimate(rgb), allowed, "inference")
        self._first.setdefault(size, time.monotonic() - begin)
        self._prepared.add(size)
        return depth

    def _wait(self, engine: EngineThread, answer: Future[Answer], allowed: float, what: str) -> Answer:
        begin = time.monotonic()
        end = begin + (allowed or math.inf)
        while not answer.done():
            now = time.monotonic()
            left = min(end, self._end) - now
            if left <= 0:
                engine.give_up(answer)
                raise InferenceTimeout(
                    f"{what} has not come back for {now - begin:.1f} s (the limit is {self.limit:g} s: "
                    "inference_timeout); its thread is left behind"
                )
            wait([answer], min(left, PULSE))
        return answer.result()
