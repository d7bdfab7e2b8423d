"""Several cameras in one process, with one model: a depth node for each, and one batch of the images that wait.

    ros2 run merge_ros multi_camera_node --ros-args -p cameras:="[front, rear]"

Each camera has a depth node like any other, called merge in the camera's namespace: /front/merge with its own topics,
parameters, scale lock, lifecycle and status.
"""

from __future__ import annotations

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.validate_namespace import validate_namespace

from merge_ros.batching import SharedModel
from merge_ros.config import EstimatorSettings
from merge_ros.errors import ConfigurationError
from merge_ros.estimator import DepthEstimator
from merge_ros.ros.depth_node import DIAGNOSTICS_PERIOD, DepthNode
from merge_ros.ros.process import run_nodes
from merge_ros.ros.watchdog import Estimator

# Name -> default and description. All are read when the process starts.
PARAMETERS: dict[str, tuple[list[str] | bool | float, str]] = {
    "cameras": (["front", "rear"], "Namespaces of the cameras, each of which gets a depth node."),
    "autostart": (True, "Configure and activate the depth nodes; false leaves that to a lifecycle manager."),
    "batch_patience": (
        0.01,
        "Seconds to wait for the images of the other cameras before a batch begins; 0: with those that are there.",
    ),
}
LONGEST_PATIENCE = 1.0  # seconds


class CameraDepthNode(DepthNode):
    """A depth node that shares its model.

    Args:
        model: that it shares.
        namespace: of the camera.
    """

    def __init__(self, model: SharedModel, namespace: str) -> None:
        self._model = model
        # Before the arguments of the process, which are for the node that makes this one.
        super().__init__(cli_args=["--ros-args", "-r", f"__ns:={namespace}", "-r", "__node:=merge"])

    def load(self, settings: EstimatorSettings) -> Estimator:
        """A share of the model."""
        return self._model.join(self.get_namespace(), settings)

    def inference_limit(self, inference_timeout: float) -> float:
        """See `DepthNode.inference_limit`. The wait for the other cameras' images is no inference: it comes on top."""
        return inference_timeout and inference_timeout + self._model.patience


class MultiCameraNode(Node):
    """Makes the depth nodes, starts them, and tells in /diagnostics how their images were batched.

    Raises:
        ConfigurationError: no camera, one that is named twice, or a name that cannot be a namespace.
    """

    def __init__(self) -> None:
        super().__init__("multi_camera")
        value = {}
        for name, (default, text) in PARAMETERS.items():
            described = ParameterDescriptor(description=text, read_only=True)
            if isinstance(default, float):
                described.floating_point_range = [FloatingPointRange(from_value=0.0, to_value=LONGEST_PATIENCE)]
            value[name] = self.declare_parameter(name, default, described).value
        names = _checked(list(value["cameras"]))
        self._model = SharedModel(value["batch_patience"], DepthEstimator)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(DIAGNOSTICS_PERIOD, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.cameras: list[DepthNode] = []
        for name in names:
            self.cameras.append(CameraDepthNode(self._model, f"{self.get_namespace().rstrip('/')}/{name}"))
        if value["autostart"]:
            self._start = self.create_timer(0.0, self._bring_up, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _bring_up(self) -> None:
        """Once, in the executor: a camera that cannot be configured says why, and the others go on."""
        self._start.cancel()
        for camera in self.cameras:
            if camera.bring_up():
                continue
            self.get_logger().error(
                f"{camera.get_fully_qualified_name()} could not be started, for the reason that it logged: set its "
                "parameters (ros2 param set), and configure and activate it (ros2 lifecycle set)"
            )

    def _diagnose(self) -> None:
        batches = dict(self._model.batches)
        images, count = sum(size * number for size, number in batches.items()), sum(batches.values())
        name = self.get_fully_qualified_name().lstrip("/")
        message = f"{images / count:.2f} images in a batch" if count else "no image yet"
        status = DiagnosticStatus(name=f"{name}: batches", level=DiagnosticStatus.OK, message=message)
        status.values = [KeyValue(key=f"batches_of_{size}", value=str(batches[size])) for size in sorted(batches)]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def _checked(names: list[str]) -> list[str]:
    if not names or not all(names) or len(set(names)) < len(names):
        raise ConfigurationError(f"cameras={names}: at least one camera is needed, and each has a name of its own")
    for name in names:
        try:
            validate_namespace(f"/{name}")
        except Exception as error:  # rclpy's InvalidNamespaceException
            raise ConfigurationError(f"cameras={names}: {name!r} cannot be a namespace: {error}") from error
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cameras as a process; returns its exit status."""

    def make() -> list[Node]:
        rig = MultiCameraNode()
        return [rig, *rig.cameras]

    return run_nodes(make, arguments)
