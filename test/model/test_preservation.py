"""Image mode is bit for bit the plain diffusers model, whatever the converters do."""

import hashlib
from pathlib import Path

import torch
from diffusers import PixArtTransformer2DModel
from torch import nn

from merge_ros.model.checkpoint import Checkpoint, load_checkpoint
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.pixart import MergePixArt


def _inputs(model: Checkpoint) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    config = model.network.backbone.config
    return {
        "hidden_states": torch.randn(2, config.in_channels, 8, 12, generator=generator),
        "encoder_hidden_states": torch.randn(2, 5, config.caption_channels, generator=generator),
        "encoder_attention_mask": torch.ones(2, 5),
        "timestep": torch.tensor([3, 700]),
        "added_cond_kwargs": {"resolution": None, "aspect_ratio": None},
    }


def _image_mode(backbone: nn.Module, model: Checkpoint) -> torch.Tensor:
    with torch.no_grad():
        return backbone(**_inputs(model)).sample


def _depth_mode(model: Checkpoint) -> torch.Tensor:
    latent = _inputs(model)["hidden_states"]
    with torch.no_grad():
        return model.network(latent, torch.zeros_like(latent), torch.tensor([50, 50]), model.conditioning())


def _checksum(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def test_image_mode_is_the_plain_model(random_model: Path) -> None:
    plain = PixArtTransformer2DModel.from_pretrained(random_model / "transformer")
    model = load_checkpoint(str(random_model))
    expected = _image_mode(plain.eval(), model)

    assert torch.equal(_image_mode(model.network.backbone, model), expected), "plugged, before depth"
    depth = _depth_mode(model)
    assert torch.equal(_image_mode(model.network.backbone, model), expected), "plugged, after depth"
    converter = model.network.unplug()
    assert isinstance(converter, PixArtConverter)
    assert torch.equal(_image_mode(model.network.backbone, model), expected), "unplugged"
    model.network.plug(converter)
    assert torch.equal(_image_mode(model.network.backbone, model), expected), "plugged again"
    assert torch.equal(_depth_mode(model), depth), "depth comes back too"


def test_depth_uses_the_frozen_weights(random_model: Path) -> None:
    model = load_checkpoint(str(random_model))
    before = _depth_mode(model)
    with torch.no_grad():
        model.network.backbone.transformer_blocks[-1].ff.net[2].weight.add_(0.5)
    assert not torch.equal(_depth_mode(model), before)


def test_a_training_step_leaves_the_backbone_alone(random_model: Path) -> None:
    model = load_checkpoint(str(random_model))
    network: MergePixArt = model.network
    model.converter.requires_grad_(True)
    before, converter_before = _checksum(network.backbone), _checksum(model.converter)
    optimizer = torch.optim.AdamW((p for p in network.parameters() if p.requires_grad), lr=1e-2)
    latent = _inputs(model)["hidden_states"]
    prediction = network(latent, torch.zeros_like(latent), torch.tensor([50, 50]), model.conditioning())
    prediction.square().mean().backward()
    optimizer.step()
    assert all(parameter.grad is None for parameter in network.backbone.parameters())
    assert _checksum(network.backbone) == before
    assert _checksum(model.converter) != converter_before
