"""Which frames an update sees: fixed by the seed alone, so that a training can stop and go on anywhere.

Every pass takes all its frames from one source, as Marigold's mixed sampler does (sources may differ in size), and
goes through a source without repetition before it begins again, in a new order. Which process takes which frame
depends on nothing else: two processes with half the batch see what one sees with all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import DatasetError

MIRRORED_SHARE = 0.5  # of the frames (MERGE, config/train_merge.yaml: lr_flip_p)
# Streams of random numbers that must not be the same.
CHOICE, ORDER, FRAME = range(3)


@dataclass(frozen=True)
class FrameKey:
    """One frame of one pass.

    Args:
        source: number of the data set.
        index: of the frame in it.
        mirrored: whether it is seen in a mirror.
        seed: of all that is drawn for it: timestep and noise.
    """

    source: int
    index: int
    mirrored: bool
    seed: int


class Order:
    """The frames of every pass.

    Args:
        lengths: frames of each source.
        shares: of the passes that each source gets, any positive numbers.
        batch: frames of a pass over all processes.
        passes: of the whole training.
        seed: of everything.

    Raises:
        DatasetError: a source holds fewer frames than a batch.
    """

    def __init__(self, lengths: Sequence[int], shares: Sequence[float], batch: int, passes: int, seed: int) -> None:
        for number, length in enumerate(lengths):
            if length < batch:
                raise DatasetError(f"source {number} holds {length} frames, fewer than the {batch} of one pass")
        self.lengths, self.batch, self.passes, self._seed = tuple(lengths), batch, passes, seed
        probabilities = np.asarray(shares, np.float64) / np.sum(shares)
        self.chosen = np.random.default_rng((seed, CHOICE)).choice(len(lengths), size=passes, p=probabilities)
        # How many passes of the same source came before each.
        self._before = np.zeros(passes, np.int64)
        for number in range(len(lengths)):
            own = self.chosen == number
            self._before[own] = np.arange(np.count_nonzero(own))

    def keys(self, number: int, process: int = 0, processes: int = 1) -> list[FrameKey]:
        """The frames of one pass in one of some processes, each of which takes an equal part of the batch."""
        source = int(self.chosen[number])
        per_round = self.lengths[source] // self.batch  # what is left over waits for another round's order
        turn, place = divmod(int(self._before[number]), per_round)
        order = _permutation(self._seed, source, turn, self.lengths[source])
        indices = order[place * self.batch : (place + 1) * self.batch]
        part = self.batch // processes
        found = []
        for position in range(process * part, (process + 1) * part):
            rng = np.random.default_rng((self._seed, FRAME, number, position))
            mirrored = bool(rng.random() < MIRRORED_SHARE)
            found.append(FrameKey(source, int(indices[position]), mirrored, int(rng.integers(2**62))))
        return found

    def from_pass(self, first: int, process: int, processes: int) -> Iterator[list[FrameKey]]:
        """All passes from one on."""
        for number in range(first, self.passes):
            yield self.keys(number, process, processes)


@lru_cache(maxsize=8)
def _permutation(seed: int, source: int, turn: int, length: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, ORDER, source, turn)).permutation(length)
