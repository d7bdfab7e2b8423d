import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from merge_ros.demo.bag import Recording

pytest.importorskip("rosbags")


def record(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "merge_ros.demo.record", str(out), *options]
    return subprocess.run(command, cwd=out.parent, capture_output=True, text=True, timeout=200, check=False)


def test_a_drive_is_recorded_and_repeats_by_its_seed(tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    options = ("--seed", "5", "--seconds", "0.5", "--size", "64", "48")
    bags = [tmp_path / name / "bag" for name in ("a", "b")]
    for bag in bags:
        bag.parent.mkdir()
        done = record(bag, *options)
        assert done.returncode == 0, done.stderr
        assert "MiB" in done.stdout
    first, second = (list(Recording(bag).frames()) for bag in bags)
    assert len(first) == 5
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.rgb, other.rgb)
        np.testing.assert_array_equal(one.depth_mm, other.depth_mm)
        assert (one.depth_mm % 10 == 0).all()


def test_an_impossible_drive_is_an_error_with_its_reason(tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    done = record(tmp_path / "bag", "--seconds", "-1")
    assert done.returncode == 2
    assert "DriveSettings.seconds=-1" in done.stderr
    assert not (tmp_path / "bag").exists()
