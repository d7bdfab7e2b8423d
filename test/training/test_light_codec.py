"""The light codec's stage on tiny shapes: it learns from the full one, resumes exactly, and measures its own cost."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from merge_ros.errors import CheckpointError
from merge_ros.model.checkpoint import load_checkpoint
from merge_ros.model.codec import find_codec
from merge_ros.training import light_codec
from merge_ros.training.architecture import TinyArchitecture
from merge_ros.training.compute import Worker
from merge_ros.training.run import Run, RunSettings

SHAPE = TinyArchitecture(codec_channels=8, codec_blocks=1)
DISTIL = RunSettings(28, 1e-2, warmup=2, ema=0.5, log_steps=1)
REFINE = RunSettings(6, 1e-3, warmup=2, ema=0.5, log_steps=1)


def distil(frames: Path, out: Path, settings: RunSettings = DISTIL) -> None:
    light_codec.distil(Worker(), frames, 12, out, SHAPE, settings)


def refine(frames: Path, out: Path, settings: RunSettings = REFINE) -> None:
    light_codec.refine(Worker(), frames, 12, out, settings, held_out=frames, held_out_frames=3)


def log_of(out: Path, stage: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / stage / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def before(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with an autoencoder and a model that belongs to it."""
    out = tmp_path_factory.mktemp("codec") / "work"
    shutil.copytree(random_model, out / "model")
    shutil.copytree(random_model / "vae", out / "vae")
    return out


@pytest.fixture(scope="module")
def distilled(before: Path, frames_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = Path(shutil.copytree(before, tmp_path_factory.mktemp("distilled") / "work"))
    distil(frames_folder, out)
    return out


@pytest.fixture(scope="module")
def refined(distilled: Path, frames_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = Path(shutil.copytree(distilled, tmp_path_factory.mktemp("refined") / "work"))
    refine(frames_folder, out)
    return out


@pytest.mark.parametrize("figure", ["latent", "depth"])
def test_both_halves_learn(distilled: Path, figure: str) -> None:
    values = [record[figure] for record in log_of(distilled, "stage_light_codec")]
    assert np.isfinite(values).all()
    assert np.mean(values[-4:]) < 0.9 * np.mean(values[:4])  # full and half resolution take turns


def test_an_unmeasured_codec_is_not_taken_by_itself(distilled: Path) -> None:
    model = distilled / "model"
    assert load_checkpoint(str(model), codec="light").vae.config.abs_rel_cost is None
    assert find_codec("auto", model) == model / "vae"


def test_refining_changes_the_codec_only_and_stores_its_cost(distilled: Path, refined: Path) -> None:
    for path in sorted((distilled / "model").rglob("*.safetensors")):
        same = path.read_bytes() == (refined / "model" / path.relative_to(distilled / "model")).read_bytes()
        assert same == ("light_codec" not in path.parts)
    summary = json.loads((refined / "stage_light_codec_refined" / "summary.json").read_text())
    cost = summary["abs_rel"]["light"] - summary["abs_rel"]["full"]
    assert summary["abs_rel_cost"] == pytest.approx(cost, abs=1e-5)
    assert load_checkpoint(str(refined / "model"), codec="light").vae.config.abs_rel_cost == summary["abs_rel_cost"]
    assert (refined / "stage_light_codec_refined" / "held_out_light" / "per_image.csv").is_file()


def test_refining_needs_the_first_part(before: Path, frames_folder: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(before, tmp_path / "work"))
    with pytest.raises(CheckpointError, match=r"light_codec.*does not exist"):
        refine(frames_folder, out)


@pytest.mark.parametrize("stage", ["stage_light_codec", "stage_light_codec_refined"])
def test_killed_and_resumed_equals_uninterrupted(
    stage: str,
    before: Path,
    distilled: Path,
    refined: Path,
    frames_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_first = stage == "stage_light_codec"
    out = Path(shutil.copytree(before if is_first else distilled, tmp_path / "work"))
    settings = replace(DISTIL if is_first else REFINE, checkpoint_seconds=0)
    train = distil if is_first else refine
    update, seen = Run.update, []

    def killed(self: Run, *arguments: object) -> None:
        update(self, *arguments)  # type: ignore[arg-type]
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Run, "update", killed)
        with pytest.raises(KeyboardInterrupt):
            train(frames_folder, out, settings)
    train(frames_folder, out, settings)
    whole = distilled if is_first else refined
    expected = torch.load(whole / stage / "checkpoint.pt", weights_only=True)
    found = torch.load(out / stage / "checkpoint.pt", weights_only=True)
    assert found["step"] == expected["step"] == settings.steps
    for name, value in expected["modules"].items():
        assert torch.equal(found["modules"][name], value), name


def test_putting_off_goes_from_nothing_to_blur_and_noise() -> None:
    latents = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))

    class Fixed:
        def __init__(self, degree: float) -> None:
            self.degree = degree

        def random(self, shape: tuple[int, ...], kind: type) -> np.ndarray:
            return np.full(shape, self.degree, kind)

    assert torch.equal(light_codec.put_off(latents, Fixed(0.0), torch.Generator()), latents)  # type: ignore[arg-type]
    off = light_codec.put_off(latents, Fixed(1.0), torch.Generator().manual_seed(1))  # type: ignore[arg-type]
    assert off.std() < 0.6 * latents.std()
    assert off.shape == latents.shape
