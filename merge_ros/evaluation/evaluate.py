"""Measure a model on a set, image by image, and write what came out.

per_image.csv   metrics of each image
summary.json    their means over images, what was measured and how, and what could not be measured
summary.md      the same for people
worst.png       image, truth, prediction and error of the ten worst
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import cv2
import numpy as np
from tqdm import tqdm

from merge_ros.errors import DatasetError, InputError, MergeError
from merge_ros.evaluation.journal import Journal
from merge_ros.evaluation.metrics import DepthMetrics
from merge_ros.evaluation.models import DepthModel, Estimator
from merge_ros.evaluation.normals import NormalsMetrics
from merge_ros.evaluation.protocol import DepthProtocol
from merge_ros.evaluation.sample import DepthItem
from merge_ros.evaluation.sheet import Picture, sheet_row, stacked
from merge_ros.evaluation.tasks import DepthTask
from merge_ros.files import atomic_write

WORST = 10

Metrics = DepthMetrics | NormalsMetrics


class Named(Protocol):
    """An entry of a set."""

    @property
    def name(self) -> str:
        """Unique in its set."""


class Task(Protocol):
    """What is measured, with which model; see `merge_ros.evaluation.tasks`.

    Attributes:
        columns: heading in the CSV of each metric.
        summarised: the metrics whose mean over images goes into the summary.
    """

    columns: ClassVar[dict[str, str]]
    summarised: ClassVar[tuple[str, ...]]

    def measure(self, item: Any) -> Metrics:
        """Metrics of one image."""

    def restore(self, record: dict[str, Any]) -> Metrics:
        """The metrics that `asdict` turned into a record."""

    def badness(self, metrics: Any) -> float:
        """What the worst images have most of."""

    def panels(self, item: Any) -> tuple[list[Picture], str]:
        """Pictures of one image, measured again, and a line of text."""


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Args:
        rows: metrics of each image that could be measured, by name.
        failed: what was wrong with the others, by name.
        summarised: the metrics that the summary has.
    """

    rows: dict[str, Any]
    failed: dict[str, str]
    summarised: tuple[str, ...]

    def summary(self) -> dict[str, float | int]:
        """Each summarised metric averaged over images, `n` of them, and how many `failed`."""
        means = {
            metric: float(np.mean([getattr(metrics, metric) for metrics in self.rows.values()]))
            for metric in self.summarised
        }
        return {**means, "n": len(self.rows), "failed": len(self.failed)}


def evaluate(
    task: Task,
    items: Sequence[Named],
    out: Path,
    about: dict[str, Any] | None = None,
    resume_as: dict[str, Any] | None = None,
) -> Evaluation:
    """Measure every item and write the four files of this module into a folder.

    Args:
        task: what is measured, with which model.
        items: the set; each is read when it is its turn.
        out: folder for the results; made if missing.
        about: what is measured and how, for the summary; things that JSON can hold.
        resume_as: keep a journal in the folder, and go on where a run with the same content here was killed; None: do
            not.

    Returns:
        The metrics. An image that cannot be measured is counted and named, and the others go on.

    Raises:
        ConfigurationError: the folder holds an unfinished run of something else.
        InputError: no image at all could be measured.
        DatasetError: the results cannot be written.
    """
    about = about or {}
    result = Evaluation({}, {}, task.summarised)
    if resume_as is not None:
        with Journal(out, resume_as) as journal:
            _measure_all(task, items, result, journal)
            _write(task, items, result, out, about)
            journal.finish()
    else:
        _measure_all(task, items, result, None)
        _write(task, items, result, out, about)
    return result


def evaluate_pairs(
    estimator: Estimator, pairs: Sequence[DepthItem], valid_range: tuple[float, float], out: Path
) -> Evaluation:
    """`evaluate` for depth within a range and nothing else, with a bare estimator.

    Args:
        estimator: [H, W, 3] uint8 RGB to [H, W] relative depth.
        pairs: from `find_pairs`.
        valid_range: metres (low, high), 0 < low < high; truth outside is left out, and predictions are clipped to it.
        out: folder for the results; made if missing.

    Raises:
        ConfigurationError: the range is not one.
        InputError: no image at all could be measured.
    """
    return evaluate(DepthTask(DepthModel("model", estimator), DepthProtocol(valid_range)), pairs, out)


def _measure_all(task: Task, items: Sequence[Named], result: Evaluation, journal: Journal | None) -> None:
    done = journal.done if journal is not None else {}
    for item in items:
        if item.name in done:
            record = {key: value for key, value in done[item.name].items() if key != "name"}
            result.rows[item.name] = task.restore(record)
    left = [item for item in items if item.name not in result.rows]
    for item in tqdm(left, initial=len(result.rows), total=len(items), unit="image", disable=None):
        try:
            result.rows[item.name] = task.measure(item)
        except MergeError as error:
            result.failed[item.name] = str(error)
        else:
            if journal is not None:
                journal.add(item.name, asdict(result.rows[item.name]))
    if not result.rows:
        reason = next(iter(result.failed.values()), "the set is empty")
        raise InputError(f"none of {len(items)} images could be measured; the first: {reason}")


def _write(task: Task, items: Sequence[Named], result: Evaluation, out: Path, about: dict[str, Any]) -> None:
    by_name = {item.name: item for item in items}
    worst = sorted(result.rows, key=lambda name: -task.badness(result.rows[name]))[:WORST]
    sheet = stacked([sheet_row(*task.panels(by_name[name])) for name in worst])
    try:
        with atomic_write(out / "per_image.csv") as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["name", *task.columns.values()])
            for item in items:
                if item.name in result.rows:
                    values = [getattr(result.rows[item.name], metric) for metric in task.columns]
                    writer.writerow([item.name, *(f"{v:.6f}" if isinstance(v, float) else v for v in values)])
        summary = {**about, **result.summary(), "failures": result.failed}
        with atomic_write(out / "summary.json") as temporary:
            temporary.write_text(json.dumps(summary, indent=2) + "\n")
        with atomic_write(out / "summary.md") as temporary:
            temporary.write_text(_markdown(summary, result))
        with atomic_write(out / "worst.png") as temporary:
            cv2.imwrite(str(temporary), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    except OSError as error:
        raise DatasetError(f"the results cannot be written to {out}: {error.strerror or error}") from error


def _markdown(summary: dict[str, Any], result: Evaluation) -> str:
    """The summary as two tables: the figures, and how they came about."""
    figures = [f"{summary[metric]:.4f}" for metric in result.summarised]
    lines = [
        "| " + " | ".join([*result.summarised, "images", "not measured"]) + " |",
        "|" + "---|" * (len(figures) + 2),
        "| " + " | ".join([*figures, str(summary["n"]), str(summary["failed"])]) + " |",
        "",
    ]
    told = {key: value for key, value in summary.items() if key not in (*result.summarised, "n", "failed", "failures")}
    if told:
        lines += ["| | |", "|---|---|", *(f"| {key} | {_plain(value)} |" for key, value in told.items()), ""]
    lines += [f"- not measured: {name}: {reason}" for name, reason in result.failed.items()]
    return "\n".join(lines).rstrip() + "\n"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_plain(inner)}" for key, inner in value.items() if inner is not None)
    if isinstance(value, (list, tuple)):
        return " ".join(_plain(inner) for inner in value)
    return str(value)
