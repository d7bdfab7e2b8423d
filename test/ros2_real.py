"""The real TF, Nav2 and depth_image_proc for the tests: unpacked once per session, or the reason why they cannot be.

They are not on PyPI. A folder with an archive of them, built for the PyPI ROS 2 wheels, is looked for where ROS2_REAL
says, else beside this repository in shared/ros2_real; tests skip where it is missing.
"""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("ROS2_REAL", REPOSITORY.parent / "shared" / "ros2_real"))
ARCHIVES = "ros2_real_jazzy_cp311_*.tar.xz"


@dataclass(frozen=True)
class Ros2Real:
    """An unpacked install prefix. Its README says what it holds.

    Args:
        prefix: of the installation; check_costmap.py, check_navigation.py and their rigs lie in it.
    """

    prefix: Path

    def environment(self, **more: str) -> dict[str, str]:
        """What a process needs in its environment to use it: the variables that must be set before Python starts.

        The same as the prefix's own setup_env.sh, for the environment that the tests run in.
        """
        packages = Path(sysconfig.get_paths()["purelib"])
        libraries = [self.prefix / "lib", Path(sys.prefix) / "lib", *sorted(packages.glob("ros_*.libs"))]
        return {
            "AMENT_PREFIX_PATH": _path(self.prefix, sys.prefix, os.environ.get("AMENT_PREFIX_PATH")),
            "LD_LIBRARY_PATH": _path(*libraries, os.environ.get("LD_LIBRARY_PATH")),
            "PYTHONPATH": _path(self.prefix / "lib/python3.11/site-packages", os.environ.get("PYTHONPATH")),
            # The start-up hook of the wheels would restart Python with a library path of its own.
            "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",
            "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
        } | more


def why_not(folder: Path = FOLDER) -> str:
    """Why the archive cannot be used here, "" when it can."""
    if not list(folder.glob(ARCHIVES)):
        return f"real TF and Nav2 are not here: no {ARCHIVES} in {folder} (ROS2_REAL names another folder)"
    if sys.version_info[:2] != (3, 11) or platform.machine() != "x86_64":
        here = f"{sys.version.split()[0]} on {platform.machine()}"
        return f"real TF and Nav2 are built for Python 3.11 on x86_64, this is {here}"
    return ""


def _path(*parts: object) -> str:
    return os.pathsep.join(str(part) for part in parts if part)


@pytest.fixture(scope="session")
def ros2_real(tmp_path_factory: pytest.TempPathFactory) -> Ros2Real:
    """Unpacked for this session."""
    if reason := why_not():
        pytest.skip(reason)
    prefix = tmp_path_factory.mktemp("ros2_real")
    with tarfile.open(next(iter(sorted(FOLDER.glob(ARCHIVES))))) as archive:
        for member in archive.getmembers():
            member.name = member.name.partition("/")[2]  # below the one folder of the archive
            if member.islnk():
                member.linkname = member.linkname.partition("/")[2]
            if member.name:
                archive.extract(member, prefix, filter="tar")
    return Ros2Real(prefix)
