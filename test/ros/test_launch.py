"""`ros2 launch merge_ros depth.launch.py` for real, looked at with the ros2 command line."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from sensor_msgs.msg import CameraInfo, Image

from merge_ros.msg import DepthStatus

ROS2 = shutil.which("ros2", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
if ROS2 is None or importlib.util.find_spec("launch_ros") is None:
    pytest.skip("the ros2 command line and launch_ros are not installed", allow_module_level=True)

LIMIT = 120.0  # seconds; reached only when something is broken


def environment(graph: Any, folder: Path) -> dict[str, str]:
    """What a sourced workspace has: the prefix of this Python, where nothing else is sourced."""
    return {
        "ROS_DOMAIN_ID": str(graph.domain),
        "AMENT_PREFIX_PATH": os.environ.get("AMENT_PREFIX_PATH", sys.prefix),
        "ROS_LOG_DIR": str(folder / "log"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
    }


Launch = Callable[..., Any]


@pytest.fixture
def launch(graph: Any, tmp_path: Path, node_process: Any) -> Iterator[Launch]:
    """Starts the launch file with arguments; ends what is left."""
    running = []

    def start(**arguments: Any) -> Any:
        words = [f"{name}:={value}" for name, value in ({"backend": "onnx"} | arguments).items()]
        command = [ROS2, "launch", "merge_ros", "depth.launch.py", *words]
        running.append(node_process(command, tmp_path / "launch.txt", environment(graph, tmp_path)))
        return running[-1]

    yield start
    for process in running:
        process.kill()


@pytest.fixture
def ros2(graph: Any, tmp_path: Path) -> Callable[..., str]:
    """The output of a ros2 command that is tried until it succeeds: discovery takes its time."""

    def run(*words: str) -> str:
        end = time.monotonic() + LIMIT
        while True:
            done = subprocess.run(
                [ROS2, *words],
                capture_output=True,
                text=True,
                timeout=LIMIT,
                env=os.environ | environment(graph, tmp_path),
                cwd=tmp_path,
                check=False,
            )
            if done.returncode == 0 and "not found" not in done.stderr:
                return done.stdout
            if time.monotonic() > end:
                pytest.fail(f"ros2 {' '.join(words)}: {done.stdout}{done.stderr}")

    return run


DIRECT = ("--no-daemon", "--spin-time", "2")
STATUS, IMAGE, CLOUD = "merge_ros/msg/DepthStatus", "sensor_msgs/msg/Image", "sensor_msgs/msg/PointCloud2"


def echo(ros2: Callable[..., str], topic: str, kind: str, *options: str) -> str:
    """The next message of a topic."""
    return ros2("topic", "echo", "--once", "--no-daemon", topic, kind, *options)


def waited(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def ctrl_c(process: Any) -> None:
    """As a terminal does it: to the whole group. The launch system passes it on too, so the node gets it twice."""
    process.signal(signal.SIGINT)
    assert process.wait() == 0, process.output
    assert "Traceback" not in process.output, process.output
    assert "process has finished cleanly" in process.output
    assert "SIGTERM" not in process.output and "SIGKILL" not in process.output


def test_every_argument_is_described(ros2: Any) -> None:
    shown = ros2("launch", "merge_ros", "depth.launch.py", "--show-args")
    for argument in (
        *("image", "camera_info", "params_file", "name", "namespace", "use_sim_time", "autostart", "log_level"),
        *("model", "backend", "device", "precision", "scale_source", "camera_height", "camera_pitch"),
        *("scale", "shift", "fastdds_profile", "view", "view_port", "executable"),
    ):
        lines = shown.split(f"    '{argument}':\n")
        assert len(lines) == 2, argument
        assert len(lines[1].splitlines()[0].strip()) > 15, f"{argument} has no description"


def test_plain_launch_brings_the_node_to_active_and_the_command_line_sees_it(
    launch: Launch, ros2: Any, graph: Any, camera_on: Any, random_model: Path, picture: Image, picture_info: CameraInfo
) -> None:
    process = launch(backend="torch", model=random_model)
    process.wait_for_output("listening to /camera/image_raw")
    assert "fastdds_shm.xml" in environment_of_node(process)["FASTRTPS_DEFAULT_PROFILES_FILE"]
    assert "active [3]" in ros2("lifecycle", "get", "/merge", *DIRECT)
    assert str(random_model) in ros2("param", "get", "/merge", "model", *DIRECT)
    with camera_on("/camera/image_raw", "/camera/camera_info", picture, picture_info):
        status = echo(ros2, "/merge/status", STATUS)
        assert "error_code: 5" in status and "scale_source: none" in status and "camera_optical" in status
        # From relative to metric depth, by the command line alone.
        ros2("param", "set", "/merge", "scale_source", "fixed", *DIRECT)
        assert "camera_optical" in echo(ros2, "/merge/depth", IMAGE, "--field", "header")
        assert "name='rgb'" in echo(ros2, "/merge/points", CLOUD, "--field", "fields")
    ctrl_c(process)


def test_the_viewer_is_started_with_the_names_of_the_node(launch: Launch, graph: Any) -> None:
    pytest.importorskip("rerun", reason="the viewer needs the extra 'view'")
    port = 30_000 + graph.domain * 2
    process = launch(
        view="true", view_port=port, autostart="false", namespace="robot", name="front", image="camera/image"
    )
    process.wait_for_output("listening to /robot/camera/image and /robot/front")
    assert f"http://localhost:{port}" in process.output
    ctrl_c(process)


def test_a_namespace_a_name_and_a_remapped_camera(
    launch: Launch,
    handle_of: Any,
    graph: Any,
    camera_on: Any,
    tmp_path: Path,
    picture: Image,
    picture_info: CameraInfo,
) -> None:
    """With a parameter file of the user's, of which arguments override one value."""
    parameters = tmp_path / "mine.yaml"
    parameters.write_text(
        "/**:\n  ros__parameters:\n"
        "    processing_pixels: 1024\n    scale_source: fixed\n    scale: 3\n    far: 9.0\n    camera_height: 2\n"
    )
    process = launch(
        params_file=parameters,
        namespace="robot",
        name="eye",
        image="/front/rgb",
        camera_info="/front/info",
        camera_height=1,
        fastdds_profile="none",
        log_level="warn",
    )
    node = handle_of(process, "/robot/eye")
    assert (node.get_parameter("camera_height"), node.get_parameter("far")) == (1.0, 9.0)
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" not in environment_of_node(process)
    with camera_on("/front/rgb", "/front/info", picture, picture_info):
        statuses = graph.collect(DepthStatus, "/robot/eye/status")
        waited(lambda: any(status.metric and status.scale == 3.0 for status in statuses))
    assert "listening" not in process.output  # the log level
    ctrl_c(process)


def test_a_wrong_model_stays_unconfigured_says_why_and_can_be_corrected(launch: Launch, handle_of: Any) -> None:
    process = launch(model="/no/such/model")
    process.wait_for_output("could not be configured")
    assert "configure failed" in process.output and "/no/such/model" in process.output
    node = handle_of(process)
    assert node.state() == "unconfigured"
    assert node.set_parameters(model="merge-tiny", processing_pixels=1024)[0].successful
    assert node.change("configure") == [True]
    process.wait_for_output("listening to")  # the launch file activates whatever gets configured
    ctrl_c(process)


def test_without_autostart_the_node_waits(launch: Launch, handle_of: Any) -> None:
    process = launch(autostart="false")
    assert handle_of(process).state() == "unconfigured"
    assert "loading" not in process.output
    ctrl_c(process)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"params_file": "/no/such/file.yaml"}, "params_file:=/no/such/file.yaml"),
        ({"camera_height": "tall"}, "camera_height:=tall: a number is needed"),
        ({"backend": "tpu"}, "Valid options are"),
    ],
)
def test_wrong_arguments_end_the_launch_with_the_reason(launch: Launch, arguments: dict[str, str], words: str) -> None:
    process = launch(**arguments)
    assert process.wait() != 0
    assert words in process.output


def environment_of_node(process: Any) -> dict[str, str]:
    """The environment of the depth node that a launch has started."""
    pid = process.output.split("process started with pid [")[1].split("]")[0]
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def test_several_cameras_are_launched_in_one_process(
    graph: Any,
    handle_of: Any,
    camera_on: Any,
    node_process: Any,
    tmp_path: Path,
    picture: Image,
    picture_info: CameraInfo,
) -> None:
    command = [ROS2, "launch", "merge_ros", "multi_camera.launch.py", "cameras:=left right", "namespace:=robot"]
    command += ["backend:=onnx", "image:=rgb"]
    process = node_process(command, tmp_path / "launch.txt", environment(graph, tmp_path))
    try:
        process.wait_for_output("listening to /robot/right/rgb")
        assert "listening to /robot/left/rgb" in process.output
        for name in ("left", "right"):
            assert handle_of(process, f"/robot/{name}/merge").state() == "active"
        with camera_on("/robot/left/rgb", "/robot/left/camera_info", picture, picture_info):
            # Relative depth, whatever became of the frames before it on a slow machine.
            depths = graph.collect(Image, "/robot/left/merge/depth_relative")
            waited(lambda: depths)
            assert depths[0].header.frame_id == "camera_optical"
        ctrl_c(process)
    finally:
        process.kill()
