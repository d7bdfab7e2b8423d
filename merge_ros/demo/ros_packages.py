"""Parts of ROS that PyPI lacks: imported where they are needed, named where they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from merge_ros.errors import MissingDependencyError


class MissingRosPackageError(MissingDependencyError):
    """A ROS package that is not on PyPI is not installed."""

    def __init__(self, package: str, purpose: str) -> None:
        ImportError.__init__(
            self,
            f"{purpose} needs the ROS package {package}, which is not installed: it is not on PyPI, and comes with ROS "
            f"(apt-get install ros-jazzy-{package.replace('_', '-')})",
        )


def ros_module(name: str, purpose: str) -> Any:
    """Import a module of a ROS package.

    Args:
        name: of the module, such as "tf2_msgs.msg".
        purpose: what needs it, for the error.

    Raises:
        MissingRosPackageError: the package is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingRosPackageError(name.partition(".")[0], purpose) from error
