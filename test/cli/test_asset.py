"""`merge-ros asset`, run as users run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import asset_scenes
import cv2
import numpy as np
import pytest

from merge_ros.cli.main import main

for package in ("trimesh", "scipy", "fast_simplification"):
    pytest.importorskip(package, reason="making assets needs the extra 'assets'")


def _asset(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "merge_ros.cli.main", "asset", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=folder, check=False)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture, its depth in millimetres, and the intrinsics."""
    folder = tmp_path_factory.mktemp("recorded")
    rgb, depth = asset_scenes.room()
    camera = asset_scenes.camera()
    cv2.imwrite(str(folder / "room.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(folder / "depth.png"), np.round(depth * 1000).astype(np.uint16))
    values = {name: getattr(camera, name) for name in ("width", "height", "fx", "fy", "cx", "cy")}
    (folder / "camera.json").write_text(json.dumps(values))
    return folder


def test_from_measured_depth_with_a_check(recorded: Path, tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="--check needs the extra 'sim'")
    source = [recorded / name for name in ("room.png", "depth.png", "camera.json")]
    result = _asset(
        tmp_path, "--from-rgbd", *source, "--out", "assets", "--format", "sdf", "glb", "--check", "--json",
        "--triangles", 3000,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["agreement"]["abs_rel"] < 0.01
    assert told["agreement"]["covered"] > 0.95
    assert told["scale_source"] == {"rule": "as_measured"}
    assert told["size"][2] == pytest.approx(1.19, abs=0.03)
    assert set(told["seconds"]) == {"depth", "cut", "mesh", "collision", "sdf", "glb", "check"}
    for name, size in told["bytes"].items():
        assert (tmp_path / "assets" / "room" / name).stat().st_size == size
    again = _asset(tmp_path, "--from-rgbd", *source, "--out", "assets")
    assert again.returncode == 2
    assert "--overwrite" in again.stderr


def test_from_a_picture_by_estimated_depth(recorded: Path, tmp_path: Path) -> None:
    result = _asset(
        tmp_path, "--from-image", recorded / "room.png", "--out", "assets", "--name", "hall", "--format", "ply",
        "--width", 2.5, "--far-over-near", 3, "--collision", "none",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    stored = json.loads((tmp_path / "assets" / "hall" / "metadata.json").read_text())
    assert stored["size"][1] == pytest.approx(2.5, rel=0.02)
    assert stored["scale_source"]["rule"] == "width"
    assert stored["source"]["model"] == "merge-tiny"
    assert len(stored["source"]["model_fingerprint"]) == 32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from-image", "room.png", "--name", "../up"], "not allowed"),
        (["--from-image", "none.png"], "not an image"),
        (["--from-rgbd", "room.png", "room.png", "camera.json"], "16-bit"),
        (["--from-image", "room.png", "--part", "subject", "--remove-ground"], "--remove-ground is for"),
        (["--from-image", "room.png", "--camera-height", "0"], "metres=0.0 must lie between"),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    full = [str(recorded / word) if (recorded / word).is_file() else word for word in arguments]
    assert main(["asset", *full, "--out", str(tmp_path / "assets")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "assets").exists()
