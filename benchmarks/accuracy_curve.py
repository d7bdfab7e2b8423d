"""Held-out accuracy over core-hours of the converters' training, from the weights that the stage kept on the way.

python benchmarks/accuracy_curve.py --run runs/tiny --data data/held_robot data/held_wide --out curve

RUN is the work folder of `merge_ros.training.depth_converters`. Writes curve.json (every point) and, with matplotlib
(extra "plot"), curve.png. Core-hours are wall time times processes: on a busy machine more than the training needed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from merge_ros.config import EstimatorSettings
from merge_ros.evaluation.folder import find_pairs
from merge_ros.evaluation.models import merge_model
from merge_ros.evaluation.protocol import DepthProtocol, measure
from merge_ros.files import atomic_write
from merge_ros.model.codec import LIGHT_CODEC
from merge_ros.training.depth_converters import KEPT, STAGE
from merge_ros.training.run import LOG, SUMMARY

PROTOCOL = DepthProtocol((1e-3, 65.0))  # metres; as docs/merge-tiny.md
LEARNED = ("depth_converters", LIGHT_CODEC)


def points(run: Path, data: list[Path], limit: int, processes: int) -> list[dict[str, Any]]:
    """Step, core-hours and the accuracy on each data set, for all weights that were kept.

    Raises:
        SystemExit: nothing was kept.
    """
    kept = sorted((run / STAGE / KEPT).glob("*"))
    if not kept:
        raise SystemExit(f"{run / STAGE} holds no folder {KEPT}: the stage keeps weights from its first picture on")
    records = map(json.loads, (run / STAGE / LOG).read_text().splitlines())
    minutes = {int(record["step"]): record["minutes"] for record in records}
    found = []
    for folder in tqdm(kept, unit="step", disable=None):
        step = int(folder.name)
        before = min(minutes, key=lambda logged: abs(logged - step))
        with tempfile.TemporaryDirectory() as place:
            model = _model(run / "model", folder, Path(place))
            accuracy = {path.name: _accuracy(model, path, limit) for path in data}
        found.append({"step": step, "core_hours": round(minutes[before] * processes / 60, 3), **accuracy})
    return found


def _model(model: Path, learned: Path, place: Path) -> Path:
    """A model folder with the kept parts in the place of the final ones."""
    for part in model.iterdir():
        source = learned / part.name if part.name in LEARNED else part
        (place / part.name).symlink_to(source.resolve())
    return place


def _accuracy(model: Path, data: Path, limit: int) -> dict[str, float]:
    loaded = merge_model(EstimatorSettings(model=str(model), backend="torch", precision="fp32", device="cpu"))
    metrics = [measure(pair.read(), loaded, PROTOCOL).metrics for pair in find_pairs(data)[:limit]]
    return {name: round(float(np.mean([getattr(m, name) for m in metrics])), 4) for name in ("abs_rel", "delta1")}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="work folder of the training")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="held-out data sets")
    parser.add_argument("--limit", type=int, default=100, help="frames of each (default %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("accuracy_curve"), help="files to write, without their endings"
    )
    arguments = parser.parse_args()
    processes = json.loads((arguments.run / STAGE / SUMMARY).read_text())["processes"]
    found = points(arguments.run, arguments.data, arguments.limit, processes)
    with atomic_write(arguments.out.with_suffix(".json")) as path:
        path.write_text(json.dumps(found, indent=2) + "\n")
    for point in found:
        print(json.dumps(point))
    _plot(found, [path.name for path in arguments.data], arguments.out.with_suffix(".png"))


def _plot(found: list[dict[str, Any]], names: list[str], path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no plot: matplotlib is not installed (extra 'plot')")
        return
    axes = (figure := Figure(figsize=(6, 4), layout="constrained")).subplots()
    hours = [point["core_hours"] for point in found]
    for name in names:
        axes.plot(hours, [point[name]["abs_rel"] for point in found], marker="o", label=name)
    axes.set_xlabel("core-hours of converter training")
    axes.set_ylabel("AbsRel on held-out frames (lower is better)")
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
