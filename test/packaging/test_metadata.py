"""One version and one licence everywhere, and documents that name what the build really needs."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.metadata import metadata, version
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="tomllib reads pyproject.toml from Python 3.11 on")

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
MANIFEST = ET.parse(REPOSITORY / "package.xml").getroot()


def test_one_version() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text()
    released = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)

    assert released, "CHANGELOG.md has no version heading"
    assert MANIFEST.findtext("version") == PROJECT["version"] == released[1]


def test_installed_version_is_this_one() -> None:
    import merge_ros

    if Path(merge_ros.__file__).parent == REPOSITORY / "merge_ros":
        pytest.skip("merge_ros is imported from the source tree")

    assert version("merge_ros") == merge_ros.__version__ == PROJECT["version"]


def test_one_licence() -> None:
    assert MANIFEST.findtext("license") == PROJECT["license"] == "Apache-2.0"
    assert "Apache License\n" in (REPOSITORY / "LICENSE").read_text()


def test_installed_command_starts() -> None:
    command = Path(sys.executable).parent / "merge-ros"
    if not command.is_file() or "Requires-Dist" not in metadata("merge_ros"):
        pytest.skip("installed by colcon, which makes no console script")

    done = subprocess.run([command, "--version"], check=True, capture_output=True, text=True)

    assert done.stdout.split() == ["merge-ros", PROJECT["version"]]
