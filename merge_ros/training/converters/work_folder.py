"""The folder of a training: whether it may be used, the log in it, and the mark that it is finished."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path

from accelerate import Accelerator

from merge_ros.config.training import TrainingSettings
from merge_ros.errors import ConfigurationError
from merge_ros.files import atomic_write
from merge_ros.training.board import Board
from merge_ros.training.converters.learner import CHECKPOINT, not_written

SUMMARY, LOG, BOARD = "summary.json", "log.jsonl", "board"


def claim(folder: Path, overwrite: bool, accelerator: Accelerator) -> Path:
    """Make the work folder, or take over one that is not finished.

    Raises:
        ConfigurationError: a finished training lies there, and it is not to be overwritten; or it cannot be written.
    """
    finished = (folder / SUMMARY).is_file()
    if finished and not overwrite:
        raise ConfigurationError(f"{folder} holds a finished training; take another folder, or --overwrite")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        try:
            _prepare(folder, clear=finished)
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be used for a training: {error}") from error
    accelerator.wait_for_everyone()
    return folder


def _prepare(folder: Path, *, clear: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if clear:
        (folder / SUMMARY).unlink()
        for name in (CHECKPOINT, LOG):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / BOARD, ignore_errors=True)


class Notes:
    """The log of a training, and the mark that it is finished.

    Args:
        folder: of the training.
        settings: of the training.
        board: for the curves; None in all processes but the first, which write nothing.
    """

    def __init__(self, folder: Path, settings: TrainingSettings, board: Board | None) -> None:
        self._folder, self._settings, self._board = folder, settings, board
        self._recent: dict[str, list[float]] = {}
        self._started = time.monotonic()

    def add(self, update: int, figures: dict[str, float]) -> None:
        """Figures of one update; every so many, their means are written.

        Raises:
            TrainingError: the disk is full, or cannot be written for another reason.
        """
        for name, value in figures.items():
            self._recent.setdefault(name, []).append(value)
        if update % self._settings.log_updates and update != self._settings.updates:
            return
        means = {name: sum(values) / len(values) for name, values in self._recent.items()}
        self._recent.clear()
        means["rate"] = self._settings.optimizer.rate * self._settings.optimizer.factor(
            update - 1, self._settings.updates
        )
        record = {"update": update, "seconds": round(time.monotonic() - self._started, 1), **means}
        try:
            with (self._folder / LOG).open("a") as stream:
                stream.write(json.dumps(record) + "\n")
            if self._board is not None:
                self._board.curves(update, means)
        except OSError as error:
            raise not_written(self._folder / LOG, update, error) from error

    def finish(self, described: dict[str, object]) -> None:
        """Write the summary, which marks the training as finished."""
        summary = {"settings": asdict(self._settings), **described}
        with atomic_write(self._folder / SUMMARY) as path:
            path.write_text(json.dumps(summary, indent=2) + "\n")
