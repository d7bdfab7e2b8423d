"""What a measurement has found so far, so that one that was killed goes on where it was.

A file of JSON lines: first what is measured and how, then one line per image. It is there only while the measurement is
not finished.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from merge_ros.errors import ConfigurationError, DatasetError
from merge_ros.files import atomic_write

FILE = "unfinished.jsonl"


class Journal:
    """Records by name, kept in a folder until `finish`.

    Args:
        out: the folder; made if missing.
        settings: what is measured and how, as JSON can hold it; only a run with the same goes on.

    Raises:
        ConfigurationError: the folder holds an unfinished run of something else.
    """

    def __init__(self, out: Path, settings: dict[str, Any]) -> None:
        self._path = out / FILE
        wanted = json.loads(json.dumps(settings))
        lines = _whole_lines(self._path)
        if lines and lines[0] != wanted:
            differ = sorted(key for key in lines[0].keys() | wanted.keys() if lines[0].get(key) != wanted.get(key))
            raise ConfigurationError(
                f"{out} holds an unfinished run with other settings ({', '.join(differ)} differ): "
                f"choose another folder, or delete {self._path}"
            )
        self.done: dict[str, dict[str, Any]] = {line["name"]: line for line in lines[1:]}
        with atomic_write(self._path) as temporary:  # without the line that a kill cut short
            temporary.write_text("".join(json.dumps(line) + "\n" for line in (wanted, *self.done.values())))
        self._file: TextIO = self._path.open("a")

    def add(self, name: str, record: dict[str, Any]) -> None:
        """Keep what was found for one image.

        Raises:
            DatasetError: it cannot be written; the disk may be full.
        """
        self.done[name] = {"name": name, **record}
        try:
            self._file.write(json.dumps(self.done[name]) + "\n")
            self._file.flush()
        except OSError as error:
            raise DatasetError(f"{self._path} cannot be written: {error.strerror or error}") from error

    def finish(self) -> None:
        """Everything is written elsewhere: the journal goes."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal up to the first that a kill cut short."""
    found: list[dict[str, Any]] = []
    if path.is_file():
        for line in path.read_text(errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return found
