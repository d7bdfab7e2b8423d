"""Where the demo's processes live: a ROS domain of their own on this machine, and a transport that carries images."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from merge_ros.errors import ConfigurationError, MissingDependencyError

TRANSPORT_PROFILE = "share/merge_ros/config/fastdds_shm.xml"
NEEDED = (("rclpy", "ros"), ("rosbags", "demo"), ("PIL", "demo"))

# Ports of a domain (DDSI-RTPS 9.6.1.1): 7400 + 250 * domain, then 11 + 2 * participant for a participant's own traffic.
# Domains up to 101 stay below Linux's ephemeral ports.
BASE_PORT, PORTS_PER_DOMAIN = 7400, 250
FIRST_PARTICIPANT, LAST_OF_DOMAIN = 10, 249
DOMAINS = range(40, 102)


def check_dependencies() -> None:
    """Make sure that what the demo needs is installed, before anything starts.

    Raises:
        MissingDependencyError: names the package and the extra that brings it.
    """
    for package, extra in NEEDED:
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, extra, "the demo")


@contextmanager
def own_domain() -> Iterator[dict[str, str]]:
    """Environment of the demo's processes: ROS on this machine only, in a domain that nobody uses.

    ROS_DOMAIN_ID is respected when it is set, and so are all the other variables of ROS and Fast DDS.

    Raises:
        ConfigurationError: no free domain, or the package is not installed.
    """
    environment = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"} | dict(os.environ)
    environment.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(installed_file(TRANSPORT_PROFILE)))
    if "ROS_DOMAIN_ID" in environment:
        yield environment
        return
    domain, reserved = _reserve_domain()
    with reserved:
        yield environment | {"ROS_DOMAIN_ID": str(domain)}


def installed_file(name: str) -> Path:
    """A file that was installed with the package, below the prefix of the ROS workspace or the virtual environment.

    Raises:
        ConfigurationError: it is not there: the package is not installed, or not wholly.
    """
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    found = next((path for path in (Path(prefix, name) for prefix in prefixes) if path.is_file()), None)
    if found is None:
        raise ConfigurationError(
            f"{name} is in none of {', '.join(prefixes)}: install merge_ros (pip install . or colcon build, and source "
            "the workspace); running from its sources is not enough"
        )
    return found


def _reserve_domain() -> tuple[int, socket.socket]:
    """A free domain, and the socket on its last port that keeps other demos out of it as long as it is open."""
    for domain in DOMAINS:
        base = BASE_PORT + PORTS_PER_DOMAIN * domain
        reserved = _bind(base + LAST_OF_DOMAIN)
        if reserved is None:
            continue
        probe = _bind(base + FIRST_PARTICIPANT)
        if probe is not None:
            probe.close()
            return domain, reserved
        reserved.close()
    raise ConfigurationError(
        f"every ROS domain from {DOMAINS[0]} to {DOMAINS[-1]} is in use on this machine; set ROS_DOMAIN_ID"
    )


def _bind(port: int) -> socket.socket | None:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        return None
    return bound
