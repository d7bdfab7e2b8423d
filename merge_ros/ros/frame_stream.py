"""The stream of frames through a depth node: each image in, what came of it out, and a status for every one."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import NamedTuple

from rclpy.lifecycle import LifecycleNode

from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import stamp_nanoseconds
from merge_ros.ros.depth_pipeline import CameraImage, DepthPipeline
from merge_ros.ros.diagnostics import NodeHealth
from merge_ros.ros.frame_report import FrameEnded, FrameReport, status_message
from merge_ros.ros.mode import ModeSwitch
from merge_ros.ros.newest_frame import NewestFrameWorker
from merge_ros.ros.outputs import DepthOutputs
from merge_ros.ros.stamp_rate import StampRate
from merge_ros.ros.watchdog import WatchedEstimator


class Frame(NamedTuple):
    """An image, and when it came (`time.perf_counter()`)."""

    image: CameraImage
    arrival: float


class Configured(NamedTuple):
    """What a depth node holds from configure to cleanup."""

    estimator: WatchedEstimator
    pipeline: DepthPipeline
    outputs: DepthOutputs


class FrameStream:
    """Takes images in the executor's thread, and works on the newest in a thread of its own.

    Args:
        node: whose clock, logger and context it uses.
        health: hears of every frame.
        mode: says whether it is depth's turn.
        given_up: called in the worker's thread when the model hangs for good.

    Attributes:
        configured: what frames are worked on with; None: images are ignored.
        camera_frame: frame id of the newest image, "" before the first.
    """

    def __init__(self, node: LifecycleNode, health: NodeHealth, mode: ModeSwitch, given_up: Callable[[], None]) -> None:
        self.configured: Configured | None = None
        self.camera_frame = ""
        self._node, self._health, self._mode, self._given_up = node, health, mode, given_up
        self._rate = StampRate()
        self._worker = NewestFrameWorker[Frame](self._process, self._replaced, self._report_error)

    def start(self) -> None:
        """Work on what comes from now on."""
        self._worker.start()

    def stop(self) -> None:
        """Finish the frame in flight, then work on none."""
        self._worker.stop()

    def take(self, image: CameraImage) -> None:
        """An image has come."""
        if self.configured is None:
            return
        self.camera_frame = image.header.frame_id
        self._health.last_image = time.monotonic()
        stream = self.configured.pipeline.settings.stream
        heard = not stream.on_demand or self.configured.outputs.anyone_listens()
        self._health.counters.receive(heard)
        frame = Frame(image, time.perf_counter())
        if heard and self._rate.due(stamp_nanoseconds(image.header.stamp), stream.max_rate):
            self._worker.offer(frame)
        elif heard:
            self._drop(frame, DepthStatus.RATE_LIMITED, f"more than max_rate={stream.max_rate:g} images per second")

    def _process(self, frame: Frame) -> None:
        """One frame, in the worker's thread."""
        if self.configured is None:
            return
        estimator, pipeline, outputs = self.configured
        header = frame.image.header
        report = FrameReport(header, frame.arrival)
        report.started()
        age = (self._node.get_clock().now().nanoseconds - stamp_nanoseconds(header.stamp)) * 1e-9
        try:
            if reason := self._mode.no_depth_because():
                raise report.end(DepthStatus.DEPTH_PAUSED, reason)
            with self._mode.frame():
                result = pipeline(frame.image, age, report)
            with report.stage("publish", DepthStatus.PUBLISHING_FAILED):
                outputs.publish(result, header, pipeline.settings)
        except FrameEnded:
            if report.unexpected is not None:
                self._report_error(report.unexpected)
        report.finished()
        self._close(report)
        if estimator.given_up:
            self._given_up()

    def _replaced(self, frame: Frame) -> None:
        self._drop(frame, DepthStatus.STALE_FRAME, "a newer image came before this one's turn")

    def _drop(self, frame: Frame, code: int, reason: str) -> None:
        report = FrameReport(frame.image.header, frame.arrival)
        report.note(code, reason, expected=True)
        self._close(report)

    def _close(self, report: FrameReport) -> None:
        self._health.counters.close(report)
        self._health.frame_closed(report)
        if self.configured is not None and self._node.context.ok():
            _, pipeline, outputs = self.configured
            source = pipeline.settings.scale.source
            outputs.publish_status(status_message(report, self._health.counters, source, self._mode.doing))

    def _report_error(self, error: Exception) -> None:
        if self._node.context.ok():  # after a signal nothing can be published any more, and nobody needs to know
            self._node.get_logger().error("".join(traceback.format_exception(error)))
