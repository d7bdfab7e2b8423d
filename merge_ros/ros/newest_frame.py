"""Newest wins: one thread that works on the frame that came last, and lets the older ones go."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestFrameWorker(Generic[Item]):
    """Works on one item at a time, in a thread of its own, so that callbacks never wait for inference.

    Only the newest waiting item is kept.

    Args:
        work: called in the worker's thread with each item. It must handle its own errors: one that leaves it goes to
            `failed`.
        replaced: called with an item that will never be worked on, in the thread of `offer` or `stop`.
        failed: called in the worker's thread with what `work` let through; the worker goes on.
    """

    def __init__(
        self,
        work: Callable[[Item], None],
        replaced: Callable[[Item], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._work, self._replaced, self._failed = work, replaced, failed
        self._changed = threading.Condition()
        self._waiting: Item | None = None
        self._running = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work. A second call changes nothing."""
        if self._thread is not None:
            return
        self._running = True
        self._thread = threading.Thread(target=self._loop, name="newest_frame", daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> None:
        """Hand over an item, in place of one that still waits. Ignored while stopped."""
        with self._changed:
            if not self._running:
                return
            older, self._waiting = self._waiting, item
            self._changed.notify()
        if older is not None:
            self._replaced(older)

    def stop(self) -> None:
        """Let the item in work finish, drop the one that waits, and end the thread. A second call changes nothing."""
        with self._changed:
            self._running = False
            left, self._waiting = self._waiting, None
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if left is not None:
            self._replaced(left)

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or not self._running)
                if not self._running:
                    return
                item, self._waiting = self._waiting, None
            try:
                self._work(item)  # type: ignore[arg-type]  # not None: the condition above
            except Exception as error:
                self._failed(error)
