"""The real TF, Nav2 and depth_image_proc for the tests: unpacked once per session, or the reason why they cannot be.

They are not on PyPI. A folder with an archive of them, built for the PyPI ROS 2 wheels, is looked for where ROS2_REAL
says, else beside this repository in shared/ros2_real; tests skip where it is missing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("ROS2_REAL", REPOSITORY.parent / "shared" / "ros2_real"))


@dataclass(frozen=True)
class Ros2Real:
    """An unpacked install prefix. Its README says what it holds.

    Args:
        prefix: of the installation; check_costmap.py, check_navigation.py and their rigs lie in it.
    """

    prefix: Path

    def environment(self, **more: str) -> dict[str, str]:
        """What a process needs in its environment to use it: the variables that must be set before Python starts."""
        from merge_ros.demo.nav2 import environment

        return environment(self.prefix) | more


@pytest.fixture(scope="session")
def ros2_real(tmp_path_factory: pytest.TempPathFactory) -> Ros2Real:
    """Unpacked for this session."""
    from merge_ros.demo.nav2 import unpack, why_not

    if reason := why_not(FOLDER):
        pytest.skip(f"real TF and Nav2: {reason}")
    prefix = tmp_path_factory.mktemp("ros2_real")
    unpack(FOLDER, prefix)
    return Ros2Real(prefix)
