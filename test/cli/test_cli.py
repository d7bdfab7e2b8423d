"""The command line, run as users run it."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest


def _as_users_run_it(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "merge_ros.cli.main", *map(str, arguments)]
    # Not in the source tree: there, `python -m` would take its merge_ros for the installed one.
    where = tempfile.gettempdir()
    return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=where, check=False)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    (folder / "hall").mkdir()
    for name in ("a.png", "b.jpg", "hall/a.png"):
        cv2.imwrite(str(folder / name), random.integers(0, 255, (60, 80, 3), np.uint8))
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_help_teaches_without_loading_torch(merge_ros: Any) -> None:
    result = _as_users_run_it("--help")
    assert result.returncode == 0
    assert "examples:" in result.stdout
    check = (
        "import sys, merge_ros.cli.main, merge_ros.cli.depth, merge_ros.cli.verify; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
    for verb in ("depth", "verify"):
        assert "--model" in merge_ros(verb, "--help").stdout


def test_a_folder_of_images(images: Path, tmp_path: Path) -> None:
    result = _as_users_run_it("depth", images, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "3 of 3 images" in result.stdout
    depth = np.load(tmp_path / "hall" / "a_depth.npy")
    assert depth.shape == (60, 80)
    assert depth.dtype == np.float32
    assert cv2.imread(str(tmp_path / "b_depth.png")).shape == (60, 80, 3)
    assert not list(tmp_path.rglob(".*")), "temporary files are gone"


def test_metres_and_a_cloud(merge_ros: Any, images: Path, random_model: Path, tmp_path: Path) -> None:
    scale = ["--scale-source", "fixed", "--scale", 4, "--shift", 0.5, "--hfov", 70]
    result = merge_ros(
        "depth", images / "a.png", "--out", tmp_path, "--model", random_model, "--backend", "torch", *scale
    )
    assert result.returncode == 0, result.stderr
    depth = np.load(tmp_path / "a_depth.npy")
    assert 0.5 <= depth.min() < depth.max() <= 4.5
    assert (
        (tmp_path / "a_cloud.ply").read_bytes().startswith(b"ply\nformat binary_little_endian 1.0\nelement vertex 4800")
    )


def test_one_bad_image_does_not_stop_the_others(
    merge_ros: Any, images: Path, random_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(images, tmp_path / "in"))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff garbage")
    result = merge_ros("depth", folder, "--out", tmp_path / "out", "--model", random_model, "--backend", "torch")
    assert result.returncode == 1
    assert "broken.jpg" in result.stderr
    assert "3 of 4 images" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["depth", "/no/such.jpg", "--out", "x"], "does not exist"),
        (["depth", "notes", "--out", "x"], "holds no image"),
        (["depth", "a.png", "hall/a.png", "--out", "x"], "would both be written"),
        (["depth", "a.png", "--out", "x", "--model", "/nowhere"], "model '/nowhere' does not exist"),
        (["depth", "a.png", "--out", "x", "--scale-source", "ground_plane"], "camera_height"),
        (
            ["depth", "a.png", "--out", "x", "--scale-source", "ground_plane", "--camera-height", "1"],
            "needs --hfov",
        ),
        (["depth", "a.png", "--out", "x", "--steps", "-3"], "steps=-3 must lie between"),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    merge_ros: Any, images: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(images)
    (images / "notes").mkdir(exist_ok=True)
    result = merge_ros(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (images / "x").exists()


def test_verify(merge_ros: Any, reference_base: Path) -> None:
    call = ["verify", "--model", reference_base, "--reference", reference_base / "io.safetensors"]
    result = merge_ros(*call, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["ok"] is True
    assert {row["output"] for row in report["outputs"]} == {"image_out", "depth_out"}
    assert merge_ros(*call, "--tolerance", "0").returncode == 1
    assert "depth_out" in merge_ros(*call).stdout
