"""Fixtures of the ROS tests: nodes in processes of their own, and a window into their graph."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before rclpy starts: nothing of this leaves the machine.
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


@pytest.fixture(scope="session")
def config_folder() -> Path:
    """The installed config folder, or the one of the source tree."""
    folder = Path(__file__).resolve().parents[2] / "config"
    return folder
