"""Assets of generated images: made where the image allows it, and said where it does not."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import asset_scenes
import numpy as np
import pytest

from merge_ros.cli.generate import add_parser
from merge_ros.cli.generated_asset import GeneratedAssets
from merge_ros.cli.main import main
from merge_ros.config import AssetScaleSettings, GenerationRequest
from merge_ros.errors import InputError
from merge_ros.generated import GeneratedImage
from merge_ros.synthesis.from_text import generated_view

for package in ("trimesh", "scipy", "fast_simplification"):
    pytest.importorskip(package, reason="making assets needs the extra 'assets'")

ABOUT = {"model": "some-model", "model_hash": "0123"}


def image(*, floor: bool = True) -> GeneratedImage:
    rgb, depth = asset_scenes.room()
    relative = (depth - 0.9 * depth.min()) / (1.1 * depth.max() - 0.9 * depth.min())
    if not floor:
        relative = np.random.default_rng(0).random(depth.shape)
    return GeneratedImage(rgb, relative.astype(np.float32), GenerationRequest("a red box", seed=7, depth=True), {})


def assets_of(out: Path, *options: str) -> GeneratedAssets:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return GeneratedAssets(parser.parse_args(["generate", "a red box", "--out", str(out), *options]))


def test_an_image_becomes_an_asset_in_metres(tmp_path: Path) -> None:
    assets = assets_of(tmp_path, "--asset", "ply", "glb", "--part", "subject", "--height", "0.4", "--hfov", "65")
    written = assets("a-red-box-7", image(), ABOUT)
    stored = json.loads(written["asset"].read_text())
    assert stored["name"] == "a_red_box_7"
    assert stored["source"] == {
        "kind": "text",
        "prompt": "a red box",
        "seed": 7,
        "model": "some-model",
        "model_fingerprint": "0123",
        "files": [],
    }
    assert stored["size"][2] == pytest.approx(0.4, abs=0.01)
    assert (tmp_path / "a_red_box_7" / "a_red_box_7.glb").is_file()
    assert assets.failed == 0


def test_an_image_without_a_floor_gives_none_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assets = assets_of(tmp_path, "--asset", "ply")
    assert assets("noise-7", image(floor=False), ABOUT) == {}
    assert assets.failed == 1
    assert "no asset: the depths cannot be found from the floor" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_image_without_depth_is_refused() -> None:
    rgb, _ = asset_scenes.room()
    with pytest.raises(InputError, match="depth=True"):
        generated_view(GeneratedImage(rgb, None, GenerationRequest("a box"), {}), ABOUT, AssetScaleSettings())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["randomize", "--seed", "1"], "give a prompt"),
        (["randomize", "a box", "--seed", "0"], "--seed 1 or more"),
        (["randomize", "a box", "--workers", "2"], "needs --ray"),
        (["randomize", "a box", "--height", "1", "2", "3"], "one value or two"),
        (["randomize", "a box", "--height", "2", "1"], "0 < low <= high"),
        (["generate", "a box", "--asset", "ply", "--width", "-1"], "metres=-1.0 must lie"),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([*arguments, "--out", str(tmp_path / "library")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "library").exists()
