"""What a benchmark is: a protocol, where its files lie, and how they are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from merge_ros.archive import Archive
from merge_ros.errors import DatasetError
from merge_ros.evaluation.benchmarks.files import read_split, under_root
from merge_ros.evaluation.protocol import DepthProtocol
from merge_ros.evaluation.sample import DepthSample, NormalsSample

Sample = TypeVar("Sample", DepthSample, NormalsSample)


@dataclass(frozen=True)
class Item(Generic[Sample]):
    """One image of a benchmark with its truth, read when asked.

    Args:
        name: the image's file name in the data.
        read: reads it.
    """

    name: str
    read: Callable[[], Sample]


@dataclass(frozen=True)
class Benchmark(Generic[Sample]):
    """A data set with what the protocol says about it.

    Args:
        name: on the command line.
        title: in tables.
        images: in the published split; None: there is none.
        patterns: regular expressions of the file names of image, truth and mask, below any folder. Files whose named
            groups agree belong together.
        decode: the files' content and names, in that order, to a sample.
        truth_may_lack: whether images without truth are left out, instead of being an error.
    """

    name: str
    title: str
    images: int | None
    patterns: tuple[str, ...]
    decode: Callable[[Sequence[bytes], Sequence[str]], Sample]
    truth_may_lack: bool = False

    def items(self, files: Archive, split: Path | None = None) -> list[Item[Sample]]:
        """The images of the set, in the order of the split list or of their names.

        Args:
            files: the data.
            split: list of the images, as `read_split` takes it; None: all images with truth that the data hold.

        Raises:
            DatasetError: there are none, or a file is missing; the message names it.
        """
        listed = None if split is None else read_split(split, len(self.patterns))
        names = files.names()
        rows = self._found(names) if listed is None else under_root(names, listed)
        return [Item(row[0], self._reader(files, row)) for row in rows]

    def _reader(self, files: Archive, row: tuple[str, ...]) -> Callable[[], Sample]:
        return lambda: self.decode([files.read(name) for name in row], row)

    def _found(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        kinds = [self._by_key(names, pattern) for pattern in self.patterns]
        rows = []
        for key in sorted(kinds[0]):
            if all(key in kind for kind in kinds):
                rows.append(tuple(kind[key] for kind in kinds))
            elif not self.truth_may_lack:
                raise DatasetError(f"{kinds[0][key]} has no truth beside it: expected are {self.patterns[1:]}")
        if not rows:
            raise DatasetError(f"no image of {self.title} with truth in the data; file names look like {self.patterns}")
        return rows

    def _by_key(self, names: Sequence[str], pattern: str) -> dict[tuple[str, ...], str]:
        expression = re.compile(f"(?:.*/)?{pattern}")
        found: dict[tuple[str, ...], str] = {}
        for name in names:
            if match := expression.fullmatch(name):
                key = tuple(group for _, group in sorted(match.groupdict().items()))
                if key in found:
                    raise DatasetError(f"{found[key]} and {name} are the same image of {self.title}: give one copy")
                found[key] = name
        return found


@dataclass(frozen=True)
class DepthBenchmark(Benchmark[DepthSample]):
    """A benchmark of depth.

    Args:
        protocol: what it asks for.
    """

    protocol: DepthProtocol = field(kw_only=True)

    def about(self) -> dict[str, Any]:
        """The protocol as JSON can hold it."""
        low, high = self.protocol.valid_range
        window = self.protocol.window
        return {
            "valid_range_m": [low, high if high < float("inf") else None],
            "range_masks": self.protocol.range_masks,
            "cut": self.protocol.cut,
            "window": None if window is None else [window.top, window.bottom, window.left, window.right],
            "fit_side": self.protocol.fit_side,
            "processing_side": self.protocol.processing_side,
        }


@dataclass(frozen=True)
class NormalsBenchmark(Benchmark[NormalsSample]):
    """A benchmark of surface normals."""
