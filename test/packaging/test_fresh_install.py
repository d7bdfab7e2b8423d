"""The two ways to install, for real: `pip install .` into an empty virtual environment, and `colcon build`.

Slow, and both fetch packages: `pytest -m "not slow"` leaves them out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="tomllib reads pyproject.toml from Python 3.11 on")

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
NOT_SOURCE = (".*", "build", "dist", "*.egg-info", "__pycache__", "*.pyc", "install", "log", "demo_output", "runs")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ROS workspace whose src/merge_ros is a copy of the repository as a clone would be."""
    root = tmp_path_factory.mktemp("workspace")
    shutil.copytree(REPOSITORY, root / "src" / "merge_ros", ignore=shutil.ignore_patterns(*NOT_SOURCE))
    return root


@pytest.fixture(scope="module")
def empty_venv(tmp_path_factory: pytest.TempPathFactory, bare_environment: dict[str, str]) -> Path:
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", venv], env=bare_environment, check=True)
    return venv


def files_of_merge_ros(prefix: Path) -> list[Path]:
    return [path for path in prefix.rglob("*merge_ros*") if path.is_file()]


def test_pip_install_into_an_empty_venv(empty_venv: Path, workspace: Path, bare_environment: dict[str, str]) -> None:
    def run(*command: str | Path) -> str:
        done = subprocess.run(
            command, env=bare_environment, cwd=workspace, stdout=subprocess.PIPE, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    python = empty_venv / "bin" / "python"
    source = workspace / "src" / "merge_ros"

    run(python, "-m", "pip", "install", source)
    run(python, "-c", "import merge_ros.config, merge_ros.geometry, merge_ros.scale")
    assert "depth" in run(empty_venv / "bin" / "merge-ros", "--help")
    assert (empty_venv / "lib" / "merge_ros" / "depth_node").is_file()
    assert "rclpy" not in run(python, "-m", "pip", "list")  # a robot has its ROS already

    run(python, "-m", "pip", "install", *PROJECT["project"]["optional-dependencies"]["ros"], "pytest", "pytest-timeout")
    # The tests of an installation, against this one.
    run(python, "-m", "pytest", "-p", "no:cacheprovider", source / "test" / "packaging" / "test_installation.py")

    run(python, "-m", "pip", "uninstall", "--yes", "merge_ros")
    assert files_of_merge_ros(empty_venv) == []


def test_colcon_build_and_test(empty_venv: Path, workspace: Path, bare_environment: dict[str, str]) -> None:
    """Against the ROS wheels of PyPI, the environment that docs/install.md describes."""
    project = PROJECT["project"]
    requires = [
        *PROJECT["build-system"]["requires"],
        *project["dependencies"],
        *project["optional-dependencies"]["ros"],
    ]
    bin_folder = empty_venv / "bin"
    environment = bare_environment | {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(empty_venv),
        "AMENT_PREFIX_PATH": str(empty_venv),
    }

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], env=environment, cwd=workspace, stdout=subprocess.PIPE, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    subprocess.run(
        [bin_folder / "python", "-m", "pip", "install", *requires, "colcon-common-extensions", "pytest"],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )

    run("colcon build --event-handlers console_direct+")
    run("colcon test --event-handlers console_direct+ && colcon test-result --verbose")
    where = run(". install/setup.bash && python -c 'import merge_ros.msg; print(merge_ros.__file__)'")
    assert Path(where.strip()).is_relative_to(workspace / "install" / "merge_ros")
