"""Rendered in MuJoCo from the source camera, an asset shows its source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import asset_scenes
import pytest

pytest.importorskip("mujoco", reason="rendering needs the extra 'sim'")

from merge_ros.config import AssetSettings
from merge_ros.errors import InputError, MissingDependencyError
from merge_ros.evaluation.asset_agreement import Agreement, check_agreement
from merge_ros.geometry.camera import Camera
from merge_ros.simulation.renderer import load_mujoco
from merge_ros.synthesis.asset import build_asset
from merge_ros.synthesis.provenance import Provenance
from merge_ros.synthesis.view import View
from merge_ros.synthesis.write import write_asset

SETTINGS = AssetSettings(formats=("mjcf",), triangles=4000, collision="none")

try:
    load_mujoco()
except MissingDependencyError as error:
    pytest.skip(str(error), allow_module_level=True)


def agreement_of(view: View, folder: Path) -> Agreement:
    asset = build_asset(view, SETTINGS)
    write_asset(asset, "room", folder, SETTINGS, Provenance("rgbd"))
    return check_agreement(asset, folder / "room" / "mjcf" / "room.xml")


def test_an_asset_of_true_depth_shows_its_source(room_view: View, tmp_path: Path) -> None:
    agreement = agreement_of(room_view, tmp_path)
    assert agreement.covered > 0.97
    assert agreement.psnr > 24, "the chequers' edges, where a renderer's filter mixes texels"
    assert agreement.abs_rel < 0.003


def test_the_principal_point_and_both_focal_lengths_are_honoured(tmp_path: Path) -> None:
    """A part of the picture, off its middle, squeezed to half its width."""
    rgb, depth = asset_scenes.room((320, 240))
    camera = asset_scenes.camera(320, 240).cropped(40, 60, 240, 160)
    squeezed = Camera(120, 160, camera.fx / 2, camera.fy, camera.cx / 2, camera.cy)
    view = View(rgb[60:220, 40:280:2], depth[60:220, 40:280:2], squeezed)
    agreement = agreement_of(view, tmp_path)
    assert agreement.covered > 0.95
    assert agreement.psnr > 20
    assert agreement.abs_rel < 0.005


def test_a_wrong_pose_is_seen_as_a_wrong_pose(room_view: View, tmp_path: Path) -> None:
    asset = build_asset(room_view, SETTINGS)
    write_asset(asset, "room", tmp_path, SETTINGS, Provenance("rgbd"))
    moved = asset.pose.copy()
    moved[0, 3] -= 0.3
    agreement = check_agreement(replace(asset, pose=moved), tmp_path / "room" / "mjcf" / "room.xml")
    assert agreement.abs_rel > 0.05
    assert agreement.psnr < 22


def test_a_file_that_is_no_model_is_refused(room_view: View, tmp_path: Path) -> None:
    (tmp_path / "broken.xml").write_text("<mujoco>")
    with pytest.raises(InputError, match="cannot load"):
        check_agreement(build_asset(room_view, SETTINGS), tmp_path / "broken.xml")
