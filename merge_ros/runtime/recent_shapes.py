"""What engines prepare for each shape of their input, kept for the shapes that came last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

# A camera has one shape, and some more while its region of interest changes. Without a bound, one that changes for ever
# would fill the memory.
KEPT = 8

Prepared = TypeVar("Prepared")


class RecentShapes(Generic[Prepared]):
    """At most `KEPT` prepared things, by shape; the one that was not used for longest goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, ...], Prepared] = OrderedDict()

    def get(self, shape: tuple[int, ...], prepare: Callable[[], Prepared]) -> Prepared:
        """What is kept for this shape, else what `prepare` makes now."""
        if shape not in self._kept:
            while len(self._kept) >= KEPT:  # first, or there would be one more in memory meanwhile
                self._kept.popitem(last=False)
            self._kept[shape] = prepare()
        self._kept.move_to_end(shape)
        return self._kept[shape]

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()
