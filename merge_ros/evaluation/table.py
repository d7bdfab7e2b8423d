"""Results of several runs in one Markdown table: a row for each model, two columns for each set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from merge_ros.errors import DatasetError

# Metric, heading, and how the papers write it: percentages with one decimal, degrees too.
DEPTH_COLUMNS = (("abs_rel", "AbsRel %", 100.0), ("delta1", "delta1 %", 100.0))
NORMALS_COLUMNS = (
    ("mean", "mean deg", 1.0),
    ("median", "median deg", 1.0),
    ("within_11_25", "< 11.25 %", 100.0),
    ("within_22_5", "< 22.5 %", 100.0),
    ("within_30", "< 30 %", 100.0),
)


def comparison_table(folders: Sequence[Path]) -> str:
    """The summaries of these result folders, merged.

    A folder with `baselines.json` gives a row for each baseline too.

    Raises:
        DatasetError: a folder holds no finished results, or two hold the same model on the same set.
    """
    cells: dict[str, dict[str, dict[str, Any]]] = {}
    sets: dict[str, tuple[tuple[str, str, float], ...]] = {}
    for folder in folders:
        summary = _read(folder / "summary.json")
        title = str(summary.get("set", folder.name))
        sets[title] = NORMALS_COLUMNS if "median" in summary else DEPTH_COLUMNS
        rows = {str(summary.get("model", folder.name)): summary}
        if (folder / "baselines.json").is_file():
            rows |= _read(folder / "baselines.json")
        for model, figures in rows.items():
            if title in cells.setdefault(model, {}):
                raise DatasetError(f"{model} on {title} is there twice, the second time in {folder}")
            cells[model][title] = figures
    head, rule = ["model"], ["---"]
    for title, columns in sets.items():
        head += [f"{title} {heading}" for _, heading, _ in columns]
        rule += ["---"] * len(columns)
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(rule) + "|"]
    for model, by_set in cells.items():
        row = [model]
        for title, columns in sets.items():
            figures = by_set.get(title, {})
            row += [f"{figures[m] * factor:.1f}" if m in figures else "" for m, _, factor in columns]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path} cannot be read: {error}; give folders that merge-ros evaluate has filled"
        ) from error
    if not isinstance(found, dict):
        raise DatasetError(f"{path} holds no results")
    return found
