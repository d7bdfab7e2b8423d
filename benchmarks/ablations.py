"""What each part of the recipe is worth, on a small frozen backbone: many short trainings, a table and a plot.

    python benchmarks/ablations.py --data DIR --held-out DIR --out DIR [--seeds 2] [--steps 300] [--plot FILE]

Runs one cell after the other, all cells with the first seed before any with the second, and appends each result to
OUT/ablations.jsonl; what is there already is skipped, so it can be stopped and started at will (a cell that was cut off
goes on where it was). The table of what is there is printed at the end, or at once with --table.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from merge_ros.config import EstimatorSettings
from merge_ros.training.ablation import Budget, Laboratory
from merge_ros.training.ablation_cells import CELLS
from merge_ros.training.compute import LOG_FORMAT
from merge_ros.training.data import pack

RESULTS = "ablations.jsonl"
Results = dict[str, list[dict[str, Any]]]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=EstimatorSettings().model, help="small MERGE model (%(default)s)")
    parser.add_argument("--data", type=Path, required=True, help="frames to train on, made by merge-ros make-dataset")
    parser.add_argument("--held-out", type=Path, required=True, help="frames to measure on")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and results")
    parser.add_argument("--frames", type=int, default=4000, help="training frames (%(default)s)")
    parser.add_argument("--held-out-frames", type=int, default=200, help="(%(default)s)")
    parser.add_argument("--reduction", type=int, default=2, help="frames are scaled down by this (%(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="repetitions of each cell (%(default)s)")
    parser.add_argument("--steps", type=int, default=Budget.steps, help="updates of a cell (%(default)s)")
    parser.add_argument("--batch", type=int, default=Budget.batch, help="frames in an update (%(default)s)")
    parser.add_argument("--cells", nargs="+", metavar="NAME", help="only these (default: all)")
    parser.add_argument("--table", action="store_true", help="train nothing, only print what is there")
    parser.add_argument("--plot", type=Path, help="picture of what is there")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, datefmt="%H:%M:%S")
    if not arguments.table:
        _run(arguments)
    results = _read(arguments.out / RESULTS)
    print(_table(results))
    if arguments.plot:
        _plot(results, arguments.plot)


def _run(arguments: argparse.Namespace) -> None:
    unknown = set(arguments.cells or ()) - {cell.name for cell in CELLS}
    if unknown:
        raise SystemExit(f"no cell is called {sorted(unknown)}; there are: {', '.join(cell.name for cell in CELLS)}")
    torch.set_num_threads(1)
    out = arguments.out
    laboratory = Laboratory(
        arguments.model,
        pack(arguments.data, out / "cache" / "train", arguments.frames),
        pack(arguments.held_out, out / "cache" / "held_out", arguments.held_out_frames),
        out / "cache",
        Budget(arguments.steps, arguments.batch),
        arguments.reduction,
    )
    done = {(name, result["seed"]) for name, results in _read(out / RESULTS).items() for result in results}
    for seed in range(arguments.seeds):
        for cell in CELLS:
            if (cell.name, seed) in done or (arguments.cells and cell.name not in arguments.cells):
                continue
            result = laboratory.measure(cell, seed, out / "runs" / f"{cell.name.replace('/', ' of ')}_{seed}")
            with (out / RESULTS).open("a") as stream:
                stream.write(json.dumps(result) + "\n")
            logging.info("%s, seed %d: %s", cell.name, seed, result["accuracy"])


def _read(path: Path) -> Results:
    """Results by name of the cell, in the order of the table."""
    found: Results = defaultdict(list)
    if path.is_file():
        for line in path.read_text().splitlines():
            result = json.loads(line)
            found[result["cell"]["name"]].append(result)
    return {cell.name: found[cell.name] for cell in CELLS if cell.name in found}


def _table(results: Results) -> str:
    heads = ("cell", "steps", "AbsRel", "by seed", "delta1", "converters", "trained", "core ms", "core s")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, runs in results.items():
        for index, first in enumerate(runs[0]["accuracy"]):
            accuracy = [run["accuracy"][index] for run in runs]
            errors = [entry["abs_rel"] for entry in accuracy]
            cells = (
                name,
                str(first["steps"]),
                f"{np.mean(errors):.4f}",
                " ".join(f"{error:.4f}" for error in errors),
                f"{np.mean([entry['delta1'] for entry in accuracy]):.3f}",
                f"{runs[0]['converter_parameters'] / 1e6:.2f} M",
                f"{runs[0]['trained_parameters'] / 1e6:.2f} M",
                f"{min(entry['core_ms'] for entry in accuracy):.1f}",
                f"{np.mean([run['core_seconds'] for run in runs]):.0f}",
            )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _plot(results: Results, path: Path) -> None:
    """AbsRel of every cell and seed; the bar is one standard error over the held-out frames."""
    from matplotlib.figure import Figure

    rows = [
        (f"{name}, {entry['steps']} step(s)" if run["cell"]["epsilon"] else name, entry)
        for name, runs in results.items()
        for run in runs
        for entry in run["accuracy"]
    ]
    names = list(dict.fromkeys(name for name, _ in rows))
    axes = (figure := Figure(figsize=(7, 1 + 0.3 * len(names)), layout="constrained")).subplots()
    for name, entry in rows:
        error, bar = entry["abs_rel"], entry["standard_error"]
        axes.errorbar(error, names.index(name), xerr=bar, fmt="o", markersize=4, capsize=2, color="C0")
    if "base" in names:
        axes.axvline(np.mean([entry["abs_rel"] for name, entry in rows if name == "base"]), linestyle=":", color="grey")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("AbsRel on held-out frames (lower is better)")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
