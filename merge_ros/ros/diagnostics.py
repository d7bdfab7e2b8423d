"""What goes to /diagnostics once per second: is the node well, and if not, what shall be done about it."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from merge_ros.msg import DepthStatus
from merge_ros.ros.frame_report import CODE_NAMES, STAGES, FrameCounters, FrameReport, scale_values
from merge_ros.ros.watchdog import hung_inferences
from merge_ros.scale import ScaleState

FAILURES = (DepthStatus.INFERENCE_FAILED, DepthStatus.INFERENCE_TIMEOUT, DepthStatus.PUBLISHING_FAILED)
SILENT_AFTER = 3.0  # seconds without an image, while active


@dataclass
class NodeHealth:
    """What the node knows about itself. Written by the node's threads, read once per second.

    Args:
        state: of the lifecycle.
        failure: why the last transition failed, "" when it did not.
        model: the loaded model in one line, "" when there is none.
        image_topic: resolved name.
        counters: of frames.
        warning: something that stays wrong until the user changes it, "" when all is well.
        namesakes: that other nodes have this one's name, "" when none has.
        active_since, last_image: `time.monotonic()`.
    """

    image_topic: str
    state: str = "unconfigured"
    failure: str = ""
    model: str = ""
    warning: str = ""
    namesakes: str = ""
    active_since: float = 0.0
    last_image: float = 0.0
    counters: FrameCounters = field(default_factory=FrameCounters)
    last: FrameReport | None = None
    _worst: FrameReport | None = None
    _processed: int = 0
    _idle: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def frame_closed(self, report: FrameReport) -> None:
        """Remember a frame that ended, and the worst one of this second."""
        with self._lock:
            self.last = report
            if self._worst is None or _level(report) > _level(self._worst):
                self._worst = report

    def diagnose(self, node: str, now: float, elapsed: float) -> DiagnosticStatus:
        """The status of the time since the last call.

        Args:
            node: fully qualified name.
            now: `time.monotonic()`.
            elapsed: seconds since the last call.
        """
        with self._lock:
            worst, self._worst = self._worst, None
            last = self.last
        rate = max(self.counters.processed - self._processed, 0) / max(elapsed, 1e-3)
        self._processed = self.counters.processed
        idle, self._idle = self.counters.idle > self._idle, self.counters.idle
        status = DiagnosticStatus(name=f"{node}: depth", hardware_id=self.image_topic)
        status.level, status.message = self._verdict(worst, rate, idle, now)
        status.values = [KeyValue(key=key, value=value) for key, value in self._values(last, rate).items()]
        return status

    def _verdict(self, worst: FrameReport | None, rate: float, idle: bool, now: float) -> tuple[bytes, str]:
        if self.failure:
            return DiagnosticStatus.ERROR, self.failure
        if self.state != "active":
            return (DiagnosticStatus.WARN, self.namesakes) if self.namesakes else (DiagnosticStatus.OK, self.state)
        if worst is not None and _level(worst) != DiagnosticStatus.OK:
            return _level(worst), f"{CODE_NAMES[worst.code]}: {worst.text}"
        if self.namesakes:
            return DiagnosticStatus.WARN, self.namesakes
        silent = now - max(self.active_since, self.last_image)
        if silent > SILENT_AFTER:
            return DiagnosticStatus.WARN, f"no image on {self.image_topic} for {silent:.0f} s"
        if self.warning:
            return DiagnosticStatus.WARN, self.warning
        if idle:
            return DiagnosticStatus.OK, "idle: nobody listens to the node's topics"
        if self.last is not None and self.last.scale is not None and self.last.scale.state == ScaleState.HOLDING:
            return DiagnosticStatus.WARN, f"metric scale HOLDING: {self.last.scale.reason}"
        remark = f"; {worst.text}" if worst is not None and worst.text else ""
        return DiagnosticStatus.OK, f"{rate:.1f} depth maps per second{remark}"

    def _values(self, last: FrameReport | None, rate: float) -> dict[str, str]:
        counters = self.counters
        values = {
            "state": self.state,
            "model": self.model,
            "image_topic": self.image_topic,
            "rate_hz": f"{rate:.2f}",
            "frames_received": str(counters.received),
            "frames_processed": str(counters.processed),
            "frames_dropped": str(counters.dropped),
            "frames_invalid": str(counters.invalid),
            "frames_failed": str(counters.failed),
            "hung_inferences": str(hung_inferences()),
            "frames_idle": str(counters.idle),
            "image_size_changes": str(counters.size_changes),
        }
        values |= {name: str(counters.by_code[code]) for code, name in CODE_NAMES.items()}
        values["warning"] = self.warning
        if last is not None:
            values |= _scale(last)
            values |= {f"latency_{stage}_ms": f"{last.milliseconds.get(stage, float('nan')):.2f}" for stage in STAGES}
        return values


def _scale(report: FrameReport) -> dict[str, str]:
    values = scale_values(report.scale)
    told = {
        "scale_state": ScaleState(values.pop("scale_state")).name,
        "scale_reason": values.pop("scale_reason"),
        "metric": str(values.pop("metric")),
    }
    return told | {name: "unknown" if math.isnan(value) else f"{value:.4f}" for name, value in values.items()}


def _level(report: FrameReport) -> bytes:
    level: bytes = DiagnosticStatus.WARN
    if report.code == DepthStatus.OK or report.expected:
        level = DiagnosticStatus.OK
    elif report.code in FAILURES:
        level = DiagnosticStatus.ERROR
    return level
