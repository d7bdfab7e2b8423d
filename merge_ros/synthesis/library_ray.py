"""Jobs of a library on Ray: several processes of this machine, or of a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from merge_ros.errors import BackendError, ConfigurationError, MergeError, MissingDependencyError
from merge_ros.synthesis.library import Job, Made, Work

RETRIES = 4  # of a job whose worker dies
OBJECT_STORE = 200_000_000  # bytes of shared memory on this machine: the files of a few assets at a time


@dataclass(frozen=True)
class RayRunner:
    """Works jobs off on Ray. What a job makes comes back here, so workers need no disk in common.

    A job whose worker is killed is done again by another, at most `RETRIES` times.

    Args:
        workers: jobs in work at a time, >= 1, each with one CPU.
        address: of a Ray cluster ("auto", "ray://host:10001"); "": workers on this machine, for the time of the run.

    Raises:
        ConfigurationError: no worker.
    """

    workers: int
    address: str = ""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigurationError(f"workers={self.workers} must be at least 1")

    def __call__(self, work: Work, jobs: Iterable[Job]) -> Iterator[tuple[Job, Made]]:
        ray = load_ray()
        _connect(ray, self)
        try:
            shared = ray.put(work)
            do = ray.remote(num_cpus=1, max_retries=RETRIES)(_do)
            waiting = iter(jobs)
            running: dict[Any, Job] = {}
            while True:
                while len(running) < self.workers and (job := next(waiting, None)) is not None:
                    running[do.remote(shared, job)] = job
                if not running:
                    return
                for reference in ray.wait(list(running), num_returns=1)[0]:
                    yield running.pop(reference), _result(ray, reference)
        finally:
            ray.shutdown()


def _do(work: Work, job: Job) -> Made:
    return work(job)


def _connect(ray: Any, runner: RayRunner) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    if runner.address:
        options["address"] = runner.address
    else:
        options |= {
            "num_cpus": runner.workers,
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",  # nobody else needs to reach these workers
            "object_store_memory": OBJECT_STORE,
        }
    try:
        ray.init(**options)
    except Exception as error:  # Ray raises that, bare, when its processes do not come up in time
        raise BackendError(f"Ray cannot be reached at {runner.address or 'this machine'}: {error}") from error


def _result(ray: Any, reference: Any) -> Made:
    try:
        made: Made = ray.get(reference)
    except ray.exceptions.WorkerCrashedError as error:
        raise BackendError(f"the workers of a job died {RETRIES + 1} times: {error}") from error
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, MergeError):
            raise error.cause from error
        raise
    return made


def load_ray() -> Any:
    """Import Ray.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError("ray", "ray", "working on several processes or machines") from error
    return ray
