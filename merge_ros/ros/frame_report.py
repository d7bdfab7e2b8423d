"""What became of one frame: how long its stages took, what went wrong, and the DepthStatus that says so."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from std_msgs.msg import Header

from merge_ros.errors import MergeError
from merge_ros.msg import DepthStatus
from merge_ros.scale import REPORTED_AT, ScaleEstimate

STAGES = ("queue", "convert", "inference", "scale", "publish", "total")
# Error code -> its name in DepthStatus, in lower case.
CODE_NAMES: dict[int, str] = {
    DepthStatus.INVALID_IMAGE: "invalid_image",
    DepthStatus.INVALID_CAMERA_INFO: "invalid_camera_info",
    DepthStatus.MISSING_CAMERA_INFO: "missing_camera_info",
    DepthStatus.STALE_FRAME: "stale_frame",
    DepthStatus.NO_METRIC_SCALE: "no_metric_scale",
    DepthStatus.INFERENCE_FAILED: "inference_failed",
    DepthStatus.DEPTH_PAUSED: "depth_paused",
    DepthStatus.INFERENCE_TIMEOUT: "inference_timeout",
    DepthStatus.PUBLISHING_FAILED: "publishing_failed",
    DepthStatus.RATE_LIMITED: "rate_limited",
}
DROPPED = (DepthStatus.STALE_FRAME, DepthStatus.RATE_LIMITED, DepthStatus.DEPTH_PAUSED)
INVALID = (DepthStatus.INVALID_IMAGE, DepthStatus.INVALID_CAMERA_INFO, DepthStatus.MISSING_CAMERA_INFO)


class FrameEnded(Exception):
    """Work on a frame ended early; its report says why. Never leaves the node."""


@dataclass
class FrameReport:
    """The story of one frame. The first problem noted is the one that is reported.

    Args:
        header: of the image.
        arrival: `time.perf_counter()` when its message came.
    """

    header: Header
    arrival: float
    code: int = DepthStatus.OK
    text: str = ""
    expected: bool = False  # the problem belongs to the settings or to newest-frame-wins: nothing to warn of
    scale: ScaleEstimate | None = None  # None: the frame ended before it was asked for
    size: tuple[int, int] | None = None  # width and height of the image; None: it could not be read
    estimated: bool = False  # relative depth is there
    unexpected: Exception | None = None  # an error that nobody raised on purpose
    milliseconds: dict[str, float] = field(default_factory=dict)

    def note(self, code: int, text: str, expected: bool = False) -> None:
        """Something is wrong, but the frame goes on."""
        if self.code == DepthStatus.OK:
            self.code, self.text, self.expected = code, text, expected

    def end(self, code: int, text: str) -> FrameEnded:
        """Something is wrong, and the frame ends here: raise what this returns."""
        self.note(code, text)
        return FrameEnded(text)

    @contextmanager
    def stage(self, name: str, code: int) -> Iterator[None]:
        """Time a stage; an error in it ends the frame with this code."""
        start = time.perf_counter()
        try:
            yield
        except FrameEnded:
            raise
        except Exception as error:
            if not isinstance(error, MergeError):
                self.unexpected = error
            kind = "" if isinstance(error, MergeError) else f"{type(error).__name__}: "
            raise self.end(code, f"{kind}{error}") from error
        finally:
            self.milliseconds[name] = 1e3 * (time.perf_counter() - start)

    def started(self) -> None:
        """The frame's turn has come."""
        self.milliseconds["queue"] = 1e3 * (time.perf_counter() - self.arrival)

    def finished(self) -> None:
        """All stages are done."""
        self.milliseconds["total"] = 1e3 * (time.perf_counter() - self.arrival)


class FrameCounters:
    """Counts frames since the node was configured. Safe to use from two threads.

    Every frame that was received and has ended is one of processed, dropped, invalid and failed. A frame with relative
    depth counts as processed, also when its camera info is invalid: `by_code` counts those.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.received = 0
        self.processed = 0
        self.dropped = 0
        self.invalid = 0
        self.failed = 0
        self.idle = 0  # frames that came while nobody listened
        self.size_changes = 0
        self.by_code: Counter[int] = Counter()
        self._size: tuple[int, int] | None = None

    def receive(self, heard: bool) -> None:
        """Count a frame that came; one that nobody would have heard of is idle."""
        with self._lock:
            self.received += heard
            self.idle += not heard

    def close(self, report: FrameReport) -> None:
        """Count what became of a frame."""
        with self._lock:
            if report.estimated:
                self.processed += 1
            elif report.code in DROPPED:
                self.dropped += 1
            elif report.code in INVALID:
                self.invalid += 1
            else:
                self.failed += 1
            self.by_code[report.code] += 1
            if report.size is not None:
                self.size_changes += self._size not in (None, report.size)
                self._size = report.size


def scale_values(estimate: ScaleEstimate | None) -> dict[str, Any]:
    """The fields of a DepthStatus that tell of the metric scale."""
    affine = reading = None
    values: dict[str, Any] = {"scale_state": DepthStatus.SCALE_NONE, "scale_reason": ""}
    sigma: tuple[float, ...] = (math.nan,) * len(REPORTED_AT)
    unconfirmed = math.nan
    if estimate is not None:
        affine, reading, sigma, unconfirmed = estimate.affine, estimate.reading, estimate.sigma, estimate.unconfirmed
        values = {"scale_state": int(estimate.state), "scale_reason": estimate.reason}
    values["metric"] = affine is not None
    values["scale"] = affine.scale if affine else math.nan
    values["shift"] = affine.shift if affine else math.nan
    values |= {f"sigma_{metres:.0f}m": value for metres, value in zip(REPORTED_AT, sigma, strict=True)}
    values["reference_inliers"] = reading.inliers if reading else math.nan
    values["reference_residual"] = reading.residual if reading else math.nan
    values["reference_spread"] = reading.spread if reading else math.nan
    values["unconfirmed_seconds"] = unconfirmed
    return values


def status_message(report: FrameReport, counters: FrameCounters, scale_source: str, mode: str) -> DepthStatus:
    """The message for ~/status."""
    status = DepthStatus(header=report.header, scale_source=scale_source, mode=mode)
    for name, value in scale_values(report.scale).items():
        setattr(status, name, value)
    for stage in STAGES:
        setattr(status, f"latency_{stage}_ms", report.milliseconds.get(stage, math.nan))
    status.frames_received, status.frames_processed = counters.received, counters.processed
    status.frames_dropped, status.frames_invalid = counters.dropped, counters.invalid
    status.frames_failed = counters.failed
    status.error_code, status.error_text = report.code, report.text
    return status
