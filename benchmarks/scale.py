"""How good the metric scale is on simulated drives that no training has seen: python benchmarks/scale.py

Every drive is filmed once and judged with an exact relative depth (the truth under a random affine change of every
frame, clipped as a model's) and, with --model, with a model. Prints the tables of docs/scale.md.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import EstimatorSettings, ScaleSettings
from merge_ros.errors import ConfigurationError
from merge_ros.estimator import DepthEstimator
from merge_ros.evaluation.metrics import aligned_metrics
from merge_ros.scale import REPORTED_AT, RangeReturns, Returns, ScaleLock, ScaleState, make_scale
from merge_ros.simulation.dataset import DRIVE_SEED
from merge_ros.simulation.drive import DriveSettings, drive
from merge_ros.simulation.frame import Frame

FPS, SIZE = 5.0, (256, 192)
JUDGED_AT = (3.0, 5.0)  # metres, of those that the lock states its uncertainty at
NEAR, ENOUGH = 0.15, 150  # relative, and pixels: what counts as a distance, and makes a median of it
Depth = NDArray[np.float32]


@dataclass
class Score:
    """What came of all drives of one case."""

    errors: list[float] = field(default_factory=list)  # of the scale: median of depth over truth, minus 1, per frame
    abs_rel: list[float] = field(default_factory=list)
    aligned: list[float] = field(default_factory=list)
    frames_to_lock: list[int] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    # Error of the range at each distance of JUDGED_AT over its stated standard deviation.
    honest: dict[float, list[float]] = field(default_factory=lambda: {metres: [] for metres in JUDGED_AT})

    def row(self, name: str) -> str:
        if not self.errors:
            return f"| {name} | - | - | - | - | - | - | {self._states()} |"
        error = 100 * np.array(self.errors)
        low, middle, high = np.quantile(error, (0.05, 0.5, 0.95))
        within = " and ".join(f"{np.mean(np.abs(v) < 1):.0%}" if v else "-" for v in self.honest.values())
        return (
            f"| {name} | {middle:+.1f} ({low:+.1f} to {high:+.1f}) | {np.abs(error).max():.1f} "
            f"| {np.mean(self.abs_rel):.3f} | {np.mean(self.aligned):.3f} | {np.median(self.frames_to_lock):.0f} "
            f"| {within} | {self._states()} |"
        )

    def _states(self) -> str:
        total = max(sum(self.states.values()), 1)
        return ", ".join(f"{name} {count / total:.0%}" for name, count in self.states.most_common())


def film(count: int, seconds: float) -> Iterator[list[Frame]]:
    """Drives with cameras of random height, pitch and field of view."""
    rng = np.random.default_rng(5)
    found = seed = 0
    while found < count:
        seed += 1
        settings = DriveSettings(
            seconds=seconds,
            fps=FPS,
            size=SIZE,
            camera_height=float(rng.uniform(0.25, 1.0)),
            camera_pitch=float(rng.uniform(0, 20)),
            fov=float(rng.uniform(60, 90)),
        )
        try:
            frames = list(drive(DRIVE_SEED + 500 + seed, settings))
        except ConfigurationError:
            continue  # no way of that length in this room
        found += 1
        yield frames


def exact(depth: Depth, seed: int) -> Depth:
    """The truth as a perfect model gives it: clipped at its 2 % and 98 % quantiles, under an affine change."""
    rng = np.random.default_rng(seed)
    low, high = np.quantile(depth, (0.02, 0.98))
    span, offset = rng.uniform(0.7, 1.0), rng.uniform()
    inside = (depth - low) / (high - low) * span + offset * (1 - span)
    return np.where(depth <= low, 0, np.where(depth >= high, 1, inside)).astype(np.float32)


Feed = Callable[[ScaleLock, Frame, float, int], None]


def no_feed(lock: ScaleLock, frame: Frame, stamp: float, seed: int) -> None:
    """The floor needs nothing."""


def scan_feed(lies: float) -> Feed:
    """Three rings of a lidar at the camera, with 1 % of noise; a share of returns is 0.3 to 3 times as far."""

    def feed(lock: ScaleLock, frame: Frame, stamp: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows = np.array([0.35, 0.5, 0.7]) * frame.camera.height
        points = (frame.camera.rays() * frame.depth[..., None])[rows.astype(int)].reshape(-1, 3).astype(np.float64)
        factor = 1 + 0.01 * rng.standard_normal(len(points))
        wrong = rng.random(len(points)) < lies
        factor[wrong] *= np.exp(rng.uniform(-1.1, 1.1, np.count_nonzero(wrong)))
        _add(lock, Returns(points * factor[:, None], "lidar", stamp))

    return feed


def depth_feed(lock: ScaleLock, frame: Frame, stamp: float, seed: int) -> None:
    """Another depth image of the same camera, a quarter of the size, 2 % of noise."""
    points = (frame.camera.rays() * frame.depth[..., None])[::4, ::4].reshape(-1, 3).astype(np.float64)
    noise = 1 + 0.02 * np.random.default_rng(seed).standard_normal((len(points), 1))
    _add(lock, Returns(points * noise, "camera", stamp))


def _add(lock: ScaleLock, returns: Returns) -> None:
    if isinstance(lock.reference, RangeReturns):
        lock.reference.add(returns)


def run(frames: list[Frame], relatives: list[Depth], source: str, feed: Feed, score: Score, height: float) -> None:
    """One drive through one case."""
    first = frames[0]
    settings = ScaleSettings(
        source=source, camera_height=height * first.camera_height, camera_pitch=first.camera_pitch,
        # The points that are fed are in the optical frame already.
        reference_roll=-math.pi / 2, reference_yaw=-math.pi / 2,
    )  # fmt: skip
    lock = make_scale(settings)
    if not isinstance(lock, ScaleLock):
        raise ConfigurationError(f"scale source {source!r} measures nothing")
    locked = False
    for index, (frame, relative) in enumerate(zip(frames, relatives, strict=True)):
        stamp = 10 + index / FPS
        feed(lock, frame, stamp, index)
        estimate = lock.update(relative, frame.camera, "camera", stamp)
        score.states[estimate.state.name] += 1
        if estimate.affine is None:
            continue
        if not locked:
            locked = True
            score.frames_to_lock.append(index + 1)
        metres, truth = np.clip(estimate.affine.apply(relative), 0.05, 20), frame.depth
        inside = (relative > 0.005) & (relative < 0.995)
        if estimate.state == ScaleState.LOCKED:
            score.errors.append(float(np.median(metres[inside] / truth[inside])) - 1)
            score.abs_rel.append(float(np.mean(np.abs(metres - truth)[inside] / truth[inside])))
            score.aligned.append(aligned_metrics(relative, truth, inside, (1e-3, 20.0)).abs_rel)
            for at, errors in score.honest.items():
                near = inside & (np.abs(metres / at - 1) < NEAR)
                if np.count_nonzero(near) > ENOUGH:
                    sigma = estimate.sigma[REPORTED_AT.index(at)]
                    errors.append(float(np.median((metres - truth)[near])) / sigma)


CASES: dict[str, tuple[str, Feed, float]] = {
    "ground_plane": ("ground_plane", no_feed, 1.0),
    "ground_plane, height 20 % too large": ("ground_plane", no_feed, 1.2),
    "range (3 rings, 1 % noise)": ("range", scan_feed(0.0), 1.0),
    "range, 30 % of the returns lie": ("range", scan_feed(0.3), 1.0),
    "depth (64x48, 2 % noise)": ("depth", depth_feed, 1.0),
}
HEAD = (
    "| source | scale error of LOCKED frames in %, median (5 % to 95 %) | largest | AbsRel | AbsRel, least squares "
    "| frames to lock | within 1 sigma at 3 and 5 m | frames in each state |\n|---|---|---|---|---|---|---|---|"
)


def flicker(frames: list[Frame], estimator: DepthEstimator | None) -> tuple[float, float]:
    """What still pixels share of their change over 30 noisy pictures of one view: relative standard deviation of the
    frames' median, with every frame's reading alone, and filtered."""
    frame = frames[len(frames) // 2]
    settings = ScaleSettings("ground_plane", camera_height=frame.camera_height, camera_pitch=frame.camera_pitch)
    lock = make_scale(settings)
    alone, filtered = [], []
    for index in range(30):
        rng = np.random.default_rng(index)
        if estimator is None:
            noisy = frame.depth * (1 + 0.05 * rng.standard_normal(frame.depth.shape).astype(np.float32))
            relative = exact(noisy, index)
        else:
            picture = frame.rgb + rng.normal(0, 4, frame.rgb.shape)
            relative = estimator(np.clip(picture, 0, 255).astype(np.uint8))
        estimate = lock.update(relative, frame.camera, "camera", 10 + index / FPS)
        affine = estimate.reading.affine() if estimate.reading is not None else None
        if estimate.affine is None or affine is None:
            continue
        alone.append(affine.apply(relative))
        filtered.append(estimate.affine.apply(relative))
    if len(alone) < 10:
        return math.nan, math.nan
    return _common_flicker(alone), _common_flicker(filtered)


def _common_flicker(metres: list[Depth]) -> float:
    stack = np.array(metres)
    return float(np.std(np.median(stack / stack.mean(axis=0), axis=(1, 2))))


def main() -> None:
    """Film, run every case, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drives", type=int, default=24, help="drives (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each drive, at 5 frames a second (%(default)s)")
    parser.add_argument("--model", help="judge this model too, as for `merge-ros depth`")
    arguments = parser.parse_args()
    drives = list(film(arguments.drives, arguments.seconds))
    estimator = DepthEstimator(EstimatorSettings(model=arguments.model)) if arguments.model else None
    for name, see in (("exact relative depth", None), (arguments.model, estimator)):
        if name is None:
            continue
        seen = [
            [see(f.rgb) if see else exact(f.depth, 1000 * d + i) for i, f in enumerate(frames)]
            for d, frames in enumerate(drives)
        ]
        print(f"\n{name}, {sum(map(len, drives))} frames of {len(drives)} drives\n\n{HEAD}")
        for case, (source, feed, height) in CASES.items():
            score = Score()
            for frames, relatives in zip(drives, seen, strict=True):
                run(frames, relatives, source, feed, score, height)
            print(score.row(case), flush=True)
        pairs = np.array([flicker(frames, see) for frames in drives[:6]])
        alone, filtered = np.nanmedian(pairs, axis=0)
        print(
            f"\nflicker that still pixels share, ground_plane: {alone:.2%} by each frame alone, {filtered:.2%} filtered"
        )


if __name__ == "__main__":
    main()
