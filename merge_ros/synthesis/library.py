"""A library of assets for domain randomisation: many prompts and seeds, one folder each, one index. Resumable.

    OUT/library.json          the settings; a folder with others is not continued
    OUT/index.jsonl           one line per job in the order of the jobs: prompt, seed, folder, size, or why it failed
    OUT/NAME_NUMBER/          the assets, each whole or not there
    OUT/failures/             why a job gave no asset (no subject in the picture, say); it is not tried again

What a job makes depends on the job alone, so neither the number of workers nor their order changes a byte.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from merge_ros.config import AssetSettings
from merge_ros.errors import ConfigurationError, DatasetError, InputError, ScaleError
from merge_ros.files import atomic_folder, atomic_write
from merge_ros.synthesis.asset import build_asset
from merge_ros.synthesis.names import name_from, place_in
from merge_ros.synthesis.provenance import Provenance
from merge_ros.synthesis.view import View
from merge_ros.synthesis.write import METADATA, write_into

INDEX, SETTINGS, FAILURES = "index.jsonl", "library.json", "failures"
LONGEST_STEM = 48  # characters of a name that come from the prompt


@dataclass(frozen=True)
class Job:
    """One asset of a library.

    Args:
        number: of the job, from 0.
        prompt: what shall be seen.
        seed: of the generator.
        metres: the length that fixes the size of the asset.
    """

    number: int
    prompt: str
    seed: int
    metres: float

    @property
    def name(self) -> str:
        """Of the asset: the prompt and the number."""
        return f"{name_from(self.prompt)[:LONGEST_STEM].rstrip('_')}_{self.number:05d}"


@dataclass(frozen=True)
class Made:
    """What came of a job: files by their path below the asset's folder, or the reason why there are none."""

    files: Mapping[str, bytes]
    failure: str = ""


Work = Callable[[Job], Made]


class Runner(Protocol):
    """How jobs are worked off: here, or elsewhere."""

    def __call__(self, work: Work, jobs: Iterable[Job]) -> Iterator[tuple[Job, Made]]:
        """Do each job and yield what came of it, in any order."""


@dataclass(frozen=True)
class Workshop:
    """From a job to its files; goes to workers as it is, so it must be picklable.

    Args:
        source: makes the view that a job asks for; loads what it needs when it is first called.
        settings: of the assets.
    """

    source: Callable[[Job], tuple[View, Provenance]]
    settings: AssetSettings

    def __call__(self, job: Job) -> Made:
        try:
            view, provenance = self.source(job)
            asset = build_asset(view, self.settings)
        except (InputError, ScaleError) as error:  # of this picture; everything else is wrong with all of them
            return Made({}, str(error))
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_into(folder, asset, job.name, self.settings, provenance)
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            return Made({path.relative_to(folder).as_posix(): path.read_bytes() for path in files})


def plan(prompts: Sequence[str], count: int, seed: int, metres: tuple[float, float]) -> list[Job]:
    """The jobs of a library: the prompts in turn, each time with the next seed.

    Args:
        prompts: at least one.
        count: jobs, >= 1.
        seed: of the first job.
        metres: lowest and highest size; each job draws its own between them.

    Raises:
        ConfigurationError: no prompt, a count below 1, a negative seed, or a range that is none.
        InputError: no name can be made of a prompt.
    """
    if not prompts or count < 1 or seed < 0 or not 0 < metres[0] <= metres[1]:
        raise ConfigurationError(
            f"a library needs prompts (got {len(prompts)}), count >= 1 (got {count}), seed >= 0 (got {seed}) and sizes "
            f"0 < low <= high (got {metres[0]} to {metres[1]} m)"
        )
    for prompt in prompts:
        name_from(prompt)
    return [
        Job(number, prompts[number % len(prompts)], seed + number, _drawn(seed + number, metres))
        for number in range(count)
    ]


def make_library(
    out: Path,
    jobs: Sequence[Job],
    work: Work,
    settings: Mapping[str, Any],
    run: Runner,
    progress: Callable[[int], None],
) -> list[dict[str, Any]]:
    """Do all jobs that have not been done yet, and write the index.

    Args:
        out: the folder; made if missing, continued if it was begun with the same settings.
        jobs: all of the library.
        work: does one.
        settings: what the assets depend on beside the jobs; JSON types only.
        run: how jobs are worked off.
        progress: told how many more jobs are done, first those that were done before.

    Returns:
        The lines of the index.

    Raises:
        DatasetError: the folder holds a library with other settings, or an asset of another job.
    """
    _begin(out, settings)
    todo = [job for job in jobs if not _is_done(out, job)]
    progress(len(jobs) - len(todo))
    try:
        for job, made in run(work, todo):
            _store(out, job, made)
            progress(1)
    finally:
        records = [_record(out, job) for job in jobs if _is_done(out, job)]
        with atomic_write(out / INDEX) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in records))
    return records


def run_here(work: Work, jobs: Iterable[Job]) -> Iterator[tuple[Job, Made]]:
    """Do the jobs one after the other in this process."""
    for job in jobs:
        yield job, work(job)


def read_index(folder: Path) -> list[dict[str, Any]]:
    """The lines of a library's index.

    Raises:
        DatasetError: the folder has no index, or one that cannot be read.
    """
    path = folder / INDEX
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read: {error}; run merge-ros randomize again to write it") from error


def _drawn(seed: int, metres: tuple[float, float]) -> float:
    return round(float(np.random.default_rng(seed).uniform(*metres)), 6)


def _begin(out: Path, settings: Mapping[str, Any]) -> None:
    stored, wanted = out / SETTINGS, json.loads(json.dumps(settings))
    if not stored.is_file():
        with atomic_write(stored) as temporary:
            temporary.write_text(json.dumps(wanted, indent=2) + "\n")
        return
    try:
        found = json.loads(stored.read_text())
    except ValueError as error:
        raise DatasetError(f"{stored} is damaged: {error}") from error
    if found != wanted:
        names = sorted(set(found) | set(wanted)) if isinstance(found, dict) else []
        other = [name for name in names if found.get(name) != wanted.get(name)]
        raise DatasetError(f"{out} was begun with other settings ({', '.join(other)}); choose another folder")


def _is_done(out: Path, job: Job) -> bool:
    return (place_in(out, job.name) / METADATA).is_file() or _failure(out, job).is_file()


def _failure(out: Path, job: Job) -> Path:
    return out / FAILURES / f"{job.name}.json"


def _store(out: Path, job: Job, made: Made) -> None:
    if made.failure:
        with atomic_write(_failure(out, job)) as temporary:
            temporary.write_text(json.dumps({"seed": job.seed, "reason": made.failure}, indent=2) + "\n")
        return
    with atomic_folder(place_in(out, job.name)) as folder:
        for name, content in made.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _record(out: Path, job: Job) -> dict[str, Any]:
    """The line of the index, from what is on disk."""
    record: dict[str, Any] = asdict(job) | {"name": job.name}
    if _failure(out, job).is_file():
        stored = json.loads(_failure(out, job).read_text())
        return record | {"made": False, "reason": stored["reason"]}
    stored = json.loads((out / job.name / METADATA).read_text())
    if stored["source"]["seed"] != job.seed or stored["source"]["prompt"] != job.prompt:
        raise DatasetError(f"{out / job.name} was made for another job: {stored['source']}")
    return record | {
        "made": True,
        "folder": job.name,
        "formats": stored["formats"],
        "size": stored["size"],
        "triangles": stored["triangles"],
    }
