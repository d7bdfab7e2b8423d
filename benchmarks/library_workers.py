"""Jobs of a library per second, in this process and on one and two Ray workers: python benchmarks/library_workers.py

A job renders a simulated scene and makes an asset of it, as merge-ros randomize does from generated images, so it takes
a core. With --wait it only waits: then the figures tell how well jobs are spread over workers, whatever else the cores
have to do. Starting Ray and its workers is told apart from the rate, which counts from the first results on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from merge_ros.config import AssetSettings
from merge_ros.errors import InputError
from merge_ros.simulation.kinds import scene_views
from merge_ros.synthesis.library import Job, Made, Runner, Work, Workshop, make_library, plan, run_here
from merge_ros.synthesis.library_ray import RayRunner
from merge_ros.synthesis.provenance import Provenance
from merge_ros.synthesis.view import View

FIRST_SEED = 10_200_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=12, help="jobs (%(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of Ray workers (1 2)")
    parser.add_argument("--wait", type=float, default=0.0, help="seconds that a job waits instead of making an asset")
    arguments = parser.parse_args()
    work: Work = (
        Waiting(arguments.wait) if arguments.wait else Workshop(rendered, AssetSettings(formats=("glb", "mjcf")))
    )
    runners: dict[str, tuple[int, Runner]] = {"this process": (1, run_here)}
    runners |= {f"Ray, {workers} workers": (workers, RayRunner(workers)) for workers in arguments.workers}
    for name, (workers, runner) in runners.items():
        print(json.dumps({"runner": name} | measure(work, runner, workers, arguments.count)), flush=True)


@dataclass(frozen=True)
class Waiting:
    """A job that needs no core."""

    seconds: float

    def __call__(self, job: Job) -> Made:
        time.sleep(self.seconds)
        return Made({}, "nothing was made")


def rendered(job: Job) -> tuple[View, Provenance]:
    """The scene of the job's seed, with its true depth."""
    frames = scene_views(job.seed, 1, (256, 192), "asset")
    if not frames:
        raise InputError("no view of this scene is usable")
    frame = frames[0]
    return View(frame.rgb, frame.depth, frame.camera), Provenance("text", job.prompt, job.seed)


def measure(work: Callable[[Job], Made], runner: Runner, workers: int, count: int) -> dict[str, float]:
    """Make a library, and take the time of each job's end."""
    ends: list[float] = []
    start = time.perf_counter()

    def ended(jobs: int) -> None:
        ends.extend([time.perf_counter() - start] * jobs)

    with tempfile.TemporaryDirectory() as folder:
        make_library(Path(folder), plan(["a thing"], count, FIRST_SEED, (1.0, 1.0)), work, {}, runner, ended)
    # The first of each worker include its start.
    rate = (count - workers) / (ends[-1] - ends[workers - 1])
    return {"seconds": round(ends[-1], 2), "first result": round(ends[0], 2), "then jobs per second": round(rate, 3)}


if __name__ == "__main__":
    main()
