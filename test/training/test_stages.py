"""The stages on tiny shapes: they learn, they resume exactly, and the backbone stays frozen."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from merge_ros.config import EstimatorSettings
from merge_ros.errors import ConfigurationError
from merge_ros.estimator import DepthEstimator
from merge_ros.model.converter import PixArtConverter
from merge_ros.training import depth_converters, light_codec, text_to_image, vae
from merge_ros.training.architecture import TinyArchitecture
from merge_ros.training.compute import Worker, launch
from merge_ros.training.run import Run, RunSettings

SHAPE = TinyArchitecture(
    vae_channels=(8, 8, 16),
    width=32,
    heads=2,
    layers=4,
    sample_size=16,
    groups=2,
    text_width=16,
    text_layers=1,
    vocabulary=128,
)
VAE = RunSettings(12, 3e-3, warmup=2, ema=0.5, log_steps=1)
TEXT_TO_IMAGE = RunSettings(10, 2e-3, warmup=2, ema=0.5, log_steps=1)
LIGHT_CODEC = RunSettings(4, 2e-3, warmup=2, ema=0.5, log_steps=1)
CONVERTERS = RunSettings(10, 2e-3, warmup=2, ema=0.5, log_steps=1)


def log_of(out: Path, stage: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / f"stage_{stage}" / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def before_converters(frames_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with all stages before the converters done."""
    out = tmp_path_factory.mktemp("work")
    vae.train(Worker(), frames_folder, 12, out, SHAPE, VAE)
    text_to_image.train(Worker(), frames_folder, 12, out, SHAPE, TEXT_TO_IMAGE)
    light_codec.distil(Worker(), frames_folder, 12, out, SHAPE, LIGHT_CODEC)
    return out


@pytest.fixture(scope="module")
def trained(before_converters: Path, frames_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the converters trained."""
    out = tmp_path_factory.mktemp("trained") / "work"
    shutil.copytree(before_converters, out)
    depth_converters.train(Worker(), frames_folder, 12, out, SHAPE, CONVERTERS)
    return out


@pytest.mark.parametrize(
    ("stage", "figure"), [("vae", "l1"), ("text_to_image", "loss"), ("depth_converters", "latent")]
)
def test_every_stage_learns(trained: Path, stage: str, figure: str) -> None:
    values = [record[figure] for record in log_of(trained, stage)]
    assert np.isfinite(values).all()
    assert np.mean(values[-3:]) < 0.95 * np.mean(values[:2])


def test_backbone_file_is_untouched_by_the_converters(before_converters: Path, trained: Path) -> None:
    for part in ("transformer/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"):
        assert (before_converters / "model" / part).read_bytes() == (trained / "model" / part).read_bytes()


def test_a_changed_backbone_is_noticed(
    before_converters: Path, frames_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(before_converters, tmp_path / "work")

    def meddle(self: Run, *_: object) -> None:
        self._step += 1
        with torch.no_grad():
            network_of[0].transformer_blocks[0].scale_shift_table += 1

    network_of = []
    made = depth_converters.new_converter
    monkeypatch.setattr(
        depth_converters, "new_converter", lambda backbone, shape: network_of.append(backbone) or made(backbone, shape)
    )
    monkeypatch.setattr(Run, "update", meddle)
    with pytest.raises(RuntimeError, match="frozen backbone changed"):
        depth_converters.train(Worker(), frames_folder, 12, tmp_path / "work", SHAPE, replace(CONVERTERS, steps=1))


def test_weights_kept_on_the_way_are_whole(trained: Path, frames_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "work"
    shutil.copytree(trained, out)
    shutil.rmtree(out / "stage_depth_converters")
    depth_converters.train(Worker(), frames_folder, 12, out, SHAPE, replace(CONVERTERS, picture_steps=5))
    kept = out / "stage_depth_converters" / depth_converters.KEPT
    assert sorted(folder.name for folder in kept.iterdir()) == ["000005", "000010"]
    for part in ("depth_converters", "light_codec"):
        file = f"{part}/diffusion_pytorch_model.safetensors"
        # The last ones are what the stage delivers, the earlier ones are not.
        assert (kept / "000010" / file).read_bytes() == (out / "model" / file).read_bytes()
        assert (kept / "000005" / file).read_bytes() != (out / "model" / file).read_bytes()
    assert (kept / "000005" / "depth_converters" / "empty_prompt.safetensors").is_file()


def test_finished_converters_are_gone_on_from_in_another_shape(
    trained: Path, frames_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "work"
    shutil.copytree(trained, out)
    shutil.rmtree(out / "stage_depth_converters")
    shape, settings = replace(SHAPE, groups=4, ff_mult=1), replace(CONVERTERS, steps=1, learning_rate=1e-9)
    depth_converters.train(Worker(), frames_folder, 12, out, shape, settings, start=trained / "model")
    made = PixArtConverter.from_pretrained(out / "model" / "depth_converters")
    taken = PixArtConverter.from_pretrained(trained / "model" / "depth_converters")
    assert (made.config.num_layers, made.config.ff_mult) == (4, 1)
    attention = "attn1.to_q.weight"
    assert torch.allclose(
        made.transformer_blocks[3].state_dict()[attention],
        taken.transformer_blocks[1].state_dict()[attention],
        atol=1e-4,
    )


def test_trained_folder_is_a_model(trained: Path) -> None:
    config = json.loads((trained / "model" / "depth_converters" / "config.json").read_text())
    assert (config["prediction_type"], config["depth_timestep"], config["num_inference_steps"]) == ("sample", 50, 1)
    estimator = DepthEstimator(EstimatorSettings(model=str(trained / "model"), backend="torch"))
    depth = estimator(np.full((48, 80, 3), 128, np.uint8))
    assert depth.shape == (48, 80)
    assert np.isfinite(depth).all()
    weights = list((trained / "model").rglob("*.safetensors"))
    assert len(weights) == 6


@pytest.mark.parametrize("stage", ["vae", "text_to_image", "depth_converters"])
def test_killed_and_resumed_equals_uninterrupted(
    stage: str, trained: Path, frames_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = {"vae": vae, "text_to_image": text_to_image, "depth_converters": depth_converters}[stage]
    settings = replace(
        {"vae": VAE, "text_to_image": TEXT_TO_IMAGE, "depth_converters": CONVERTERS}[stage], checkpoint_seconds=0
    )
    out = tmp_path / "work"
    shutil.copytree(trained, out)
    shutil.rmtree(out / f"stage_{stage}")
    update, seen = Run.update, []

    def killed(self: Run, *arguments: object) -> None:
        update(self, *arguments)  # type: ignore[arg-type]
        seen.append(1)
        if len(seen) == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Run, "update", killed)
        with pytest.raises(KeyboardInterrupt):
            module.train(Worker(), frames_folder, 12, out, SHAPE, settings)
    module.train(Worker(), frames_folder, 12, out, SHAPE, settings)
    expected = torch.load(trained / f"stage_{stage}" / "checkpoint.pt", weights_only=True)
    found = torch.load(out / f"stage_{stage}" / "checkpoint.pt", weights_only=True)
    assert found["step"] == expected["step"] == settings.steps
    for name, value in expected["modules"].items():
        assert torch.equal(found["modules"][name], value), name


def test_two_processes_share_the_work(frames_folder: Path, tmp_path: Path) -> None:
    settings = replace(VAE, steps=3)
    vae.pack(frames_folder, tmp_path / "cache", 12)
    launch(vae.train, 2, frames_folder, 12, tmp_path, SHAPE, settings)
    summary = json.loads((tmp_path / "stage_vae" / "summary.json").read_text())
    assert summary["processes"] == 2
    assert summary["steps_done"] == 3
    assert (tmp_path / "vae" / "diffusion_pytorch_model.safetensors").is_file()
    with pytest.raises(ConfigurationError, match="processes=0"):
        launch(vae.train, 0)
