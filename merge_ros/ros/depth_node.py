"""The depth node: camera images in; metric depth, its camera info and point clouds out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CameraInfo
from std_srvs.srv import Trigger

from merge_ros.config import EstimatorSettings
from merge_ros.estimator import DepthEstimator
from merge_ros.ros.camera_info import distortion_warning
from merge_ros.ros.camera_inputs import CameraInputs, image_topic
from merge_ros.ros.depth_pipeline import DepthPipeline
from merge_ros.ros.diagnostics import NodeHealth
from merge_ros.ros.frame_report import FrameCounters
from merge_ros.ros.frame_stream import Configured, FrameStream
from merge_ros.ros.image_server import ImageServer
from merge_ros.ros.lifecycle import explained, refuse_impossible_transitions
from merge_ros.ros.mode import ModeSwitch
from merge_ros.ros.namesakes import Namesakes
from merge_ros.ros.outputs import DepthOutputs
from merge_ros.ros.parameters import NodeParameters, NodeSettings
from merge_ros.ros.process import run_node
from merge_ros.ros.scale_inputs import ScaleInputs
from merge_ros.ros.transforms import TfTransforms
from merge_ros.ros.watchdog import PATIENCE_AT_CLOSE, Estimator, WatchedEstimator
from merge_ros.scale import ScaleLock

WARM_UP_SIZE = (640, 480)  # pixels; the camera's own size is not known before its first image
DIAGNOSTICS_PERIOD = 1.0  # seconds


class DepthNode(LifecycleNode):
    """Configure loads the model, activate listens to the camera, deactivate is silent, cleanup lets go of the model.

    Callbacks run in the executor's thread and never wait for inference, which has a thread of its own.

    Args:
        options: of rclpy's Node.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("merge", **options)
        refuse_impossible_transitions(self)
        self._camera_inputs: CameraInputs | None = None
        self._scale_inputs: ScaleInputs | None = None
        self._transforms: TfTransforms | None = None
        self._health = NodeHealth(self.resolve_topic_name("image"))
        self._mode = ModeSwitch()
        self._given_up = self.create_guard_condition(self._leave)  # transitions belong to the executor's thread
        self._stream = FrameStream(self, self._health, self._mode, self._given_up.trigger)
        self._settings = NodeParameters(self, lambda: self._stream.configured is not None, self._change_settings)
        self._namesakes = Namesakes(self)
        self._diagnosed = time.monotonic()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_service(Trigger, "~/calibrate", self._calibrate)
        self._images = ImageServer(self, self._mode, self._present_estimator, self._settings.settings)
        # On a steady clock, to speak also while simulated time stands still.
        self.create_timer(DIAGNOSTICS_PERIOD, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @explained
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model. FAILURE, with the reason in log and diagnostics, when that is not possible."""
        settings = self._settings.settings()
        self.get_logger().info(f"loading {settings.estimator.model}")
        limit = self.inference_limit(settings.stream.inference_timeout)
        estimator = WatchedEstimator(lambda: self._loaded(settings.estimator), limit, self.get_logger().warning)
        try:
            pipeline = DepthPipeline(estimator, settings, self._transforms_for(settings))
            self._stream.configured = Configured(estimator, pipeline, DepthOutputs(self))
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

    def inference_limit(self, inference_timeout: float) -> float:
        """Seconds that an answer of the model may take; 0: no limit."""
        return inference_timeout

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
        self._stream.start()
        self._listen_for_scale()
        self._health.active_since = time.monotonic()
        self._health.state = "active"
        self.get_logger().info(f"listening to {self._health.image_topic}")
        return result

    @explained
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Finish the frame in flight, then be silent. ERROR, and so unconfigured, when the model hangs for good."""
        self._stop()
        if self._stream.configured is not None and (reason := self._stream.configured.estimator.given_up):
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
        if self._stream.configured is not None:
            self._stream.configured.outputs.destroy()
            self._stream.configured.estimator.close()
            self._stream.configured = None
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
        if self._stream.configured is not None:
            self._stream.configured.estimator.hurry(PATIENCE_AT_CLOSE)
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
        self._stream.stop()

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
        if self._stream.configured is not None:
            settings = self._stream.configured.pipeline.settings.camera
            self._health.image_topic = image_topic(self, settings)
            self._camera_inputs = CameraInputs(self, settings, self._stream.take, self._on_camera_info)

    def _listen_for_scale(self) -> None:
        """Subscribe to what the scale's source needs, and to nothing else."""
        if self._scale_inputs is not None:
            self._scale_inputs.destroy()
            self._scale_inputs = None
        if self._stream.configured is not None:
            pipeline = self._stream.configured.pipeline
            self._scale_inputs = ScaleInputs(
                self,
                pipeline.settings.scale,
                pipeline.scale,
                pipeline.newest_info,
                lambda: self._stream.camera_frame,
                self._transforms,
            )

    def _calibrate(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Forget the metric scale and search for it again."""
        scale = self._stream.configured.pipeline.scale if self._stream.configured is not None else None
        if isinstance(scale, ScaleLock):
            scale.restart()
            response.success, response.message = True, "searching for the metric scale from the next frame on"
        elif scale is None:
            response.message = f"the node is {self._health.state}: configure it first"
        else:
            source = self._settings.settings().scale.source
            response.message = f"scale_source is {source!r}: there is nothing to calibrate"
        return response

    def _on_camera_info(self, info: CameraInfo) -> None:
        if self._stream.configured is not None:
            pipeline = self._stream.configured.pipeline
            pipeline.add_info(info)
            rectified = pipeline.settings.camera.rectify
            self._health.warning = "" if rectified else distortion_warning(info, self._health.image_topic)

    def _leave(self) -> None:
        """The model hangs for good: through ErrorProcessing to unconfigured."""
        if self._health.state == "active":
            self.trigger_deactivate()

    def _present_estimator(self) -> DepthEstimator | None:
        estimator = self._stream.configured.estimator.present if self._stream.configured is not None else None
        return estimator if isinstance(estimator, DepthEstimator) else None

    def explain_failure(self, reason: str) -> None:
        """Why a transition failed, "" when it did not: for the log, and its first line for the diagnostics."""
        self._health.failure = reason.partition("\n")[0]
        if reason:
            self.get_logger().error(reason)

    def _change_settings(self) -> None:
        if self._stream.configured is not None:
            settings = self._settings.settings()
            self._mode.policy = settings.images.mode_policy
            self._stream.configured.estimator.limit = self.inference_limit(settings.stream.inference_timeout)
            pipeline = self._stream.configured.pipeline
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
