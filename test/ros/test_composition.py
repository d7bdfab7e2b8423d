"""Depth nodes beside others in one process: a camera in the same executor, and several cameras on one model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")


from camera_rig import CameraRig

from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import image_to_array

LIMIT = 120.0  # seconds; reached only when something is broken

# A camera driver and the depth node in one executor of one process, as a user would compose them.
COMPOSED = """
import sys
import numpy as np
import rclpy
from rclpy.executors import {executor}
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from merge_ros.ros.conversions import array_to_image
from merge_ros.ros.depth_node import DepthNode
from merge_ros.ros.process import run_nodes

class Driver(Node):
    def __init__(self):
        super().__init__("driver", use_global_arguments=False)
        self.images = self.create_publisher(Image, "image", 1)
        self.infos = self.create_publisher(CameraInfo, "camera_info", 1)
        self.create_timer(0.1, self.shoot)
        self.rgb = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)

    def shoot(self):
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id="camera_optical")
        self.infos.publish(CameraInfo(header=header, width=64, height=48, k=[60.0, 0, 31.5, 0, 61.0, 23.5, 0, 0, 1]))
        self.images.publish(array_to_image(self.rgb, "rgb8", header))

rclpy.init(args=sys.argv)
depth, driver = DepthNode(), Driver()
executor = {executor}()
executor.add_node(driver)
executor.add_node(depth)
print("active" if depth.bring_up() else "not active", flush=True)
executor.spin()
"""


@pytest.mark.parametrize("executor", ["SingleThreadedExecutor", "MultiThreadedExecutor"])
def test_a_camera_and_the_depth_node_share_an_executor(start_node: Any, graph: Any, executor: str) -> None:
    statuses = graph.collect(DepthStatus, "/merge/status")
    node = start_node(
        COMPOSED.format(executor=executor),
        scale_source="fixed",
        scale=2.0,
    )
    node.process.wait_for_output("active")
    begin, end = len(statuses), time.monotonic() + LIMIT
    while sum(status.error_code == DepthStatus.OK for status in statuses[begin:]) < 5:
        assert time.monotonic() < end, node.process.output
        time.sleep(0.02)
    assert node.get_parameter("scale") == 2.0  # services answer as well
    node.process.kill()


MULTI = "import sys; from merge_ros.ros.multi_camera_node import main; sys.exit(main())"


def test_two_cameras_share_a_model_and_keep_their_own_scale_status_and_lifecycle(
    start_node: Any, graph: Any, handle_of: Any, tmp_path: Path
) -> None:
    parameters = tmp_path / "cameras.yaml"
    parameters.write_text(
        "/**:\n  ros__parameters:\n    scale_source: fixed\n"
        "/front/merge:\n  ros__parameters:\n    scale: 2.0\n"
        "/rear/merge:\n  ros__parameters:\n    scale: 5.0\n    shift: 1.0\n"
    )
    code = MULTI.replace("sys.exit", f"sys.argv += ['--params-file', {str(parameters)!r}]; sys.exit")
    # Cameras that shoot together shall stay together, on a slow machine too.
    process = start_node(code, name="multi_camera", batch_patience=1.0).process
    rig = CameraRig(graph)
    process.wait_for_output("listening to /rear/image")

    both = rig.exchange("front", "rear")
    assert {name: message.header.frame_id for name, message in both.items()} == {
        "front": "front_optical",
        "rear": "rear_optical",
    }
    for _ in range(3):
        both = rig.exchange("front", "rear")
    front, rear = (image_to_array(both[name]) for name in ("front", "rear"))
    assert front.min() >= 0 and front.max() <= 2 and rear.min() >= 1 and rear.max() > 2
    assert rig.statuses["front"][-1].scale == 2.0 and rig.statuses["rear"][-1].scale == 5.0

    def batches() -> dict[str, int]:
        array = [a for a in graph.received["/diagnostics"] if a.status[0].name == "multi_camera: batches"]
        return {value.key: int(value.value) for value in array[-1].status[0].values} if array else {}

    end = time.monotonic() + LIMIT
    while batches().get("batches_of_2", 0) < 2:
        assert time.monotonic() < end, batches()
        rig.exchange("front", "rear")

    # One is stopped, and the other goes on with the model that both share.
    stopped, going = handle_of(process, "/front/merge"), handle_of(process, "/rear/merge")
    assert stopped.change("deactivate", "cleanup") == [True, True]
    rig.exchange("rear")
    assert going.state() == "active" and stopped.state() == "unconfigured"
    # It can come back, but not with another model.
    assert stopped.set_parameters(threads=2)[0].successful
    assert stopped.change("configure") == [False] and "threads: 2, 1" in process.output
    assert stopped.set_parameters(threads=1)[0].successful
    assert stopped.change("configure", "activate") == [True, True]
    rig.exchange("front", "rear")
    process.kill()


@pytest.mark.parametrize("cameras", ["[front, front]", "['']", "['a b']"])
def test_camera_names_that_cannot_be_are_refused(start_node: Any, cameras: str) -> None:
    process = start_node(MULTI, name="multi_camera", cameras=cameras).process
    assert process.wait() == 1
    assert "cannot start: cameras=" in process.output
