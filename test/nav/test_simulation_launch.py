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

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
pytest.importorskip("mujoco", reason="the simulation needs MuJoCo")

from ros2_real import Ros2Real
from ros_domain import own_domain

HERE = Path(__file__).resolve().parent
ROS2 = shutil.which("ros2", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
if ROS2 is None or importlib.util.find_spec("launch_ros") is None:
    pytest.skip("the ros2 command line and launch_ros are not installed", allow_module_level=True)
ROOM = 2  # of those in docs/navigation.md: the shortest way
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
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with own_domain() as domain:
        environment = ros2_real.environment(
            ROS_DOMAIN_ID=str(domain), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST", PATH=path
        )

        def run(file: str, *arguments: str) -> Launched:
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


@pytest.mark.timeout(1800)  # the world is as slow as the machine
def test_the_robot_drives_to_its_goal_under_nav2(ros2_real: Ros2Real, tmp_path: Path) -> None:
    """Round what stands in its way, by the true depth under a random affine change in every frame."""
    from merge_ros.demo.nav_drive import EXACT, SETTINGS, run_drive
    from merge_ros.errors import MissingDependencyError
    from merge_ros.simulation.errand import make_errands

    errand = make_errands(ROOM + 1, SETTINGS)[ROOM]
    try:
        verdict = run_drive(errand, EXACT, tmp_path, ros2_real.environment())
    except MissingDependencyError as error:
        pytest.skip(str(error))
    print(json.dumps(verdict, indent=1))
    assert verdict["outcome"] == "goal" and verdict["clearance"] > 0
    assert verdict["goal_error"] <= 0.3, "Nav2's tolerance is 0.2 m"
    assert verdict["path_length"] >= 3.5 and verdict["plans"] >= 5
    assert verdict["with_metres"] >= 0.8
    film = np.load(tmp_path / "drive.npz")
    moved = np.hypot(*(film["pose"][-1, :2] - film["goal"]))
    assert moved == pytest.approx(verdict["goal_error"], abs=0.2), "filmed to the end"
    assert (film["grid"][-1] == 100).any(), "the costmap was filled by /merge/points"


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
