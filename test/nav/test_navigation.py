"""Our node under the real Nav2, with our parameter files: what the costmap marks and clears, and a drive to a goal.

Each scenario is a process of its own, as the unpacked Nav2 must be on the library path before Python starts.
"""

from __future__ import annotations

import ctypes.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
pytest.importorskip("mujoco", reason="the simulation needs MuJoCo")

from ros2_real import Ros2Real
from ros_domain import own_domain

HERE = Path(__file__).resolve().parent
CONFIG = HERE.parents[1] / "config"
LIMIT = 500  # seconds; reached only when something is broken, however slow the machine
pytestmark = pytest.mark.timeout(LIMIT + 60)


def run(ros2_real: Ros2Real, scenario: str, *options: str) -> dict[str, Any]:
    """The result of a scenario of scenarios.py."""
    command = [sys.executable, str(HERE / "scenarios.py"), scenario, "--prefix", str(ros2_real.prefix), *options]
    with own_domain() as domain:
        environment = os.environ | ros2_real.environment(
            ROS_DOMAIN_ID=str(domain), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST"
        )
        done = subprocess.run(
            command, env=environment, cwd=ros2_real.prefix, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    if "GraphicsLibraryError" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(result, indent=1))
    return result


@pytest.mark.parametrize("layer", ["voxel", "obstacle"])
def test_with_exact_relative_depth_things_are_marked_and_the_floor_is_free(ros2_real: Ros2Real, layer: str) -> None:
    result = run(ros2_real, "drive", "--layer", layer, "--frames", "8")
    assert result["obstacle_cells"] > 500 and result["floor_cells"] > 2000, "the drive must show enough"
    assert result["recall"] >= 0.95
    assert result["false_marks"] <= 0.01


def with_merge_tiny(ros2_real: Ros2Real, seed: int, frames: int) -> dict[str, Any]:
    pytest.importorskip("torch")
    options = ("--model", "merge-tiny", "--tolerance", "0.2", "--frames", str(frames), "--seed", str(seed))
    return run(ros2_real, "drive", *options)


def test_with_merge_tiny_things_are_marked_and_the_floor_is_free(ros2_real: Ros2Real) -> None:
    """One drive; the aims, over seven, are those of the next test."""
    result = with_merge_tiny(ros2_real, 900_000_000, 6)
    assert result["recall"] >= 0.8
    assert result["false_marks"] <= 0.07


@pytest.mark.slow
@pytest.mark.timeout(7 * LIMIT)
def test_with_merge_tiny_the_aims_are_reached_over_seven_drives(ros2_real: Ros2Real) -> None:
    """All cells together; docs/navigation.md has each drive, and single ones do worse."""
    results = [with_merge_tiny(ros2_real, seed, 10) for seed in range(900_000_000, 900_000_007)]
    totals = {name: sum(result[name] for result in results) for name in results[0]}
    assert totals["found"] >= 0.85 * totals["obstacle_cells"]
    assert totals["falsely_marked"] <= 0.05 * totals["floor_cells"]


@pytest.mark.parametrize("layer", ["voxel", "obstacle"])
def test_what_is_taken_away_is_cleared(ros2_real: Ros2Real, layer: str) -> None:
    """Within a second of frames, at 5 Hz. A thing as high as the camera before open space needs points out there."""
    result = run(ros2_real, "box", "--layer", layer)
    assert result["low_marked"] >= 8 and result["high_marked"] >= 8
    assert result["low_frames_to_clear"] <= 5
    assert result["high_frames_to_clear"] <= 5
    assert (result["ghost_cells"] > 0) == (layer == "voxel"), "the reason for cloud_open"


def test_depth_image_proc_makes_the_same_points(ros2_real: Ros2Real) -> None:
    if ctypes.util.find_library("opencv_calib3d") is None:
        pytest.skip("depth_image_proc needs OpenCV's C++ libraries: apt-get install libopencv-calib3d406")
    result = run(ros2_real, "image_proc")
    assert result["points"] > 10_000 and result["unknown"] > 100
    assert result["same_points_known"]
    assert result["largest_difference"] <= 1e-3


def test_the_files_have_the_same_layers() -> None:
    def costmap(file: str, name: str = "local_costmap") -> dict[str, Any]:
        parameters: dict[str, Any] = yaml.safe_load((CONFIG / file).read_text())[name][name]["ros__parameters"]
        return parameters

    voxel, obstacle = costmap("nav2_voxel_layer.yaml"), costmap("nav2_obstacle_layer.yaml")
    for name in ("local_costmap", "global_costmap"):
        there = costmap("nav2_navigation.yaml", name)
        for layer in ("voxel_layer", "inflation_layer"):
            assert there[layer] == voxel[layer]
    assert obstacle["obstacle_layer"]["depth"] == voxel["voxel_layer"]["depth"]
    assert obstacle["inflation_layer"] == voxel["inflation_layer"] == costmap("nav2_stvl.yaml")["inflation_layer"]
