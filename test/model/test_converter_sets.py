"""Several converter sets on one backbone, changed while it stays where it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from merge_ros.config import EstimatorSettings
from merge_ros.errors import CheckpointError, ConfigurationError
from merge_ros.estimator import DepthEstimator
from merge_ros.model.autoencoder import decode_normals
from merge_ros.model.checkpoint import Checkpoint, load_checkpoint
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.converter_sets import ConverterSets
from merge_ros.model.depth_mode import DepthMode
from merge_ros.normals_estimator import NormalsEstimator


@pytest.fixture(scope="module")
def model(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With three sets: depth, normals and somebody's own, of another number of groups."""
    folder = Path(shutil.copytree(random_model, tmp_path_factory.mktemp("sets") / "model"))
    backbone = load_checkpoint(str(folder)).network.backbone
    for seed, (task, groups) in enumerate((("normals", 2), ("glass", 4))):
        torch.manual_seed(seed + 1)
        converter = PixArtConverter.for_backbone(backbone, groups)
        converter.save_pretrained(folder / f"{task}_converters")
        shutil.copy(folder / "depth_converters" / "empty_prompt.safetensors", folder / f"{task}_converters")
    return folder


def addresses(module: torch.nn.Module) -> Iterator[int]:
    return (parameter.data_ptr() for parameter in module.parameters())


def depth(checkpoint: Checkpoint) -> torch.Tensor:
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        return DepthMode(checkpoint)(latent)


def test_sets_change_and_the_backbone_stays(model: Path) -> None:
    checkpoint = load_checkpoint(str(model))
    backbone, before = checkpoint.network.backbone, list(addresses(checkpoint.network.backbone))
    alone = {task: depth(load_checkpoint(str(model), task=task)) for task in ("depth", "normals", "glass")}
    sets = ConverterSets(checkpoint)
    sets.load("normals")
    sets.load("glass", str(model))
    assert sets.names == ("depth", "normals", "glass")
    kept = {task: list(addresses(sets._sets[task])) for task in sets.names}
    for task in ("depth", "glass", "normals", "depth"):
        sets.switch(task)
        assert sets.active == task
        assert torch.equal(depth(checkpoint), alone[task]), task
        assert checkpoint.network.backbone is backbone
        assert list(addresses(backbone)) == before, "the same storage, nothing loaded again"
        assert list(addresses(checkpoint.converter)) == kept[task]
    assert not torch.equal(alone["depth"], alone["glass"])
    sets.switch(None)
    assert sets.active is None
    with pytest.raises(CheckpointError, match="no converters are plugged in"):
        depth(checkpoint)


def test_sets_that_are_not_there(model: Path, reference_base: Path) -> None:
    sets = ConverterSets(load_checkpoint(str(model)))
    with pytest.raises(ConfigurationError, match="no converter set 'normals' is loaded; loaded: depth"):
        sets.switch("normals")
    with pytest.raises(ConfigurationError, match="'depth' is loaded already"):
        sets.load("depth")
    with pytest.raises(CheckpointError, match=r"mirrors_converters.*does not exist"):
        sets.load("mirrors")
    with pytest.raises(CheckpointError, match="width"):
        ConverterSets(load_checkpoint(str(model)), "own").load("depth", str(reference_base))
    assert sets.names == ("depth",)


def test_your_own_set_through_the_estimator(model: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    results = {}
    for task in ("depth", "glass"):
        for torch_mode in ("eager", "folded"):
            settings = EstimatorSettings(
                model=str(model), task=task, backend="torch", torch_mode=torch_mode, device="cpu"
            )
            results[task, torch_mode] = DepthEstimator(settings)(image)
    for task in ("depth", "glass"):
        assert np.allclose(results[task, "eager"], results[task, "folded"], atol=1e-4)
    assert not np.allclose(results["depth", "eager"], results["glass", "eager"], atol=1e-3)


def test_normals(model: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)
    estimator = NormalsEstimator(EstimatorSettings(model=str(model), device="cpu", processing_pixels=48 * 80))
    normals = estimator(image)
    assert normals.shape == (48, 80, 3)
    assert np.allclose(np.linalg.norm(normals, axis=2), 1, atol=1e-4)
    checkpoint = load_checkpoint(str(model), task="normals")
    with torch.inference_mode():
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1
        latent = checkpoint.vae.encode(pixels).latent_dist.mode() * checkpoint.vae.config.scaling_factor
        seen = checkpoint.network(latent, latent * 0, torch.tensor([50]), checkpoint.conditioning())
        expected = checkpoint.vae.decode(seen / checkpoint.vae.config.scaling_factor).sample[0].permute(1, 2, 0)
    expected = expected / expected.norm(dim=2, keepdim=True)
    assert np.allclose(normals, expected.numpy(), atol=1e-3)
    assert decode_normals(checkpoint.vae, seen).shape == (1, 3, 48, 80)


def test_normals_and_depth_are_not_mixed_up(model: Path) -> None:
    with pytest.raises(ConfigurationError, match="NormalsEstimator runs it"):
        DepthEstimator(EstimatorSettings(model=str(model), task="normals"))
    with pytest.raises(ConfigurationError, match="eager torch only, not on backend 'onnx'"):
        NormalsEstimator(EstimatorSettings(model=str(model), backend="onnx"))
    with pytest.raises(ConfigurationError, match="is no name of a converter set"):
        EstimatorSettings(task="../depth")
