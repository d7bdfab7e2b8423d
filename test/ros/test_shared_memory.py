"""Only what no living process owns is removed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from merge_ros.ros.shared_memory import remove_abandoned_segments

DEAD, ALIVE, YOUNG, PORT = (
    "fastrtps_00112233445566ff",
    "fastrtps_8899aabbccddeeff",
    "fastrtps_0123456789abcdef",
    ("fastrtps_port7411"),
)


def test_segments_of_dead_processes_go_and_all_others_stay(tmp_path: Path) -> None:
    for name in (DEAD, ALIVE, YOUNG, PORT):
        (tmp_path / name).write_bytes(bytes(1000))
        (tmp_path / f"{name}_el").touch()
        if name != YOUNG:
            os.utime(tmp_path / f"{name}_el", (1e9, 1e9))
    (tmp_path / "other").write_bytes(bytes(10))
    with (tmp_path / f"{ALIVE}_el").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert remove_abandoned_segments(tmp_path) == 1000
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {name + end for name in (ALIVE, YOUNG, PORT) for end in ("", "_el")} | {"other"}

    assert remove_abandoned_segments(tmp_path) == 1000  # the lock was let go of
    assert remove_abandoned_segments(tmp_path) == 0
    assert remove_abandoned_segments(tmp_path / "nowhere") == 0
