"""Libraries: the same whatever the workers, resumable, and whole after a kill."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asset_scenes
import numpy as np
import pytest

from merge_ros.config import AssetSettings
from merge_ros.errors import BackendError, ConfigurationError, DatasetError, MergeError, ScaleError
from merge_ros.synthesis.library import Job, Made, Work, Workshop, make_library, plan, read_index, run_here
from merge_ros.synthesis.provenance import Provenance
from merge_ros.synthesis.view import View

SETTINGS = AssetSettings(formats=("ply", "rgbd"), collision="none", triangles=200)
PROMPTS = ["a red box", "a bent box"]


@dataclass(frozen=True)
class Rooms:
    """The known room with a little noise by seed; every fifth job finds no floor. May be told to die once."""

    die_once: str = ""

    def __call__(self, job: Job) -> tuple[View, Provenance]:
        if self.die_once and job.number == 2 and not Path(self.die_once).exists():
            Path(self.die_once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if job.number % 5 == 4:
            raise ScaleError("no floor")
        rgb, depth = asset_scenes.room((80, 60))
        noise = np.random.default_rng(job.seed).normal(1, 1e-3, depth.shape).astype(np.float32)
        view = View(rgb, depth * noise * np.float32(job.metres), asset_scenes.camera(80, 60))
        return view, Provenance("text", job.prompt, job.seed)


def make(
    out: Path, count: int, *, run: object = run_here, source: Rooms | None = None, settings: object = None
) -> list:
    return make_library(
        out,
        plan(PROMPTS, count, 10, (1.0, 2.0)),
        Workshop(source or Rooms(), SETTINGS),
        settings or {"by": "test"},
        run,  # type: ignore[arg-type]
        lambda done: None,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("library")
    make(out, 6)
    return out


def test_the_index_names_every_job(library: Path) -> None:
    index = read_index(library)
    assert [line["number"] for line in index] == list(range(6))
    assert [line["prompt"] for line in index] == PROMPTS * 3
    assert len({line["seed"] for line in index}) == 6
    assert len({line["metres"] for line in index}) == 6
    for line in index:
        assert line["made"] == (line["number"] != 4)
        if line["made"]:
            assert (library / line["folder"] / "metadata.json").is_file()
            assert (library / line["folder"] / f"{line['name']}.ply").is_file()
        else:
            assert line["reason"] == "no floor"


def test_a_run_that_was_interrupted_goes_on_where_it_was(library: Path, tmp_path: Path) -> None:
    done = []

    def interrupted(work: Work, jobs: Iterable[Job]) -> Iterator[tuple[Job, Made]]:
        for job, made in run_here(work, jobs):
            if job.number == 3:
                raise KeyboardInterrupt
            yield job, made

    def counted(work: Work, jobs: Iterable[Job]) -> Iterator[tuple[Job, Made]]:
        for job, made in run_here(work, jobs):
            done.append(job.number)
            yield job, made

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, 6, run=interrupted)
    assert len(read_index(tmp_path)) == 3
    make(tmp_path, 6, run=counted)
    assert done == [3, 4, 5], "nothing is done twice"
    assert contents(tmp_path) == contents(library)
    make(tmp_path, 6, run=counted)
    assert done == [3, 4, 5], "nor is a failure tried again"


def test_the_order_of_the_workers_changes_nothing(library: Path, tmp_path: Path) -> None:
    def backwards(work: Work, jobs: Iterable[Job]) -> Iterator[tuple[Job, Made]]:
        yield from run_here(work, reversed(list(jobs)))

    make(tmp_path, 6, run=backwards)
    assert contents(tmp_path) == contents(library)


def test_a_library_grows(library: Path, tmp_path: Path) -> None:
    make(tmp_path, 2)
    make(tmp_path, 6)
    assert contents(tmp_path) == contents(library)


def test_other_settings_are_refused(tmp_path: Path) -> None:
    make(tmp_path, 1)
    with pytest.raises(DatasetError, match=r"other settings \(by\)"):
        make(tmp_path, 1, settings={"by": "somebody else"})


@pytest.mark.parametrize(
    ("prompts", "count", "seed", "metres"),
    [([], 1, 1, (1, 1)), (["a"], 0, 1, (1, 1)), (["a"], 1, -1, (1, 1)), (["a"], 1, 1, (2, 1)), (["!"], 1, 1, (1, 1))],
)
def test_impossible_plans_are_refused(prompts: list[str], count: int, seed: int, metres: tuple[float, float]) -> None:
    with pytest.raises(MergeError):
        plan(prompts, count, seed, metres)


def test_on_ray_a_killed_workers_job_is_done_again_and_the_result_is_the_same(library: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra 'ray'")
    from ray import cloudpickle

    from merge_ros.synthesis.library_ray import RayRunner

    for module in (sys.modules[__name__], asset_scenes):  # the workers cannot import the tests
        cloudpickle.register_pickle_by_value(module)
    killed = tmp_path / "killed"
    try:
        make(tmp_path / "library", 6, run=RayRunner(2), source=Rooms(str(killed)))
    except BackendError as error:
        if "cannot be reached" not in str(error):
            raise
        pytest.skip(f"Ray's processes do not come up on this machine now: {error}")
    assert killed.exists(), "a worker was killed"
    assert contents(tmp_path / "library") == contents(library)


def test_ray_needs_a_worker() -> None:
    from merge_ros.synthesis.library_ray import RayRunner

    with pytest.raises(ConfigurationError, match="workers=0"):
        RayRunner(0)
