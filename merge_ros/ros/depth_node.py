"""The depth node: camera images in; metric depth, its camera info and point clouds out."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CameraInfo
from std_srvs.srv import Trigger

from merge_ros.config import EstimatorSettings
from merge_ros.estimator import DepthEstimator
from merge_ros.msg import DepthStatus
from merge_ros.ros.camera_info import distortion_warning
from merge_ros.ros.camera_inputs import CameraInputs, image_topic
from merge_ros.ros.conversions import stamp_nanoseconds
from merge_ros.ros.depth_pipeline import CameraImage, DepthPipeline
from merge_ros.ros.diagnostics import NodeHealth
from merge_ros.ros.frame_report import FrameCounters, FrameEnded, FrameReport, status_message
from merge_ros.ros.image_server import ImageServer
from merge_ros.ros.lifecycle import explained, refuse_impossible_transitions
from merge_ros.ros.mode import ModeSwitch
from merge_ros.ros.namesakes import Namesakes
from merge_ros.ros.newest_frame import NewestFrameWorker
from merge_ros.ros.outputs import DepthOutputs
from merge_ros.ros.parameters import NodeParameters, NodeSettings
from merge_ros.ros.process import run_node
from merge_ros.ros.scale_inputs import ScaleInputs
from merge_ros.ros.stamp_rate import StampRate
from merge_ros.ros.transforms import TfTransforms
from merge_ros.ros.watchdog import PATIENCE_AT_CLOSE, Estimator, WatchedEstimator
from merge_ros.scale import ScaleLock

WARM_UP_SIZE = (640, 480)  # pixels; the camera's own size is not known before its first image
DIAGNOSTICS_PERIOD = 1.0  # seconds


class Frame(NamedTuple):
    """An image, and when it came (`time.perf_counter()`)."""

    image: CameraImage
    arrival: float


class Configured(NamedTuple):
    """What the node holds from configure to cleanup."""

    estimator: WatchedEstimator
    pipeline: DepthPipeline
    outputs: DepthOutputs


class DepthNode(LifecycleNode):
    """Configure loads the model, activate listens to the camera, deactivate is silent, cleanup lets go of the model.

    Callbacks run in the executor's thread and never wait for inference, which has a thread of its own.

    Args:
        options: of rclpy's Node.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("merge", **options)
        refuse_impossible_transitions(self)
        self._configured: Configured | None = None
        self._worker = NewestFrameWorker[Frame](self._process, self._replaced, self._report_error)
        self._camera_inputs: CameraInputs | None = None
        self._rate = StampRate()
        self._scale_inputs: ScaleInputs | None = None
        self._transforms: TfTransforms | None = None
        self._camera_frame = ""
        self._settings = NodeParameters(self, lambda: self._configured is not None, self._change_settings)
        self._health = NodeHealth(self.resolve_topic_name("image"))
        self._namesakes = Namesakes(self)
        self._diagnosed = time.monotonic()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_service(Trigger, "~/calibrate", self._calibrate)
        self._mode = ModeSwitch()
        self._images = ImageServer(self, self._mode, self._present_estimator, self._settings.settings)
        self._given_up = self.create_guard_condition(self._leave)
        # On a steady clock, to speak also while simulated time stands still.
        self.create_timer(DIAGNOSTICS_PERIOD, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @explained
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model. FAILURE, with the reason in log and diagnostics, when that is not possible."""
        settings = self._settings.settings()
        self.get_logger().info(f"loading {settings.estimator.model}")
        estimator = WatchedEstimator(
            lambda: self._loaded(settings.estimator), settings.stream.inference_timeout, self.get_logger().warning
        )
        try:
            pipeline = DepthPipeline(estimator, settings, self._transforms_for(settings))
            self._configured = Configured(estimator, pipeline, DepthOutputs(self))
        except Exception:
            estimator.close()
            raise
        self._mode.policy = settings.images.mode_policy
        self._health.counters = FrameCounters()
        self._health.model = estimator.description
        self._health.state = "inactive"
        self.get_logger().info(f"ready: {estimator.description}")
        return TransitionCallbackReturn.SUCCESS

    def load(self, settings: EstimatorSettings) -> Estimator:
        """The model; see `DepthEstimator`."""
        return DepthEstimator(settings)

    def _loaded(self, settings: EstimatorSettings) -> Estimator:
        """The model, ready for its first frame."""
        estimator = self.load(settings)
        estimator.warm_up(*WARM_UP_SIZE)
        return estimator

    @explained
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen to the camera."""
        self._listen_to_camera()
        result = super().on_activate(state)
        self._worker.start()
        self._listen_for_scale()
        self._health.active_since = time.monotonic()
        self._health.state = "active"
        self.get_logger().info(f"listening to {self._health.image_topic}")
        return result

    @explained
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Finish the frame in flight, then be silent. ERROR, and so unconfigured, when the model hangs for good."""
        self._stop()
        if self._configured is not None and (reason := self._configured.estimator.given_up):
            self.explain_failure(reason)
            return TransitionCallbackReturn.ERROR
        self._health.state = "inactive"
        return super().on_deactivate(state)

    @explained
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the model."""
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything, in any state."""
        self.release()
        self._health.state = "finalized"
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an unexpected error in a transition: back to unconfigured, holding nothing."""
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def release(self) -> None:
        """Stop, and let go of the model. In any state; a second call changes nothing."""
        self._stop()
        self._images.release()
        if self._configured is not None:
            self._configured.outputs.destroy()
            self._configured.estimator.close()
            self._configured = None
        if self._transforms is not None:
            self._transforms.close()
            self._transforms = None
        self._health.model, self._health.warning = "", ""
        self._health.state = "unconfigured"

    def bring_up(self) -> bool:
        """Configure and activate a node that is unconfigured, from within its process; whether it is active then."""
        if self._health.state == "unconfigured" and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()
        return self._health.state == "active"

    def destroy_node(self) -> None:
        """Let go of everything, soon even if the model hangs, then of the node."""
        if self._configured is not None:
            self._configured.estimator.hurry(PATIENCE_AT_CLOSE)
        self.release()
        self._images.destroy()
        super().destroy_node()

    def _stop(self) -> None:
        if self._camera_inputs is not None:
            self._camera_inputs.destroy()
            self._camera_inputs = None
        if self._scale_inputs is not None:
            self._scale_inputs.destroy()
            self._scale_inputs = None
        self._worker.stop()

    def _transforms_for(self, settings: NodeSettings) -> TfTransforms | None:
        """TF when the settings ask for it; listened to until cleanup from then on."""
        if settings.scale.needs_tf and self._transforms is None:
            self._transforms = TfTransforms(self)
        return self._transforms

    def _listen_to_camera(self) -> None:
        """Subscribe to the camera as the settings have it."""
        if self._camera_inputs is not None:
            self._camera_inputs.destroy()
            self._camera_inputs = None
        if self._configured is not None:
            settings = self._configured.pipeline.settings.camera
            self._health.image_topic = image_topic(self, settings)
            self._camera_inputs = CameraInputs(self, settings, self._on_image, self._on_camera_info)

    def _listen_for_scale(self) -> None:
        """Subscribe to what the scale's source needs, and to nothing else."""
        if self._scale_inputs is not None:
            self._scale_inputs.destroy()
            self._scale_inputs = None
        if self._configured is not None:
            pipeline = self._configured.pipeline
            self._scale_inputs = ScaleInputs(
                self,
                pipeline.settings.scale,
                pipeline.scale,
                pipeline.newest_info,
                lambda: self._camera_frame,
                self._transforms,
            )

    def _calibrate(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Forget the metric scale and search for it again."""
        scale = self._configured.pipeline.scale if self._configured is not None else None
        if isinstance(scale, ScaleLock):
            scale.restart()
            response.success, response.message = True, "searching for the metric scale from the next frame on"
        elif scale is None:
            response.message = f"the node is {self._health.state}: configure it first"
        else:
            source = self._settings.settings().scale.source
            response.message = f"scale_source is {source!r}: there is nothing to calibrate"
        return response

    def _on_image(self, image: CameraImage) -> None:
        if self._configured is None:
            return
        self._camera_frame = image.header.frame_id
        self._health.last_image = time.monotonic()
        stream = self._configured.pipeline.settings.stream
        heard = not stream.on_demand or self._configured.outputs.anyone_listens()
        self._health.counters.receive(heard)
        frame = Frame(image, time.perf_counter())
        if heard and self._rate.due(stamp_nanoseconds(image.header.stamp), stream.max_rate):
            self._worker.offer(frame)
        elif heard:
            self._drop(frame, DepthStatus.RATE_LIMITED, f"more than max_rate={stream.max_rate:g} images per second")

    def _on_camera_info(self, info: CameraInfo) -> None:
        if self._configured is not None:
            pipeline = self._configured.pipeline
            pipeline.add_info(info)
            rectified = pipeline.settings.camera.rectify
            self._health.warning = "" if rectified else distortion_warning(info, self._health.image_topic)

    def _process(self, frame: Frame) -> None:
        """One frame, in the worker's thread."""
        if self._configured is None:
            return
        estimator, pipeline, outputs = self._configured
        header = frame.image.header
        report = FrameReport(header, frame.arrival)
        report.started()
        age = (self.get_clock().now().nanoseconds - stamp_nanoseconds(header.stamp)) * 1e-9
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
            self._given_up.trigger()  # transitions belong to the executor's thread

    def _leave(self) -> None:
        """The model hangs for good: through ErrorProcessing to unconfigured."""
        if self._health.state == "active":
            self.trigger_deactivate()

    def _replaced(self, frame: Frame) -> None:
        self._drop(frame, DepthStatus.STALE_FRAME, "a newer image came before this one's turn")

    def _drop(self, frame: Frame, code: int, reason: str) -> None:
        report = FrameReport(frame.image.header, frame.arrival)
        report.note(code, reason, expected=True)
        self._close(report)

    def _close(self, report: FrameReport) -> None:
        self._health.counters.close(report)
        self._health.frame_closed(report)
        if self._configured is not None and self.context.ok():
            _, pipeline, outputs = self._configured
            source = pipeline.settings.scale.source
            outputs.publish_status(status_message(report, self._health.counters, source, self._mode.doing))

    def _present_estimator(self) -> DepthEstimator | None:
        estimator = self._configured.estimator.present if self._configured is not None else None
        return estimator if isinstance(estimator, DepthEstimator) else None

    def _report_error(self, error: Exception) -> None:
        if self.context.ok():  # after a signal nothing can be published any more, and nobody needs to know
            self.get_logger().error("".join(traceback.format_exception(error)))

    def explain_failure(self, reason: str) -> None:
        """Why a transition failed, "" when it did not: for the log, and its first line for the diagnostics."""
        self._health.failure = reason.partition("\n")[0]
        if reason:
            self.get_logger().error(reason)

    def _change_settings(self) -> None:
        if self._configured is not None:
            settings = self._settings.settings()
            self._mode.policy = settings.images.mode_policy
            self._configured.estimator.limit = settings.stream.inference_timeout
            pipeline = self._configured.pipeline
            before = pipeline.settings.camera.source
            renewed = pipeline.change(settings, self._transforms_for(settings))
            if settings.camera.source != before:
                pipeline.forget_infos()
                if self._camera_inputs is not None:
                    self._listen_to_camera()
            if renewed and self._scale_inputs is not None:
                self._listen_for_scale()

    def _diagnose(self) -> None:
        now = time.monotonic()
        name = self.get_fully_qualified_name().lstrip("/")
        self._health.namesakes = self._namesakes.warning()
        array = DiagnosticArray(status=[self._health.diagnose(name, now, now - self._diagnosed)])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnosed = now
        self._diagnostics.publish(array)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the depth node as a process; returns its exit status."""
    return run_node(DepthNode, arguments)
