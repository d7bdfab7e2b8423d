"""What an installation holds and does. Run after `pip install .`, and by `colcon test`."""

from __future__ import annotations

import filecmp
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Installation

REPOSITORY = Path(__file__).resolve().parents[2]
# What each needs that may be missing; nav2_msgs and tf2_msgs come with ROS, not from PyPI.
EXECUTABLES = {
    "depth_node": "cv2",
    "exact_depth_node": "cv2",
    "goal_follower": "nav2_msgs",
    "multi_camera_node": "cv2",
    "simulated_robot": "tf2_msgs",
    "view": "rerun",
}

TALKER = """
    import time, rclpy
    from merge_ros.msg import DepthStatus
    rclpy.init()
    node = rclpy.create_node("talker")
    publisher = node.create_publisher(DepthStatus, "status", 1)
    message = DepthStatus(scale_source="ground_plane", metric=True, scale=2.5, shift=-0.25, frames_received=2**40,
                          error_code=DepthStatus.STALE_FRAME, error_text="too old: é")
    message.header.stamp.sec, message.header.frame_id = 12, "camera_optical"
    while True:
        publisher.publish(message)
        time.sleep(0.1)
"""
LISTENER = """
    import json, sys, time, rclpy
    from merge_ros.msg import DepthStatus
    rclpy.init()
    node = rclpy.create_node("listener")
    got = []
    node.create_subscription(DepthStatus, "status", got.append, 1)
    deadline = time.monotonic() + 30
    while not got and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.2)
    message = got[0]
    print(json.dumps([message.scale_source, message.metric, message.scale, message.shift, message.frames_received,
                      message.error_code, message.error_text, message.header.stamp.sec, message.header.frame_id]))
"""
WATCHER = """
    import sys, time, rclpy
    rclpy.init()
    node = rclpy.create_node("watcher")
    deadline = time.monotonic() + 60
    while sys.argv[1] not in node.get_node_names() and time.monotonic() < deadline:
        time.sleep(0.2)
    print(*node.get_node_names())
"""


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), *arguments]


def repository_files(folder: str) -> set[Path]:
    """The files under a folder of the repository that belong to it, relative to the folder."""
    root = REPOSITORY / folder
    return {
        path.relative_to(root)
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def test_messages_cross_processes(installation: Installation, tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    with subprocess.Popen(python(TALKER), env=installation.environment, cwd=tmp_path) as talker:
        try:
            listener = subprocess.run(
                python(LISTENER), env=installation.environment, cwd=tmp_path, stdout=subprocess.PIPE, check=True
            )
        finally:
            talker.kill()

    received = json.loads(listener.stdout)
    assert received == ["ground_plane", True, 2.5, -0.25, 2**40, 4, "too old: é", 12, "camera_optical"]


def test_every_interface_is_registered(installation: Installation) -> None:
    interfaces = {f"{kind}/{name}" for kind in ("msg", "srv", "action") for name in repository_files(kind)}

    index = installation.prefix / "share/ament_index/resource_index"
    registered = (index / "rosidl_interfaces/merge_ros").read_text().split()

    assert (index / "packages/merge_ros").is_file()
    assert interfaces <= set(registered)


@pytest.mark.parametrize("folder", ["launch", "config", "msg"])
def test_share_holds_the_repository_files(installation: Installation, folder: str) -> None:
    share = installation.prefix / "share/merge_ros"
    files = repository_files(folder)

    assert files
    for file in files:
        assert filecmp.cmp(REPOSITORY / folder / file, share / folder / file, shallow=False), f"{file} differs"
    assert filecmp.cmp(REPOSITORY / "package.xml", share / "package.xml", shallow=False)


def test_python_package_is_complete(installation: Installation) -> None:
    for file in repository_files("merge_ros"):
        installed = installation.python_package / file
        assert installed.is_file(), f"{file} is not installed"
        assert filecmp.cmp(REPOSITORY / "merge_ros" / file, installed, shallow=False), f"{file} differs"


def test_no_file_names_a_folder_of_the_build(installation: Installation) -> None:
    """A wheel is built in a temporary folder; a file that names it would be wrong everywhere else."""
    share = installation.prefix / "share/merge_ros"
    for file in (path for path in share.rglob("*") if path.suffix in (".cmake", ".sh", ".dsv", ".json", ".idl")):
        assert "pip-build-env" not in file.read_text(), f"{file} names the build environment"


def test_executables(installation: Installation) -> None:
    folder = installation.prefix / "lib/merge_ros"

    assert {path.name for path in folder.iterdir() if os.access(path, os.X_OK)} == set(EXECUTABLES)


@pytest.mark.parametrize("executable", sorted(EXECUTABLES))
def test_executable_runs_the_node_until_interrupted(
    installation: Installation, tmp_path: Path, executable: str
) -> None:
    pytest.importorskip("rclpy")
    pytest.importorskip(EXECUTABLES[executable])
    command = [str(installation.prefix / "lib/merge_ros" / executable), "--ros-args", "-r", "__node:=under_test"]
    with subprocess.Popen(command, env=installation.environment, cwd=tmp_path) as node:
        try:
            seen = subprocess.run(
                python(WATCHER, "under_test"), env=installation.environment, stdout=subprocess.PIPE, check=True
            )
            node.send_signal(signal.SIGINT)
            status = node.wait(timeout=30)
        finally:
            node.kill()

    assert b"under_test" in seen.stdout.split()
    assert status == 0


@pytest.mark.parametrize("executable", ["goal_follower", "simulated_robot"])
def test_executable_names_the_package_it_lacks(installation: Installation, tmp_path: Path, executable: str) -> None:
    pytest.importorskip("rclpy")
    if importlib.util.find_spec(EXECUTABLES[executable]) is not None:
        pytest.skip(f"{EXECUTABLES[executable]} is installed")
    done = subprocess.run(
        [installation.prefix / "lib/merge_ros" / executable],
        env=installation.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"needs the ROS package {EXECUTABLES[executable]}" in done.stderr


def test_ros2_command_line_finds_the_package(installation: Installation) -> None:
    ros2 = shutil.which("ros2", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if ros2 is None:
        pytest.skip("the ros2 command line is not installed (make test takes it from ROS2_TOOLS)")
    environment = {"AMENT_PREFIX_PATH": str(installation.prefix)} | installation.environment

    def output(*arguments: str) -> str:
        return subprocess.run([ros2, *arguments], env=environment, check=True, capture_output=True, text=True).stdout

    assert set(output("pkg", "executables", "merge_ros").split()) == {"merge_ros", *EXECUTABLES}
    assert "uint64 frames_dropped" in output("interface", "show", "merge_ros/msg/DepthStatus")
    assert "image" in output("launch", "merge_ros", "depth.launch.py", "--show-args")
