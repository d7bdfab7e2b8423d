"""The score of prompt following: held-out prompts, every guidance, true pictures beside them, and a grid."""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("mujoco", reason="rendering needs the extra 'sim'")

import torch

from merge_ros.config import BUNDLED_MODEL
from merge_ros.evaluation.prompts import HEADS, PromptDetector, Vocabulary
from merge_ros.generator import ImageGenerator
from merge_ros.model.locate import find_model
from merge_ros.simulation.catalogue import OBJECT_NAMES
from merge_ros.simulation.palette import COLOUR_NAMES
from merge_ros.training import prompt_following
from merge_ros.training.prompt_following import CELL, TEXT_HEIGHT, held_out_scenes, measure


def test_scenes_are_the_same_each_time_and_say_what_they_show() -> None:
    scenes = held_out_scenes("asset", 2, (64, 48))
    assert [scene.picture.shape for scene in scenes] == [(48, 64, 3)] * 2
    assert scenes[0].caption != scenes[1].caption
    words = Vocabulary(OBJECT_NAMES, COLOUR_NAMES)
    assert all(words.parse(scene.caption).objects for scene in scenes)
    again = held_out_scenes("asset", 1, (64, 48))
    assert again[0].caption == scenes[0].caption
    assert np.array_equal(again[0].picture, scenes[0].picture)


def test_every_kind_is_scored_at_every_guidance() -> None:
    torch.manual_seed(0)
    detector = PromptDetector(Vocabulary(OBJECT_NAMES, COLOUR_NAMES)).eval()
    results, grid = measure(ImageGenerator(), detector, [1.0, 3.0], count=2, steps=2, rows=1)
    for kind in ("asset", "robot"):
        found = results[kind]
        assert isinstance(found, dict)
        assert set(found) == {"rendered", "guidance 1", "guidance 3"}
        for scores in found.values():
            assert set(scores) == {"found", "chance"}
            assert set(scores["found"]) <= set(HEADS)
            assert all(0 <= value <= 1 or math.isnan(value) for value in scores["found"].values())
    assert len(str(results["model_hash"])) == 32
    rows = 2  # one of each kind
    assert grid.shape == (TEXT_HEIGHT + rows * (2 * TEXT_HEIGHT + CELL[1]), 2 * 2 * CELL[0], 3)


def test_a_model_without_converters_is_scored_as_long_as_no_grid_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = tmp_path / "images_only"
    shutil.copytree(
        find_model(BUNDLED_MODEL, ()), model, ignore=shutil.ignore_patterns("depth_converters", "light_codec")
    )
    PromptDetector(Vocabulary(OBJECT_NAMES, COLOUR_NAMES)).save(tmp_path / "detector.safetensors")
    options = ["--detector", str(tmp_path / "detector.safetensors"), "--model", str(model)]
    options += ["--guidance", "1", "--count", "2", "--steps", "2"]
    monkeypatch.setattr(sys, "argv", ["prompt_following", *options])
    assert prompt_following.main() == 0
    assert "guidance 1" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["prompt_following", *options, "--grid", str(tmp_path / "grid.png")])
    assert prompt_following.main() == 2
    assert "depth_converters" in capsys.readouterr().err


def test_wrong_calls(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for options, message in (
        (["--detector", str(tmp_path / "none"), "--count", "1"], "--count 1 must be at least 2"),
        (["--detector", str(tmp_path / "none")], "no prompt detector"),
    ):
        monkeypatch.setattr(sys, "argv", ["prompt_following", *options])
        assert prompt_following.main() == 2
        assert message in capsys.readouterr().err
