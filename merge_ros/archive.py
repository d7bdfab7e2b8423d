"""The files of a data set, in a folder or in one tar file alike."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path, PurePosixPath

from merge_ros.errors import DatasetError


class Archive:
    """Read-only files by their path relative to the data set.

    Safe to use from several processes: a tar file is read by position, and each process opens it for itself.

    Args:
        place: a folder, or an uncompressed tar file.

    Raises:
        DatasetError: it is neither, or the tar file is compressed or damaged.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self._members: dict[str, tuple[int, int]] | None = None
        self._handle: tuple[int, int] | None = None
        if place.is_dir():
            return
        if not place.is_file():
            raise DatasetError(f"data set {place} does not exist; allowed: a folder or a tar file")
        try:
            # Opened without transparent decompression: places in the file must be places in the archive.
            with tarfile.open(place, "r:") as tar:
                self._members = {_plain(m.name): (m.offset_data, m.size) for m in tar if m.isfile()}
        except tarfile.TarError as error:
            raise DatasetError(f"{place} is not an uncompressed tar file: {error}") from error

    def __contains__(self, path: str) -> bool:
        if self._members is None:
            return (self.place / path).is_file()
        return _plain(path) in self._members

    def names(self) -> list[str]:
        """All files, sorted, with / between folders."""
        if self._members is not None:
            return sorted(self._members)
        return sorted(path.relative_to(self.place).as_posix() for path in self.place.rglob("*") if path.is_file())

    def read(self, path: str) -> bytes:
        """The bytes of a file.

        Raises:
            DatasetError: it is not there or cannot be read.
        """
        try:
            if self._members is None:
                return (self.place / path).read_bytes()
            offset, size = self._members[_plain(path)]
            return os.pread(self._descriptor(), size, offset)
        except (OSError, KeyError) as error:
            raise DatasetError(f"{self.where(path)} cannot be read: {error!r}") from error

    def where(self, path: str) -> str:
        """What to call a file in a message."""
        return str(self.place / path) if self._members is None else f"{self.place}:{path}"

    def _descriptor(self) -> int:
        if self._handle is None or self._handle[0] != os.getpid():
            self._handle = (os.getpid(), os.open(self.place, os.O_RDONLY))
        return self._handle[1]


def _plain(name: str) -> str:
    """Marigold's tar files have ./ before every name."""
    return str(PurePosixPath(name))
