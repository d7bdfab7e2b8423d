"""One errand of the simulated robot under Nav2, from `ros2 launch` to the verdict."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from merge_ros.demo.environment import own_domain
from merge_ros.demo.events import parse
from merge_ros.demo.processes import DemoError, terminated_is_interrupted
from merge_ros.errors import MissingDependencyError
from merge_ros.files import atomic_write
from merge_ros.simulation.errand import Errand
from merge_ros.simulation.robot import Pose, RobotSettings, SimulatedRobot

EXACT = "exact"
SILENCE = 300.0  # seconds without any news, after which something is broken
GRACE = 30.0  # seconds between the signals that end processes
LOG_TAIL = 25  # lines
SETTINGS = RobotSettings()


class Ros2MissingError(MissingDependencyError):
    """The ros2 command line is not installed."""

    def __init__(self) -> None:
        ImportError.__init__(
            self, "this needs the command `ros2 launch`, which comes with ROS (apt-get install ros-jazzy-ros2launch)"
        )


def run_drive(
    errand: Errand,
    depth: str,
    folder: Path,
    environment: dict[str, str],
    tell: Callable[[dict[str, Any]], None] = lambda event: None,
    time_limit: float = 180.0,
) -> dict[str, Any]:
    """Let the robot drive to its goal with `nav2_demo.launch.py`, as it is.

    Args:
        errand: where to.
        depth: `EXACT`, or the depth model.
        folder: gets drive.json (the verdict), drive.npz (the film) and launch.log; made if missing.
        environment: more variables, see `nav2.nav2_environment`.
        tell: gets events of the drive.
        time_limit: simulated seconds.

    Returns:
        The verdict. `outcome` is "goal", "contact", "time limit" or "given up ...".

    Raises:
        MissingDependencyError: there is no ros2 command line.
        DemoError: a process failed.
    """
    ros2 = shutil.which("ros2", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if ros2 is None:
        raise Ros2MissingError
    folder.mkdir(parents=True, exist_ok=True)
    goal = errand.goal_from_start
    launch = [ros2, "launch", "merge_ros", "nav2_demo.launch.py", f"seed:={errand.seed}"]
    launch += [f"goal:={goal.x:.3f} {goal.y:.3f}", *(["exact:=true"] if depth == EXACT else [f"model:={depth}"])]
    recorder = [sys.executable, "-m", "merge_ros.demo.drive_recorder", str(folder.resolve())]
    recorder += ["--goal", str(goal.x), str(goal.y), "--time-limit", str(time_limit)]
    news: queue.Queue[tuple[str, dict[str, Any] | None]] = queue.Queue()
    with own_domain() as domain:
        # Beside the launched nodes, in a folder without code, as Python looks for modules there first.
        everything = domain | environment | {"PYTHONUNBUFFERED": "1", "ROS_LOG_DIR": str(folder.resolve() / "log")}
        with (
            terminated_is_interrupted(),
            _running("launch", launch, folder, everything, news) as said,
            _running("recorder", recorder, folder, everything, news),
        ):
            verdict = _follow(news, said, tell)
    verdict = {"seed": errand.seed, "room": _words(errand), "depth": depth} | verdict
    if (folder / "drive.npz").is_file():
        verdict["clearance"] = round(clearance(errand, np.load(folder / "drive.npz")["track"][:, 1:]), 3)
    with atomic_write(folder / "drive.json") as temporary:
        temporary.write_text(json.dumps(verdict, indent=1) + "\n")
    return verdict


def clearance(errand: Errand, track: np.ndarray) -> float:
    """Least distance in metres between the robot's body and anything, over poses [n, 3] in the odometry's frame."""
    start = errand.start
    with SimulatedRobot(errand.scene, SETTINGS, start) as robot:
        poses = [Pose(*map(float, row)).placed_at(start) for row in track[::10]]
        return min(robot.gap(pose) for pose in poses)


def _words(errand: Errand) -> str:
    scene = errand.scene
    return f"{scene.kind} {scene.length:.1f} x {scene.width:.1f} m, {sum(t.solid for t in scene.things)} things"


def _follow(
    news: queue.Queue[tuple[str, dict[str, Any] | None]], log: Path, tell: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    while True:
        try:
            name, event = news.get(timeout=SILENCE)
        except queue.Empty:
            raise DemoError(f"nothing happened for {SILENCE:.0f} s; the launch says:\n{_tail(log)}") from None
        if event is None:
            raise DemoError(f"the {name} ended unexpectedly; the launch says:\n{_tail(log)}")
        if event.pop("event") == "verdict":
            return event
        tell(event)


@contextmanager
def _running(
    name: str,
    command: list[str],
    folder: Path,
    environment: dict[str, str],
    news: queue.Queue[tuple[str, dict[str, Any] | None]],
) -> Iterator[Path]:
    """A process with all its children, which end with the block; yields its log."""
    log = folder / f"{name}.log"
    log.unlink(missing_ok=True)
    with log.open("a") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            start_new_session=True,
        )

    def read() -> None:
        with log.open("a") as output:
            for line in process.stdout or ():
                event = parse(line)
                if event is None:
                    output.write(line)
                    output.flush()
                else:
                    news.put((name, event))
        news.put((name, None))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield log
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                os.killpg(process.pid, number)
                try:
                    process.wait(GRACE)
                except subprocess.TimeoutExpired:
                    continue
        reader.join(GRACE)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()[-LOG_TAIL:]
    return "\n".join(f"  {line}" for line in lines)
