"""Nav2's own costmap, our depth node in a process of its own, and a camera on a simulated robot, moved step by step.

Runs in a process with the environment of the unpacked prefix (`Ros2Real.environment`), and the prefix on sys.path.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge_ros.demo.coded_depth import depth_to_picture
from merge_ros.geometry.camera import Camera

HERE = Path(__file__).resolve().parent
CONFIG = HERE.parents[1] / "config"
NODE = ["-c", "import sys; from merge_ros.ros.depth_node import main; sys.exit(main())"]
FRAME, BASE, ODOM = "camera_optical", "base_link", "odom"
COSTMAP = "local_costmap/local_costmap"
PATIENCE = 120.0  # seconds; reached only when something is broken, however slow the machine
# What the tests set of the node beside the camera's place; docs/navigation.md recommends it.
CLOUD = {"cloud_range": 5.0, "cloud_open": True, "cloud_voxel": 0.02, "edge_filter": 0.1}


class Session:
    """A costmap with one of our files, fed by our node. Use it in a `with` block.

    Args:
        prefix: of the unpacked Nav2.
        layer: "voxel" or "obstacle".
        camera: of the robot; it sits right over the robot's base.
        height: of the camera over the floor in metres.
        pitch: of the camera in radians, positive looks down.
        exact: the model makes no mistake (see merge_ros.demo.exact_depth_node); otherwise the shipped model.
        parameters: more of the node.
        remap: of the costmap's process.
    """

    def __init__(
        self, prefix: Path, layer: str, camera: Camera, height: float, pitch: float, exact: bool, **parameters: Any
    ) -> None:
        from check_costmap import CostmapRig

        self.camera, self.exact = camera, exact
        self.pose = (0.0, 0.0, 0.0)  # x, y in metres, heading
        self.rig = CostmapRig(
            str(prefix),
            str(CONFIG / f"nav2_{layer}_layer.yaml"),
            camera_frame=FRAME,
            camera_xyz=(0.0, 0.0, height),
            camera_pitch_deg=math.degrees(pitch),
            base_tf=False,
            on_node=self._prepare,
            node_name=COSTMAP,
            grid_topic="/local_costmap/costmap",
            remap=["__node:=local_costmap", "__ns:=/local_costmap"],
        )
        self._command = node_command(height, pitch, exact, **parameters)
        self.clouds: dict[tuple[int, int], Any] = {}
        self.statuses: dict[tuple[int, int], Any] = {}

    def __enter__(self) -> Session:
        self._log = Path(self.rig.log_dir, "depth_node.log").open("wb")
        # Not the folder of this file: Python would put it on the node's path.
        self._node = subprocess.Popen(
            self._command, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True, cwd=self.rig.log_dir
        )
        self.rig.procs.append(("depth_node", self._node))  # watched, and stopped with the others
        try:
            self.rig.start(PATIENCE)
            for transition in (1, 3):  # configure, activate
                self._transition("/merge", transition)
            wait = self.rig.node.count_subscribers
            self.until(lambda: wait("/image") and wait("/camera_info"), "the node listens")
            self.until(lambda: self.rig.node.count_publishers("/merge/points"), "the node publishes")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if self._node.poll() is None:
            self._node.send_signal(signal.SIGINT)
        self.rig.stop()
        self._log.close()

    def show(self, rgb: NDArray[np.uint8], depth: NDArray[np.float32]) -> tuple[int, int]:
        """Send a frame taken from the present pose until its cloud has come; returns the stamp of the cloud."""
        stamp = self.try_to_show(rgb, depth, None)
        if stamp is None:
            last = list(self.statuses.values())[-1:]
            raise RuntimeError(f"no cloud of a frame within {PATIENCE} s; last status: {last}")
        return stamp

    def try_to_show(
        self, rgb: NDArray[np.uint8], depth: NDArray[np.float32], tries: int | None
    ) -> tuple[int, int] | None:
        """The same; None when the node has no metric depth of the frame, after so many tries."""
        end = time.monotonic() + PATIENCE
        refused = 0
        while time.monotonic() < end and (tries is None or refused < tries):
            stamp = self._send(depth_to_picture(depth) if self.exact else rgb)
            patience = min(time.monotonic() + 20, end)
            while stamp not in self.clouds and time.monotonic() < patience:
                self.rig.spin(0.02)
                self.rig.check_alive()
                status = self.statuses.get(stamp)
                if status is not None and not status.metric:
                    refused += 1
                    break  # no metric depth of this frame; the next one may have it
            if stamp in self.clouds:
                return stamp
        return None

    def digest(self, grids: int = 3) -> None:
        """Wait until the costmap has worked the last cloud in: this many of its grids have come."""
        wanted = self.rig.n_grids + grids
        self.until(lambda: self.rig.n_grids >= wanted, "the costmap publishes")

    def move(self, x: float, y: float, heading: float) -> None:
        """Put the robot somewhere."""
        self.pose = (x, y, heading)
        self.rig.spin(0.15)  # TF with the new pose, before and after the next image's stamp

    def grid(self) -> NDArray[np.int8]:
        """The newest grid, [y cells, x cells]: 100 lethal, 0 free, -1 unknown."""
        return np.asarray(self.rig.array())

    def cells(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Columns and rows of places in the costmap's frame; they may lie outside of the grid."""
        info = self.rig.grid.info
        column = np.floor((x - info.origin.position.x) / info.resolution).astype(np.intp)
        row = np.floor((y - info.origin.position.y) / info.resolution).astype(np.intp)
        return column, row

    def set_parameter(self, name: str, value: Any) -> None:
        """Change a parameter of the running node."""
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        result = self._call(SetParameters, "/merge/set_parameters", request).results[0]
        if not result.successful:
            raise RuntimeError(f"{name}={value} was refused: {result.reason}")

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Spin until the condition holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            self.rig.spin(0.05)
            self.rig.check_alive()
            if time.monotonic() > end:
                raise RuntimeError(f"not within {PATIENCE} s: {what}; see {self.rig.log_dir}")

    def _prepare(self, node: Any) -> None:
        from rclpy.qos import QoSProfile, ReliabilityPolicy
        from sensor_msgs.msg import CameraInfo, Image, PointCloud2
        from tf2_msgs.msg import TFMessage

        from merge_ros.msg import DepthStatus

        self._tf = node.create_publisher(TFMessage, "/tf", 100)
        self._images = node.create_publisher(Image, "/image", 1)
        self._infos = node.create_publisher(CameraInfo, "/camera_info", 1)
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        node.create_subscription(PointCloud2, "/merge/points", lambda m: self.clouds.__setitem__(_key(m), m), reliable)
        node.create_subscription(
            DepthStatus, "/merge/status", lambda m: self.statuses.__setitem__(_key(m), m), reliable
        )
        node.create_timer(0.02, self._broadcast)

    def _broadcast(self) -> None:
        from geometry_msgs.msg import TransformStamped
        from tf2_msgs.msg import TFMessage

        x, y, heading = self.pose
        transform = TransformStamped(child_frame_id=BASE)
        transform.header.frame_id, transform.header.stamp = ODOM, self.rig.node.get_clock().now().to_msg()
        transform.transform.translation.x, transform.transform.translation.y = float(x), float(y)
        transform.transform.rotation.z, transform.transform.rotation.w = math.sin(heading / 2), math.cos(heading / 2)
        self._tf.publish(TFMessage(transforms=[transform]))

    def _send(self, picture: NDArray[np.uint8]) -> tuple[int, int]:
        from sensor_msgs.msg import CameraInfo
        from std_msgs.msg import Header

        from merge_ros.ros.conversions import array_to_image

        header = Header(frame_id=FRAME, stamp=self.rig.node.get_clock().now().to_msg())
        camera = self.camera
        k = [float(value) for value in camera.matrix.ravel()]
        self._infos.publish(CameraInfo(header=header, width=camera.width, height=camera.height, k=k))
        self._images.publish(array_to_image(np.ascontiguousarray(picture), "rgb8", header))
        return header.stamp.sec, header.stamp.nanosec

    def _transition(self, node: str, transition: int) -> None:
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request()
        request.transition.id = transition
        if not self._call(ChangeState, f"{node}/change_state", request).success:
            raise RuntimeError(f"transition {transition} of {node} failed; see {self.rig.log_dir}")

    def _call(self, kind: Any, name: str, request: Any) -> Any:
        client = self.rig.node.create_client(kind, name)
        self.until(client.service_is_ready, f"service {name}")
        answer = client.call_async(request)
        self.until(answer.done, f"the answer of {name}")
        self.rig.node.destroy_client(client)
        return answer.result()


def _key(message: Any) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def node_command(height: float, pitch: float, exact: bool, **parameters: Any) -> list[str]:
    """Command line of the depth node under a camera of that height (metres) and pitch (radians)."""
    given = {"scale_source": "ground_plane", "camera_height": height, "camera_pitch": pitch, **CLOUD, **parameters}
    arguments = [word for name, value in given.items() for word in ("-p", f"{name}:={_yaml(value)}")]
    command = ["-m", "merge_ros.demo.exact_depth_node"] if exact else NODE
    return [sys.executable, *command, "--ros-args", *arguments]


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def limit_threads() -> None:
    """The tests share their machine."""
    for variable in ("OMP_NUM_THREADS", "LP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
