"""How fast engines are, measured side by side: each in a process of its own, taking turns.

A machine that also does other things is fast now and slow then. Engines that take turns meet the same moments, so the
ratios of their medians hold where the times themselves do not. Processes of their own keep one engine's memory, threads
and libraries out of another's figures.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import ConfigurationError, MergeError
from merge_ros.estimator import frame_image, unframe_depth
from merge_ros.geometry.framing import plan_framing
from merge_ros.runtime.engine import DepthEngine

STAGES = ("scale_in", "network", "scale_out")
WARM_UPS = 2
LOAD_LIMIT = 1800.0  # seconds; engines for GPUs are built when they are first loaded

Loader = Callable[[], DepthEngine]


@dataclass(frozen=True)
class Workload:
    """What every engine is given.

    Args:
        width, height: of the camera's images.
        batch: images at once.
        processing_pixels: as in `EstimatorSettings`; 0: what the model was made for.
    """

    width: int = 640
    height: int = 480
    batch: int = 1
    processing_pixels: int = 0

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.batch) < 1:
            raise ConfigurationError(f"{self.batch} images of {self.width}x{self.height}: all must be at least 1")


@dataclass
class Measurement:
    """One engine's figures. All times are milliseconds of whole batches.

    Args:
        name: as it was asked for.
        description: of the engine.
        network_size: (width, height) that the network sees.
        load_seconds: from settings to the first result.
        peak_mb: largest resident memory of the process, libraries included.
        stages: each stage's times, one per run, in the order of the runs.
        processor_ms: processor time of each run, all threads.
        problem: why there are no figures; "" when there are.
    """

    name: str
    description: str = ""
    network_size: tuple[int, int] = (0, 0)
    load_seconds: float = 0.0
    peak_mb: float = 0.0
    stages: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    processor_ms: list[float] = field(default_factory=list)
    problem: str = ""

    def total_ms(self) -> list[float]:
        """Times of whole runs."""
        return [sum(times) for times in zip(*(self.stages[stage] for stage in STAGES), strict=True)]

    def summary(self, batch: int) -> dict[str, Any]:
        """Medians and 95th percentiles, for a table or JSON."""
        report: dict[str, Any] = {"name": self.name, "description": self.description, "problem": self.problem}
        if self.problem:
            return report
        total = self.total_ms()
        report |= {
            "network_size": list(self.network_size),
            "ms_p50": float(np.median(total)),
            "ms_p95": float(np.percentile(total, 95)),
            "frames_per_second": 1e3 * batch / float(np.median(total)),
            "processor_ms_p50": float(np.median(self.processor_ms)),
            "load_s": self.load_seconds,
            "peak_mb": self.peak_mb,
        }
        for stage in STAGES:
            report[f"{stage}_ms_p50"] = float(np.median(self.stages[stage]))
            report[f"{stage}_ms_p95"] = float(np.percentile(self.stages[stage], 95))
        return report


def measure(loaders: Mapping[str, Loader], workload: Workload, runs: int) -> list[Measurement]:
    """Load all engines, one after the other, then run them in turn.

    Args:
        loaders: name -> function that loads an engine; picklable, as it is called in another process. An engine that
            raises a `MergeError` is left out, with the reason.
        runs: measured runs of each.

    Raises:
        ConfigurationError: no run is asked for.
    """
    if runs < 1:
        raise ConfigurationError(f"runs={runs} must be at least 1")
    # Not fork: a child must not inherit the libraries and threads of this process.
    context = multiprocessing.get_context("spawn")
    measurements, channels, processes = [], [], []
    try:
        for name, loader in loaders.items():
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(loader, workload, theirs), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            measurement = _loaded(name, ours)
            measurements.append(measurement)
            channels.append(ours)
        for _ in range(runs):
            for measurement, channel in zip(measurements, channels, strict=True):
                if not measurement.problem:
                    _take_turn(measurement, channel)
        for measurement, channel in zip(measurements, channels, strict=True):
            if not measurement.problem:
                channel.send("end")
                measurement.peak_mb = float(channel.recv())
    finally:
        for process in processes:
            process.join(10)
            if process.is_alive():
                process.kill()
    return measurements


def _loaded(name: str, channel: Connection) -> Measurement:
    measurement = Measurement(name)
    try:
        if not channel.poll(LOAD_LIMIT):
            raise EOFError(f"not loaded after {LOAD_LIMIT:.0f} s")
        loaded = channel.recv()
    except EOFError as error:
        measurement.problem = f"its process ended: {error}"
        return measurement
    if isinstance(loaded, str):
        measurement.problem = loaded
    else:
        measurement.description, measurement.network_size, measurement.load_seconds = loaded
    return measurement


def _take_turn(measurement: Measurement, channel: Connection) -> None:
    try:
        channel.send("run")
        times, processor = channel.recv()
    except (EOFError, OSError) as error:
        measurement.problem = f"its process ended: {error}"
        return
    for stage, milliseconds in zip(STAGES, times, strict=True):
        measurement.stages[stage].append(milliseconds)
    measurement.processor_ms.append(processor)


def _serve(loader: Loader, workload: Workload, channel: Connection) -> None:
    """The process of one engine: load it, then run at every word."""
    images = noise_images(workload)
    start = time.perf_counter()
    try:
        engine = loader()
        pixels = workload.processing_pixels or engine.native_pixels
        framing = plan_framing(workload.width, workload.height, pixels, engine.grid)
        run = _Run(engine, framing, images)
        run()
    except MergeError as error:
        channel.send(str(error))
        return
    seconds = time.perf_counter() - start
    for _ in range(WARM_UPS):
        run()
    channel.send((engine.description, (framing.padded_width, framing.padded_height), seconds))
    while channel.recv() == "run":
        processor = time.process_time()
        times = run()
        channel.send((times, (time.process_time() - processor) * 1e3))
    channel.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


def noise_images(workload: Workload) -> NDArray[np.uint8]:
    """[batch, height, width, 3] of noise, the same at every call."""
    shape = (workload.batch, workload.height, workload.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


class _Run:
    """One batch through an engine, timed by stage."""

    def __init__(self, engine: DepthEngine, framing: Any, images: NDArray[np.uint8]) -> None:
        self._engine, self._framing, self._images = engine, framing, images

    def __call__(self) -> tuple[float, float, float]:
        height, width = self._images.shape[1:3]
        marks = [time.perf_counter()]
        framed = np.stack([frame_image(image, self._framing) for image in self._images])
        marks.append(time.perf_counter())
        depths = self._engine(framed)
        marks.append(time.perf_counter())
        for depth in depths:
            unframe_depth(depth, self._framing, width, height)
        marks.append(time.perf_counter())
        scale_in, network, scale_out = (float(1e3 * step) for step in np.diff(marks))
        return scale_in, network, scale_out
