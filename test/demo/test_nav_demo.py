"""Drives under Nav2: what is missing is named, and the film shows the recording."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from merge_ros.demo.nav2 import NEEDED, Nav2MissingError, nav2_environment
from merge_ros.errors import MissingDependencyError

SECONDS, GRID, CELL = 4, 80, 0.1
MARKED = (1.5, 0.5)  # metres in the odometry's frame, where the recorded costmap has a lethal cell


def test_without_nav2_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    with pytest.raises(Nav2MissingError, match=r"nav2_planner, .* are missing") as refused:
        nav2_environment(tmp_path / "nothing", tmp_path)
    assert str(tmp_path / "nothing") in str(refused.value)


def test_an_installed_nav2_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    for package in NEEDED:
        (index / package).touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path}")
    assert nav2_environment(tmp_path / "nothing", tmp_path) == {}


def test_the_demo_ends_with_the_reason(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="the simulation needs MuJoCo")
    command = [sys.executable, "-m", "merge_ros.demo.nav_demo", "--archives", str(tmp_path), "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    if done.returncode != 2:
        pytest.skip("Nav2 is installed")
    assert "nav2_planner" in done.stderr and str(tmp_path) in done.stderr and "Traceback" not in done.stderr


def test_the_film_shows_costmap_plan_track_and_outcome(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="the simulation needs MuJoCo")
    image = pytest.importorskip("PIL.Image", reason="the film needs the extra 'demo'")
    from merge_ros.demo import nav_film
    from merge_ros.simulation.errand import make_errands
    from merge_ros.simulation.robot import RobotSettings

    (errand,) = make_errands(1, RobotSettings())
    recording(tmp_path / "drive.npz")
    try:
        pictures = nav_film.draw_film(errand, RobotSettings(), tmp_path / "drive.npz", "goal")
    except MissingDependencyError as error:
        pytest.skip(str(error))
    assert len(pictures) == SECONDS
    last = np.asarray(pictures[-1]).astype(int)

    def shows(colour: tuple[int, int, int], pixels: int) -> bool:
        return int((np.abs(last[: nav_film.PLAN_SIZE[1]] - colour).sum(-1) < 40).sum()) >= pixels

    assert shows(nav_film.PLAN, 20) and shows(nav_film.TRACK, 20) and shows(nav_film.GOAL, 20)
    view = nav_film._view(errand, dict(np.load(tmp_path / "drive.npz")))
    ((column, row),) = np.rint(view.pixels(nav_film._in_room(errand, np.array([MARKED])))).astype(int)
    assert last[row, column] == pytest.approx(nav_film.LETHAL, abs=45), "the marked cell, where it is in the room"
    nav_film.write_gif(pictures, tmp_path / "film.gif")
    with image.open(tmp_path / "film.gif") as film:
        assert film.n_frames > 1 and film.size == pictures[0].size


def recording(path: Path) -> None:
    """A robot that drives a metre straight on, a thing to its left."""
    x = np.linspace(0, 1, SECONDS * 10)
    track = np.stack([1000 + 4 * x, x, 0 * x, 0 * x], -1)
    grid = np.zeros((GRID, GRID), np.int8)
    origin = -GRID * CELL / 2
    column, row = (int((value - origin) / CELL) for value in MARKED)
    grid[row - 1 : row + 2, column - 1 : column + 2] = 100
    plan = np.stack([np.linspace(1, 3, 20), np.zeros(20)], -1).astype(np.float32)
    np.savez(
        path,
        goal=np.array([4.0, 0.0]),
        track=track,
        seconds=1001.0 + np.arange(SECONDS),
        pose=np.stack([np.arange(SECONDS) / 4, np.zeros(SECONDS), np.zeros(SECONDS)], -1),
        grid=np.repeat(grid[None], SECONDS, 0),
        origin=np.repeat([[origin, origin, CELL]], SECONDS, 0),
        image=np.zeros((SECONDS, 48, 64, 3), np.uint8),
        depth=np.full((SECONDS, 48, 64), 2.0, np.float16),
        state=np.array(["LOCKED"] * SECONDS),
        path_points=np.tile(plan, (SECONDS, 1)),
        path_ends=20 * (1 + np.arange(SECONDS)),
    )
