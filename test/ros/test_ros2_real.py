"""The archive of real ROS 2 parts works in a process of the tests' environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ros2_real import Ros2Real

from merge_ros.demo.nav2 import why_not


def test_tf_of_the_archive_is_imported(ros2_real: Ros2Real) -> None:
    code = "import tf2_ros, nav2_msgs.msg; print(tf2_ros.__file__); tf2_ros.Buffer()"
    environment = os.environ | ros2_real.environment()
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(ros2_real.prefix))


def test_the_reason_names_the_folder_that_lacks_the_archive(tmp_path: Path) -> None:
    assert str(tmp_path) in why_not(tmp_path)


def test_the_rigs_of_the_archive_are_there(ros2_real: Ros2Real) -> None:
    for name in ("check_costmap.py", "check_navigation.py"):
        assert (ros2_real.prefix / name).is_file()
    if not os.access(ros2_real.prefix / "lib/nav2_costmap_2d/nav2_costmap_2d", os.X_OK):
        pytest.fail("the costmap cannot be executed")
