"""PixArt in all its releases: 512, 1024 (told the size of the picture), Sigma, and saved by diffusers' older class."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import PixArtTransformer2DModel

from merge_ros.config import EstimatorSettings
from merge_ros.errors import CheckpointError, ConfigurationError, InputError
from merge_ros.model.checkpoint import load_checkpoint
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.family import PIXART, family_of
from merge_ros.model.pixart import MergePixArt
from merge_ros.runtime.engine import load_engine
from merge_ros.runtime.selection import choose

# What their config.json files say apart from widths and depths, made small.
RELEASES = {
    "alpha 512": {"sample_size": 16, "use_additional_conditions": False},
    "alpha 1024": {"sample_size": 32, "interpolation_scale": 2, "use_additional_conditions": True},
    "sigma": {"sample_size": 32, "interpolation_scale": 2, "use_additional_conditions": False},
}


def make_backbone(release: str) -> PixArtTransformer2DModel:
    torch.manual_seed(0)
    return PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=8,
        num_layers=3,
        cross_attention_dim=24,
        caption_channels=12,
        **RELEASES[release],
    ).eval()


def transparent(backbone: PixArtTransformer2DModel) -> PixArtConverter:
    """Converters that change nothing: with them, depth mode must be plain image mode on the image latent."""
    converter = PixArtConverter.for_backbone(backbone, 2).eval()
    with torch.no_grad():
        for block in converter.transformer_blocks:
            for layer in (block.attn1.to_out[0], block.ff.net[2]):
                layer.weight.zero_()
                layer.bias.zero_()
        converter.pos_embed.proj.weight.zero_()
        converter.pos_embed.proj.weight[:, :4] = backbone.pos_embed.proj.weight
        converter.scale_shift_table.copy_(backbone.scale_shift_table)
        rows = torch.arange(4 * 8).reshape(4, 8)[:, :4].flatten()  # without the sigma half
        converter.proj_out.weight.copy_(backbone.proj_out.weight[rows])
        converter.proj_out.bias.copy_(backbone.proj_out.bias[rows])
    return converter


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(("height", "width"), [(128, 96), (64, 160)])
def test_depth_mode_runs_the_backbone_as_diffusers_does(release: str, height: int, width: int) -> None:
    backbone = make_backbone(release)
    network = MergePixArt(backbone, transparent(backbone)).eval()
    latent = torch.randn(2, 4, height // 8, width // 8)
    text, mask, time = torch.randn(1, 5, 12), torch.tensor([[1, 1, 1, 0, 0]]), torch.tensor([40, 40])
    sizes: dict[str, torch.Tensor | None] = {"resolution": None, "aspect_ratio": None}
    if backbone.use_additional_conditions:
        # As diffusers' PixArt pipeline tells them: height, width in pixels, and height / width.
        sizes["resolution"] = torch.tensor([[float(height), float(width)]]).repeat(2, 1)
        sizes["aspect_ratio"] = torch.tensor([[height / width]]).repeat(2, 1)
    with torch.no_grad():
        depth = network(
            latent, torch.randn(2, 4, height // 8, width // 8), time, Conditioning(text, mask).sized(height, width)
        )
        plain = backbone(
            latent,
            encoder_hidden_states=text.expand(2, -1, -1),
            encoder_attention_mask=mask.expand(2, -1),
            timestep=time,
            added_cond_kwargs=sizes,
        ).sample[:, :4]
    assert torch.allclose(depth, plain, atol=1e-5)


def test_the_size_is_told_or_missed() -> None:
    backbone = make_backbone("alpha 1024")
    network = MergePixArt(backbone, transparent(backbone)).eval()
    latent, text = torch.randn(1, 4, 8, 8), Conditioning(torch.randn(1, 1, 12), torch.ones(1, 1))
    with pytest.raises(InputError, match="told the size of the picture"):
        network(latent, latent, torch.tensor([40]), text)
    with torch.no_grad():
        small, large = (network(latent, latent, torch.tensor([40]), text.sized(n, n)) for n in (64, 1024))
    assert not torch.allclose(small, large, atol=1e-4)


def with_backbone(random_model: Path, folder: Path, release: str) -> Path:
    model = Path(shutil.copytree(random_model, folder / "model"))
    backbone = make_backbone(release)
    backbone.save_pretrained(model / "transformer")
    PixArtConverter.for_backbone(backbone, 2).save_pretrained(model / "depth_converters")
    return model


def test_a_sized_model_runs_eagerly_and_nothing_folds_it(random_model: Path, tmp_path: Path) -> None:
    model = with_backbone(random_model, tmp_path, "alpha 1024")
    choice = choose(EstimatorSettings(model=str(model), device="cpu"))
    assert choice.settings.backend == "torch"
    assert "told the size of each picture" in choice.reason
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    engine = load_engine(choice.settings)
    assert "mode eager" in engine.description
    depth = engine(images)
    checkpoint = load_checkpoint(str(model))
    with torch.inference_mode():
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1
        latent = checkpoint.vae.encode(pixels).latent_dist.mode() * checkpoint.vae.config.scaling_factor
        told = checkpoint.conditioning().sized(64, 96)
        seen = checkpoint.network(latent, latent * 0, torch.tensor([50]), told)
        expected = checkpoint.vae.decode(seen / checkpoint.vae.config.scaling_factor).sample.mean(1) / 2 + 0.5
    assert np.allclose(depth, expected.clamp(0, 1).numpy(), atol=1e-4)
    for settings in ({"backend": "onnx"}, {"backend": "torch", "torch_mode": "folded"}):
        with pytest.raises(ConfigurationError, match="cannot be folded"):
            load_engine(EstimatorSettings(model=str(model), device="cpu", **settings))


def test_sigma_folds(random_model: Path, tmp_path: Path) -> None:
    model = with_backbone(random_model, tmp_path, "sigma")
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    eager, folded = (
        load_engine(EstimatorSettings(model=str(model), backend="torch", torch_mode=mode, device="cpu"))(images)
        for mode in ("eager", "folded")
    )
    assert np.allclose(eager, folded, atol=1e-4)


def test_as_the_older_class_saved_it(random_model: Path, tmp_path: Path) -> None:
    """PixArt-alpha's repositories name `Transformer2DModel`, whose keys are the same."""
    from diffusers import Transformer2DModel

    model = Path(shutil.copytree(random_model, tmp_path / "model"))
    path = model / "transformer" / "config.json"
    config = json.loads(path.read_text())
    older = Transformer2DModel(
        **{
            key: value
            for key, value in config.items()
            if not key.startswith("_") and key != "use_additional_conditions"
        }
    )
    older.load_state_dict(load_checkpoint(str(random_model)).network.backbone.state_dict())
    older.save_pretrained(model / "transformer")
    assert json.loads(path.read_text())["_class_name"] == "Transformer2DModel"
    assert family_of(model) == PIXART
    found, expected = (load_checkpoint(str(place)).network.state_dict() for place in (model, random_model))
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"norm_type": "layer_norm"}))
    with pytest.raises(CheckpointError, match="norm_type is 'layer_norm'"):
        load_checkpoint(str(model))
