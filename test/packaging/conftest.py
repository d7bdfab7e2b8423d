"""The installation under test, and an environment that owes nothing to the shell that started pytest."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ros_domain import own_domain

import merge_ros

REPOSITORY = Path(__file__).resolve().parents[2]
# Set by a sourced ROS workspace, or by the ROS wheels for the processes they start.
ROS_VARIABLES = (
    *("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "COLCON_PREFIX_PATH", "LD_LIBRARY_PATH", "PYTHONPATH"),
    "_ROS_WHEELS_BOOTSTRAP_COMPLETE",
)


@dataclass(frozen=True)
class Installation:
    """Where the imported merge_ros is installed, and the environment that its processes need."""

    prefix: Path
    python_package: Path
    environment: dict[str, str]


@pytest.fixture(scope="session")
def ros_variables() -> Iterator[dict[str, str]]:
    """ROS on this machine only, and in a domain of this test run."""
    with own_domain() as domain:
        yield {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_DOMAIN_ID": str(domain)}


@pytest.fixture(scope="session")
def bare_environment(ros_variables: dict[str, str]) -> dict[str, str]:
    """The environment of a shell in which no ROS variable is set."""
    return {name: value for name, value in os.environ.items() if name not in ROS_VARIABLES} | ros_variables


@pytest.fixture(scope="session")
def installation(bare_environment: dict[str, str], ros_variables: dict[str, str]) -> Installation:
    """The installed package: of pip in this virtual environment (no variables needed), or of a sourced workspace."""
    package = Path(merge_ros.__file__).parent
    if package == REPOSITORY / "merge_ros":
        pytest.skip("merge_ros is imported from the source tree; these tests look at an installation")
    prefix = package.parents[3]  # PREFIX/lib/pythonX.Y/site-packages/merge_ros
    by_pip = prefix == Path(sys.prefix)
    return Installation(prefix, package, bare_environment if by_pip else os.environ | ros_variables)
