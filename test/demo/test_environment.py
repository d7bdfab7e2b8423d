import os
import socket
from pathlib import Path

import pytest

from merge_ros.demo import environment
from merge_ros.demo.environment import check_dependencies, installed_file, own_domain
from merge_ros.errors import ConfigurationError, MissingDependencyError


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prefix with the one file that is looked for, and an environment that says nothing of ROS."""
    profile = tmp_path / "prefix" / environment.TRANSPORT_PROFILE
    profile.parent.mkdir(parents=True)
    profile.touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "prefix"))
    for name in ("ROS_DOMAIN_ID", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.delenv(name, raising=False)
    return profile


def test_two_demos_get_two_domains_and_give_them_back() -> None:
    with own_domain() as first, own_domain() as second:
        assert first["ROS_DOMAIN_ID"] != second["ROS_DOMAIN_ID"]
        taken = first["ROS_DOMAIN_ID"]
    with own_domain() as third:
        assert third["ROS_DOMAIN_ID"] == taken


def test_a_domain_that_somebody_uses_is_left_alone() -> None:
    with own_domain() as free:
        domain = int(free["ROS_DOMAIN_ID"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        participant.bind(("127.0.0.1", 7400 + 250 * domain + 10))
        with own_domain() as other:
            assert int(other["ROS_DOMAIN_ID"]) != domain


def test_the_processes_stay_on_this_machine_with_a_transport_for_images(installed: Path) -> None:
    with own_domain() as variables:
        assert variables["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
        assert variables["FASTRTPS_DEFAULT_PROFILES_FILE"] == str(installed)
        assert variables["PATH"] == os.environ["PATH"]


def test_what_the_user_has_set_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {
        "ROS_DOMAIN_ID": "7",
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET",
        "FASTRTPS_DEFAULT_PROFILES_FILE": "/my/profile.xml",
    }
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    with own_domain() as variables:
        assert chosen.items() <= variables.items()


def test_no_free_domain_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "DOMAINS", range(99, 100))
    with own_domain(), pytest.raises(ConfigurationError, match="set ROS_DOMAIN_ID"), own_domain():
        pass


def test_a_package_that_is_not_installed_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="install merge_ros"):
        installed_file("lib/merge_ros/no_such_node")


@pytest.mark.parametrize(("package", "extra"), [("rclpy", "ros"), ("rosbags", "demo"), ("PIL", "demo")])
def test_a_missing_dependency_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    find = environment.importlib.util.find_spec
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None if name == package else find(name))
    if any(find(needed) is None for needed, _ in environment.NEEDED):
        pytest.skip("needs the other packages")
    with pytest.raises(MissingDependencyError, match=rf"'{package}'.*merge_ros\[{extra}\]"):
        check_dependencies()
