"""simulation.launch.py and nav2_demo.launch.py for real: a robot that drives as it is told, and Nav2 on top of it."""

from __future__ import annotations

import importlib.util
import json
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
pytest.importorskip("mujoco", reason="the simulation needs MuJoCo")
pytest.importorskip("torch", reason="the depth node of the launch files runs the shipped model with torch")

from ros2_real import Ros2Real

HERE = Path(__file__).resolve().parent
ROS2 = shutil.which("ros2", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
if ROS2 is None or importlib.util.find_spec("launch_ros") is None:
    pytest.skip("the ros2 command line and launch_ros are not installed", allow_module_level=True)
LIMIT = 240.0  # seconds; reached only when something is broken, however slow the machine
pytestmark = pytest.mark.timeout(2 * LIMIT)


class Launched:
    """A launch file that runs, with what it says; `watch` runs watcher.py beside it."""

    def __init__(self, file: str, arguments: tuple[str, ...], folder: Path, environment: dict[str, str]) -> None:
        self.log = folder / "launch.txt"
        self._environment = os.environ | environment | {"ROS_LOG_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
        self._folder = folder
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(ROS2), "launch", "merge_ros", file, *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=folder,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def watch(self, *options: str) -> dict[str, Any]:
        command = [sys.executable, str(HERE / "watcher.py"), *options, "--limit", str(LIMIT)]
        with (self._folder / "watcher.txt").open("w+") as said:
            watcher = subprocess.Popen(
                command, env=self._environment, cwd=self._folder, stdout=said, stderr=subprocess.STDOUT
            )
            while watcher.poll() is None and self.process.poll() is None:
                time.sleep(0.1)  # the watcher ends by itself
            if watcher.poll() is None:
                watcher.kill()
            watcher.wait()
        if "GraphicsLibraryError" in self.output:
            pytest.skip("no OpenGL library that renders without a display")
        words = (self._folder / "watcher.txt").read_text()
        assert watcher.returncode == 0, f"{words[-2000:]}\n{self.output[-4000:]}"
        result: dict[str, Any] = json.loads(next(line for line in words.splitlines() if line.startswith("{")))
        print(json.dumps(result, indent=1))
        return result

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


Start = Callable[..., Launched]


@pytest.fixture
def start(ros2_real: Ros2Real, tmp_path: Path) -> Iterator[Start]:
    running: list[Launched] = []
    domain = str(101 + (os.getpid() + time.monotonic_ns()) % 100)

    def run(file: str, *arguments: str) -> Launched:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = ros2_real.environment(ROS_DOMAIN_ID=domain, ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST", PATH=path)
        running.append(Launched(file, arguments, tmp_path, environment))
        return running[-1]

    yield run
    for launched in running:
        launched.stop()


def test_the_simulated_robot_drives_as_it_is_told_and_its_camera_shows_it(start: Start) -> None:
    launched = start("simulation.launch.py", "depth:=false")
    result = launched.watch("--drive", "0.3")
    assert result["odometry_x"] > 0.2, "forward is x"
    assert abs(result["odometry_y"]) < 0.01
    assert result["odometry_x"] == pytest.approx(result["tf_x"], abs=0.05)
    assert result["camera_in_base"] == pytest.approx([0.1, 0.0, 0.5])
    assert result["optical_axis_in_base"] == pytest.approx([0.966, 0.0, -0.259], abs=1e-3)  # 15 degrees down
    assert result["images_with_info"] >= 3
    assert result["image_size"] == [256, 192]
    assert result["moved_between_images"] > 0.3
    assert result["level_depths"][1] < result["level_depths"][0], "what is ahead came nearer"


def test_nav2_runs_on_the_simulated_robot(start: Start) -> None:
    launched = start("nav2_demo.launch.py", "goal:=1.5 0.0")
    result = launched.watch("--nav2")
    assert result["active"] == {"planner_server": True, "controller_server": True}
    assert result["clouds"] >= 1
    assert result["plan_poses"] > 5, "a path through what the depth node has seen"
    assert result["commands"] > 0, "the controller drives the robot"


def test_without_nav2_the_demo_says_what_is_missing(tmp_path: Path) -> None:
    environment = {"AMENT_PREFIX_PATH": os.environ.get("AMENT_PREFIX_PATH", sys.prefix)}  # without the unpacked Nav2
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(ROS2), "launch", "merge_ros", "nav2_demo.launch.py"],
        env=os.environ | environment | {"PATH": path, "ROS_LOG_DIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode != 0
    assert "needs Nav2" in done.stdout + done.stderr and "nav2_planner" in done.stdout + done.stderr
