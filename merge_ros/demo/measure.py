"""What came out of the depth node, matched by stamp with the truth, and measured."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge_ros.evaluation.metrics import DepthMetrics, aligned_metrics, metric_metrics

DEPTH_RANGE = (1e-3, 20.0)  # metres of true depth that count, and the clip of aligned depth
WAITING = 60  # frames remembered until their result comes
KEPT = 120  # frames kept for pictures, the newest
KEPT_WIDTH = 320  # pixels, at most


@dataclass(frozen=True)
class KeptFrame:
    """A frame for the pictures, thinned to at most `KEPT_WIDTH` columns.

    Args:
        time: seconds of its stamp after the first frame's.
        rgb: [h, w, 3] uint8.
        truth, depth: [h, w] metres; NaN unknown, +inf too far.
        abs_rel: of the full frame, metric.
        latency_ms: from its stamp to its arrival here.
        step: pixels of the camera's image per pixel here.
    """

    time: float
    rgb: NDArray[np.uint8]
    truth: NDArray[np.float32]
    depth: NDArray[np.float32]
    abs_rel: float
    latency_ms: float
    step: int


class Measurements:
    """Takes messages as arrays, in any order, and gives the figures of the run.

    Stamps are nanoseconds. Metric depth is judged as it was published, without any alignment; relative depth after the
    alignment of the zero-shot protocol.
    """

    def __init__(self) -> None:
        self.frames_sent = 0
        self.last_stamp = 0
        self.arrivals: list[int] = []
        self.latencies_ms: list[float] = []
        self.metric: list[DepthMetrics] = []
        self.coverage: list[float] = []
        self.aligned: list[DepthMetrics] = []
        self.status: dict[int, dict[str, Any]] = {}
        self.kept: deque[KeptFrame] = deque(maxlen=KEPT)
        self._first_stamp: int | None = None
        self._waiting: dict[int, dict[str, Any]] = {}

    def add_truth(self, stamp: int, depth_mm: NDArray[np.uint16]) -> None:
        """True depth of a frame, [height, width] millimetres, 0 unknown. Counts as a frame sent."""
        self.frames_sent += 1
        self.last_stamp = max(self.last_stamp, stamp)
        self._first_stamp = stamp if self._first_stamp is None else min(stamp, self._first_stamp)
        metres = depth_mm.astype(np.float32) / 1000
        self._add(stamp, "truth", np.where(depth_mm > 0, metres, np.float32(np.nan)))

    def add_image(self, stamp: int, rgb: NDArray[np.uint8]) -> None:
        """The picture of a frame."""
        self._add(stamp, "rgb", rgb)

    def add_depth(self, stamp: int, depth: NDArray[np.float32], received: int) -> None:
        """Metric depth as published, [height, width] metres, and when it came (nanoseconds)."""
        self.arrivals.append(received)
        self.latencies_ms.append((received - stamp) * 1e-6)
        self._add(stamp, "depth", depth)

    def add_relative(self, stamp: int, relative: NDArray[np.float32]) -> None:
        """Relative depth as published, [height, width] in [0, 1]."""
        self._add(stamp, "relative", relative)

    def add_status(self, stamp: int, **values: Any) -> None:
        """The node's report on a frame."""
        self.status[stamp] = values

    def is_over(self) -> bool:
        """Whether the last frame sent has come to its end, with all that belongs to it."""
        status = self.status.get(self.last_stamp)
        return status is not None and (not status["metric"] or "depth" not in self._missing(self.last_stamp))

    def figures(self) -> dict[str, Any]:
        """The figures; None where there is nothing to tell."""
        spans = [self.arrivals[-1] - self.arrivals[0]] if len(self.arrivals) > 1 else []
        reports = list(self.status.values())
        last: dict[str, Any] = reports[-1] if reports else {}
        ended = [report for report in reports if not math.isnan(report["total_ms"])]
        return {
            "frames": len(self.arrivals),
            "rate_hz": _rounded(1e9 * (len(self.arrivals) - 1) / spans[0] if spans and spans[0] else None),
            "latency_ms_p50": _quantile(self.latencies_ms, 0.5),
            "latency_ms_p95": _quantile(self.latencies_ms, 0.95),
            "abs_rel": _mean([m.abs_rel for m in self.metric]),
            "delta1": _mean([m.delta1 for m in self.metric]),
            "rmse_m": _mean([m.rmse for m in self.metric]),
            "coverage": _mean(self.coverage),
            "abs_rel_aligned": _mean([m.abs_rel for m in self.aligned]),
            "delta1_aligned": _mean([m.delta1 for m in self.aligned]),
            "frames_sent": self.frames_sent,
            "frames_dropped": last.get("frames_dropped"),
            "frames_without_scale": sum(not math.isnan(r["inference_ms"]) and not r["metric"] for r in reports),
            "inference_ms_p50": _quantile([r["inference_ms"] for r in ended], 0.5),
            "node_overhead_ms_p50": _quantile([r["total_ms"] - r["inference_ms"] for r in ended], 0.5),
            "last_problem": next((r["error"] for r in reversed(reports) if r["error"]), None),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The kept frames as arrays, for `numpy.savez`."""
        frames = [asdict(frame) for frame in self.kept]
        return {key: np.array([frame[key] for frame in frames]) for key in (frames[0] if frames else {})}

    def _missing(self, stamp: int) -> set[str]:
        return {"truth", "rgb", "depth", "relative"} - set(self._waiting.get(stamp, {}))

    def _add(self, stamp: int, part: str, array: NDArray[Any]) -> None:
        parts = self._waiting.setdefault(stamp, {})
        parts[part] = array
        if part in ("truth", "depth") and {"truth", "depth"} <= parts.keys():
            parts["metrics"] = self._judge_metric(parts["truth"], parts["depth"])
            parts["latency_ms"] = self.latencies_ms[-1]
        if part in ("truth", "relative") and {"truth", "relative"} <= parts.keys():
            valid = parts["truth"] < DEPTH_RANGE[1]
            self.aligned.append(aligned_metrics(parts["relative"], parts["truth"], valid, DEPTH_RANGE))
        if part in ("truth", "depth", "rgb") and {"truth", "depth", "rgb"} <= parts.keys():
            self._keep(stamp, parts)
        if len(self._waiting) > WAITING:
            del self._waiting[min(self._waiting)]

    def _judge_metric(self, truth: NDArray[np.float32], depth: NDArray[np.float32]) -> DepthMetrics | None:
        true = truth < DEPTH_RANGE[1]
        valid = true & np.isfinite(depth) & (depth > 0)
        self.coverage.append(float(valid.sum() / max(true.sum(), 1)))
        if not valid.any():
            return None
        self.metric.append(metric_metrics(depth, truth, valid))
        return self.metric[-1]

    def _keep(self, stamp: int, parts: dict[str, Any]) -> None:
        step = math.ceil(parts["depth"].shape[1] / KEPT_WIDTH)
        thin = (slice(step // 2, None, step), slice(step // 2, None, step))
        metrics: DepthMetrics | None = parts["metrics"]
        first = stamp if self._first_stamp is None else self._first_stamp
        self.kept.append(
            KeptFrame(
                (stamp - first) * 1e-9,
                parts["rgb"][thin].copy(),
                parts["truth"][thin].copy(),
                parts["depth"][thin].copy(),
                metrics.abs_rel if metrics else math.nan,
                parts["latency_ms"],
                step,
            )
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 4)


def _mean(values: list[float]) -> float | None:
    return _rounded(float(np.mean(values))) if values else None


def _quantile(values: list[float], quantile: float) -> float | None:
    return _rounded(float(np.quantile(values, quantile))) if values else None
