"""`merge-ros train` on tiny shapes: it learns, shares work, survives being killed, and refuses what is wrong."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("accelerate", reason="training needs the extra 'train'")

import torch
from accelerate.state import AcceleratorState
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors.torch import load_file
from tiny_models import tiny_flux

from merge_ros.cli.main import main
from merge_ros.config import EstimatorSettings
from merge_ros.config.training import (
    ConverterSettings,
    OneStepSettings,
    OptimizerSettings,
    SourceSettings,
    TrainingSettings,
)
from merge_ros.errors import CheckpointError, ConfigurationError, TrainingError
from merge_ros.estimator import DepthEstimator
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.empty_prompt import save_empty_prompt
from merge_ros.training.architecture import (
    TinyArchitecture,
    build_scheduler,
    build_text_encoder,
    build_tokenizer,
    build_transformer,
    build_vae,
)
from merge_ros.training.converters.learner import Learner
from merge_ros.training.converters.loop import train
from merge_ros.training.converters.settings_file import read_settings
from merge_ros.training.folder import save_image_parts

CONFIG = Path(__file__).resolve().parents[2] / "config"
SHAPE = TinyArchitecture(
    vae_channels=(8, 8, 8),
    width=32,
    heads=2,
    layers=4,
    groups=4,
    patch_size=2,
    sample_size=16,
    text_width=16,
    text_layers=1,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained text-to-image model of a few ten thousand weights."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    save_image_parts(
        folder,
        vae=build_vae(SHAPE),
        transformer=build_transformer(SHAPE),
        text_encoder=build_text_encoder(SHAPE),
        tokenizer=build_tokenizer(SHAPE, ["a room"]),
        scheduler=build_scheduler(),
    )
    return folder


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained FLUX of a few thousand weights, whose VAE has a shift, with a made-up empty prompt."""
    folder = tmp_path_factory.mktemp("flux")
    torch.manual_seed(0)
    backbone = tiny_flux(2, 4)
    vae = build_vae(SHAPE)
    vae.register_to_config(scaling_factor=0.7, shift_factor=0.3)
    backbone.save_pretrained(folder / "transformer")
    vae.save_pretrained(folder / "vae")
    FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True).save_pretrained(folder / "scheduler")
    (folder / "depth_converters").mkdir()
    prompt = Conditioning(torch.randn(1, 4, 12), torch.ones(1, 4), pooled=torch.randn(1, 6))
    save_empty_prompt(prompt, folder / "depth_converters")
    return folder


@pytest.fixture(scope="module")
def normals_folder(frames_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frames with made-up normals: up on the floor, towards the camera where it is bright."""
    folder = Path(shutil.copytree(frames_folder, tmp_path_factory.mktemp("normals") / "frames"))
    (folder / "normals").mkdir()
    for path in (folder / "depth").glob("*.png"):
        normals = np.zeros((64, 64, 3), np.float32)
        normals[..., 1] = -1
        np.save(folder / "normals" / f"{path.stem}.npy", normals)
    return folder


@pytest.fixture(scope="module")
def settings(model: Path, frames_folder: Path) -> TrainingSettings:
    """Six updates of four frames; `out` is to be replaced."""
    return TrainingSettings(
        model=str(model),
        out="unset",
        data=(SourceSettings("rooms", str(frames_folder)),),
        converters=ConverterSettings(groups=2, ff_mult=2),
        one_step=OneStepSettings(pixel_from=0.5, detail_weight=0.2),
        optimizer=OptimizerSettings(rate=3e-3, warmup=2, ema=0.5, schedule="cosine"),
        updates=6,
        batch=4,
        workers=0,
        checkpoint_updates=1,
        log_updates=1,
        picture_updates=6,
    )


@pytest.fixture(autouse=True)
def _one_accelerator_at_a_time() -> Iterator[None]:
    """accelerate keeps the first one's precision for the whole process."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def finished(settings: TrainingSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that ran through."""
    out = tmp_path_factory.mktemp("finished") / "run"
    train(replace(settings, out=str(out)))
    AcceleratorState._reset_state(reset_partial_state=True)
    return out


def log_of(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def weights_of(out: Path, task: str = "depth") -> dict[str, torch.Tensor]:
    return load_file(out / f"{task}_converters" / "diffusion_pytorch_model.safetensors")


def as_file(settings: TrainingSettings, path: Path) -> Path:
    path.write_text(json.dumps(asdict(settings)))  # JSON is YAML
    return path


def command(config: Path) -> list[str]:
    return ["-m", "merge_ros.cli.main", "train", "--config", str(config)]


def test_the_result_is_a_converter_set(finished: Path, model: Path) -> None:
    config = json.loads((finished / "depth_converters" / "config.json").read_text())
    assert (config["prediction_type"], config["depth_timestep"], config["num_layers"]) == ("sample", 50, 2)
    assert config["processing_pixels"] == 64 * 64
    estimator = DepthEstimator(EstimatorSettings(model=str(model), converters=str(finished), backend="torch"))
    assert np.isfinite(estimator(np.full((64, 64, 3), 90, np.uint8))).all()
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["frames"] == [12]
    assert summary["settings"]["recipe"] == "one_step"
    assert list((finished / "board").glob("events*"))


@pytest.mark.parametrize(("recipe", "task"), [("one_step", "depth"), ("one_step", "normals"), ("published", "depth")])
def test_every_recipe_and_task_learns(
    recipe: str, task: str, settings: TrainingSettings, normals_folder: Path, tmp_path: Path
) -> None:
    wanted = replace(
        settings,
        out=str(tmp_path / "run"),
        recipe=recipe,
        task=task,
        data=(SourceSettings("folder", str(normals_folder)),),
        one_step=OneStepSettings(pixel_from=0.0),
        updates=16,
        checkpoint_updates=16,
        picture_updates=16,
    )
    converters = train(wanted)
    assert converters.name == f"{task}_converters"
    log = log_of(tmp_path / "run")
    assert np.mean([record["latent"] for record in log[-6:]]) < 0.9 * np.mean([record["latent"] for record in log[:6]])
    if task == "normals":  # whose VAE is untrained here, so that decoded angles cannot be right
        assert all(0 < record["degrees"] < 180 for record in log)
    if recipe == "published":
        config = json.loads((converters / "config.json").read_text())
        assert (config["prediction_type"], config["depth_timestep"]) == ("epsilon", None)


@pytest.mark.parametrize(("recipe", "prediction"), [("published", "flow"), ("one_step", "sample")])
def test_flux_learns_by_the_same_loop(
    recipe: str, prediction: str, settings: TrainingSettings, flux: Path, tmp_path: Path
) -> None:
    wanted = replace(settings, model=str(flux), out=str(tmp_path / "run"), recipe=recipe, updates=16)
    train(replace(wanted, converters=ConverterSettings(groups=2), checkpoint_updates=16, picture_updates=16))
    log = log_of(tmp_path / "run")
    assert np.mean([record["latent"] for record in log[-4:]]) < 0.95 * np.mean([record["latent"] for record in log[:4]])
    config = json.loads((tmp_path / "run" / "depth_converters" / "config.json").read_text())
    assert (config["_class_name"], config["prediction_type"]) == ("FluxConverter", prediction)
    estimator = DepthEstimator(EstimatorSettings(model=str(flux), converters=str(tmp_path / "run"), backend="torch"))
    assert np.isfinite(estimator(np.full((64, 64, 3), 90, np.uint8))).all()


def test_accumulation_and_the_cache_change_nothing(finished: Path, settings: TrainingSettings, tmp_path: Path) -> None:
    for run in ("empty cache", "full cache"):
        cached = replace(settings, out=str(tmp_path / run), cache_latents=str(tmp_path / "latents"))
        train(cached)
        assert all(torch.equal(value, weights_of(finished)[name]) for name, value in weights_of(tmp_path / run).items())
    # Memory spared: the same numbers, computed twice.
    train(replace(settings, out=str(tmp_path / "spared"), gradient_checkpointing=True))
    for name, value in weights_of(tmp_path / "spared").items():
        torch.testing.assert_close(value, weights_of(finished)[name], msg=name)


def test_passes_of_half_the_size_make_the_same_update(settings: TrainingSettings, tmp_path: Path) -> None:
    # All twelve frames are in every update, so that their order does not matter.
    whole = replace(settings, out=str(tmp_path / "whole"), batch=12, updates=2)
    whole = replace(whole, one_step=OneStepSettings(pixel_from=0.0), optimizer=OptimizerSettings(rate=1e-3, warmup=0))
    halves = replace(whole, out=str(tmp_path / "halves"), batch=6, accumulation=2)
    train(whole)
    train(halves)
    # Which frames are mirrored differs between the two: a first update is close, not equal.
    for figure, tolerance in (("loss", 0.1), ("gradient", 0.3)):
        first, second = (log_of(tmp_path / name)[0][figure] for name in ("whole", "halves"))
        assert first == pytest.approx(second, rel=tolerance), figure


def test_two_processes_are_one_with_the_doubled_batch(
    finished: Path, settings: TrainingSettings, tmp_path: Path
) -> None:
    shared = replace(settings, out=str(tmp_path / "run"), batch=settings.batch // 2)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run(
        [*torchrun, *command(as_file(shared, tmp_path / "train.yaml"))],
        env=os.environ | {"ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        timeout=250,
        check=True,
    )
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["processes"] == 2
    for one, two in zip(log_of(finished), log_of(tmp_path / "run"), strict=True):
        for figure in ("loss", "latent", "gradient"):
            assert two[figure] == pytest.approx(one[figure], rel=1e-3), figure
    for name, value in weights_of(tmp_path / "run").items():
        torch.testing.assert_close(value, weights_of(finished)[name], rtol=1e-2, atol=1e-3, msg=name)


def test_killed_and_resumed_equals_uninterrupted(finished: Path, settings: TrainingSettings, tmp_path: Path) -> None:
    out = tmp_path / "run"
    wanted = replace(settings, out=str(out))
    process = subprocess.Popen([sys.executable, *command(as_file(wanted, tmp_path / "train.yaml"))], cwd=tmp_path)
    while process.poll() is None and not ((out / "log.jsonl").is_file() and len(log_of(out)) >= 2):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "summary.json").exists(), "it had finished before it was killed"
    done = torch.load(out / "checkpoint.pt", weights_only=True)["updates"]
    assert 1 <= done < 6
    train(wanted)
    assert [record["update"] for record in log_of(out)][-1] == 6
    for name, value in weights_of(out).items():
        assert torch.equal(value, weights_of(finished)[name]), name


def test_a_finished_training_is_not_overwritten(finished: Path, settings: TrainingSettings, tmp_path: Path) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    again = replace(settings, out=str(out), updates=2)
    with pytest.raises(ConfigurationError, match="finished training"):
        train(again)
    assert json.loads((out / "summary.json").read_text())["settings"]["updates"] == 6
    train(again, overwrite=True)
    assert json.loads((out / "summary.json").read_text())["settings"]["updates"] == 2


def test_a_checkpoint_of_other_settings_is_refused(finished: Path, settings: TrainingSettings, tmp_path: Path) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    (out / "summary.json").unlink()
    with pytest.raises(CheckpointError, match=r"converters\.groups was 2 and is now 4"):
        train(replace(settings, out=str(out), converters=ConverterSettings(groups=4, ff_mult=2)))
    (out / "checkpoint.pt").write_bytes((out / "checkpoint.pt").read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt cannot be read"):
        train(replace(settings, out=str(out)))


def test_a_start_with_other_groups_is_refused_and_a_fitting_one_taken(
    finished: Path, settings: TrainingSettings, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="num_layers is 2, the training makes converters with 4"):
        start = ConverterSettings(groups=4, ff_mult=2, start=str(finished))
        train(replace(settings, out=str(tmp_path / "wrong"), converters=start))
    AcceleratorState._reset_state(reset_partial_state=True)
    fitting = ConverterSettings(groups=2, ff_mult=2, start=str(finished))
    train(replace(settings, out=str(tmp_path / "right"), converters=fitting, updates=1))
    assert log_of(tmp_path / "right")[0]["latent"] < 0.8 * log_of(finished)[0]["latent"]


def test_a_loss_that_is_no_number_stops_with_the_frames(
    settings: TrainingSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from merge_ros.training.converters import recipes

    monkeypatch.setattr(recipes, "masked_mean", lambda errors, known: (errors * float("nan")).mean())
    with pytest.raises(TrainingError, match=r"loss is nan in update 1; this process had rgb/.*\.jpg"):
        train(replace(settings, out=str(tmp_path / "run")))


def test_a_full_disk_leaves_the_checkpoint_before(
    settings: TrainingSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, saved, save = replace(settings, out=str(tmp_path / "run")), [], Learner.save

    def save_on_a_filling_disk(self: Learner, folder: Path) -> None:
        if not saved:
            saved.append(save(self, folder))
            return
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))  # files may not grow further: writes fail
        try:
            save(self, folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    with monkeypatch.context() as patched:
        patched.setattr(Learner, "save", save_on_a_filling_disk)
        with pytest.raises(TrainingError, match=r"cannot be written after update 2.*GB free"):
            train(wanted)
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["updates"] == 1
    assert not list((tmp_path / "run").glob(".checkpoint*"))
    (tmp_path / "run" / "log.jsonl").unlink()
    (tmp_path / "run" / "log.jsonl").mkdir()  # nor can the log be written
    with pytest.raises(TrainingError, match=r"log\.jsonl cannot be written after update 2"):
        train(wanted)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used for a training"):
        train(replace(settings, out=str(tmp_path / "file")))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 1000))  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="two checkpoints"):
        train(replace(settings, out=str(tmp_path / "other")))


def test_half_precision_learns(settings: TrainingSettings, tmp_path: Path) -> None:
    train(replace(settings, out=str(tmp_path / "run"), precision="bf16", updates=6))
    log = log_of(tmp_path / "run")
    assert log[-1]["latent"] < log[0]["latent"]
    assert all(value.dtype == torch.float32 for value in weights_of(tmp_path / "run").values())


def test_a_dry_run_says_all_and_writes_nothing(
    settings: TrainingSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = as_file(replace(settings, out=str(tmp_path / "run")), tmp_path / "train.yaml")
    assert main(["train", "--config", str(config), "--dry-run", "--check-frames", "0"]) == 0
    said = capsys.readouterr().out
    for part in (
        "12 frames, 64x64, 100%",
        "frozen parameters",
        "GB at most",
        "a checkpoint",
        "s an update of 4 frames",
    ):
        assert part in said
    assert not (tmp_path / "run").exists()


def test_the_command_line_names_what_is_wrong(
    settings: TrainingSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(as_file(replace(settings, out=str(tmp_path / "run")), tmp_path / "train.yaml"))
    for change, message in (
        ("recipe=magic", "allowed: published, one_step"),
        ("optimiser.rate=1", "'optimiser' is unknown; allowed: model, out"),
        ("updates=many", "updates must be of type int"),
        ("data.3.path=x", "'3' is not one of the 1 entries"),
        ("data.0.size=[60, 60]", "multiples of 8"),
        ("converters.groups=3", "allowed: 1, 2, 4"),
        ("data.0.path=nowhere", "does not exist"),
        ("model=nowhere/at/all", "does not exist"),
    ):
        assert main(["train", "--config", config, "--set", change]) == 2
        assert message in capsys.readouterr().err, change
    assert main(["train", "--config", str(tmp_path / "none.yaml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["base", "large", "tiny"])
def test_the_settings_that_ship_are_allowed(name: str) -> None:
    settings = read_settings(CONFIG / f"train_merge_{name}.yaml", ["optimizer.rate=2e-4"], Path("/data"))
    assert settings.optimizer.rate == 2e-4
    assert settings.data[0].path.startswith("/data/")


def test_the_published_settings_are_those_of_the_paper() -> None:
    base, large = (read_settings(CONFIG / f"train_merge_{name}.yaml") for name in ("base", "large"))
    for settings, rate in ((base, 1e-4), (large, 3e-4)):
        assert (settings.recipe, settings.updates, settings.optimizer.rate) == ("published", 30000, rate)
        assert [source.share for source in settings.data] == [0.9, 0.1]
        assert settings.published.noise_strength == 0.9
        assert 8 * settings.batch * settings.accumulation == 32
    assert (base.converters.groups, base.converters.ff_mult, large.converters.groups) == (14, 1, 5)
