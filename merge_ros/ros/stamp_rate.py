"""At most so many per second, counted by the stamps of images."""

from __future__ import annotations

SLACK = 0.1  # of the period: cameras are not punctual


class StampRate:
    """Says whose turn it is. A stamp that lies before the last one begins another stream: its turn has come."""

    def __init__(self) -> None:
        self._last: int | None = None

    def due(self, stamp: int, rate: float) -> bool:
        """Whether a frame's turn has come; if so, the next one is counted from it.

        Args:
            stamp: of the image, nanoseconds.
            rate: frames per second at most; 0: no limit.
        """
        if rate and self._last is not None and 0 <= stamp - self._last < (1 - SLACK) * 1e9 / rate:
            return False
        self._last = stamp
        return True
