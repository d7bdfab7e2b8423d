"""Converters: groups, initialisation and the settings that travel with them."""

import pytest
import torch
from diffusers import PixArtTransformer2DModel

from merge_ros.errors import CheckpointError, ConfigurationError, InputError
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.converter import PixArtConverter, init_from_backbone
from merge_ros.model.network import group_size
from merge_ros.model.pixart import MergePixArt


def _backbone(layers: int = 6, heads: int = 2, **changes: int) -> PixArtTransformer2DModel:
    torch.manual_seed(layers)
    settings = {
        "num_attention_heads": heads,
        "attention_head_dim": 8,
        "in_channels": 4,
        "out_channels": 8,
        "num_layers": layers,
        "cross_attention_dim": 8 * heads,
        "caption_channels": 12,
        "sample_size": 16,
    }
    return PixArtTransformer2DModel(**{**settings, **changes}).eval()


@pytest.mark.parametrize(
    ("blocks", "groups", "size"), [(28, 14, 2), (28, 4, 7), (6, 6, 1), (7, 3, 3), (19, 10, 2), (5, 1, 5)]
)
def test_group_size_is_the_ceiling(blocks: int, groups: int, size: int) -> None:
    assert group_size(blocks, groups) == size


@pytest.mark.parametrize(("layers", "groups"), [(6, 3), (7, 3), (5, 2), (4, 4), (6, 1)])
def test_each_frozen_block_runs_after_the_converter_of_its_group(layers: int, groups: int) -> None:
    backbone = _backbone(layers)
    network = MergePixArt(backbone, PixArtConverter.for_backbone(backbone, groups)).eval()
    order: list[str] = []
    for index, block in enumerate(network.converter.transformer_blocks):
        block.register_forward_hook(lambda *_, index=index: order.append(f"c{index}"))
    for index, block in enumerate(backbone.transformer_blocks):
        block.register_forward_hook(lambda *_, index=index: order.append(f"f{index}"))
    latent = torch.zeros(1, 4, 4, 4)
    text = Conditioning(torch.zeros(1, 1, 12), torch.ones(1, 1))
    with torch.no_grad():
        network(latent, latent, torch.tensor([50]), text)
    size = -(-layers // groups)
    assert order == [step for i in range(layers) for step in (f"c{i // size}", f"f{i}")]


def test_initialisation_takes_the_first_block_of_each_group() -> None:
    backbone = _backbone(7)
    converter = PixArtConverter.for_backbone(backbone, 3)
    report = init_from_backbone(converter, backbone)
    for group, first in enumerate((0, 3, 6)):
        mine, frozen = converter.transformer_blocks[group], backbone.transformer_blocks[first]
        assert torch.equal(mine.attn1.to_q.weight, frozen.attn1.to_q.weight)
        assert torch.equal(mine.scale_shift_table, frozen.scale_shift_table)
    assert set(report.copied) | set(report.random) == set(converter.state_dict())
    # 8 input channels instead of 4, a feed-forward part of another width, and 4 output channels instead of 8
    assert "pos_embed.proj.weight" in report.random
    assert "transformer_blocks.0.ff.net.0.proj.weight" in report.random
    assert "proj_out.weight" in report.random
    assert "scale_shift_table" in report.copied


@pytest.mark.parametrize("groups", [0, 7, -1])
def test_groups_out_of_range(groups: int) -> None:
    with pytest.raises(ConfigurationError, match=r"must lie between 1 and the backbone's 6 blocks"):
        PixArtConverter.for_backbone(_backbone(6), groups)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prediction_type": "x0"}, "allowed: epsilon, sample, v_prediction"),
        ({"num_inference_steps": 0}, "at least 1"),
        ({"depth_timestep": 1000, "num_inference_steps": 1, "prediction_type": "sample"}, "0..999"),
        ({"depth_timestep": 50, "num_inference_steps": 5, "prediction_type": "sample"}, "fixes one step"),
        ({"depth_timestep": 50, "num_inference_steps": 1, "prediction_type": "epsilon"}, "not 'epsilon'"),
        ({"num_inference_steps": 1, "prediction_type": "sample"}, "need a depth_timestep"),
        ({"min_brightness": 1.5}, "between 0 and 1"),
    ],
)
def test_settings_that_contradict(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PixArtConverter(num_attention_heads=2, attention_head_dim=8, num_layers=1, sample_size=16, **settings)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"heads": 3}, "width"),
        ({"patch_size": 1}, "patch_size"),
        ({"in_channels": 8, "out_channels": 8}, "in_channels"),
    ],
)
def test_converters_of_another_backbone_are_refused(other: dict[str, int], named: str) -> None:
    converter = PixArtConverter.for_backbone(_backbone(**other), 3)
    with pytest.raises(CheckpointError, match=named):
        MergePixArt(_backbone(), converter)


def test_more_converters_than_blocks_are_refused() -> None:
    converter = PixArtConverter.for_backbone(_backbone(8), 8)
    with pytest.raises(CheckpointError, match=r"num_layers \(groups\) is 8"):
        MergePixArt(_backbone(4), converter)


def test_bad_latents() -> None:
    backbone = _backbone()
    network = MergePixArt(backbone, PixArtConverter.for_backbone(backbone, 3))
    text, time = Conditioning(torch.zeros(1, 1, 12), torch.ones(1, 1)), torch.tensor([50])
    good = torch.zeros(1, 4, 4, 4)
    with pytest.raises(InputError, match=r"image_latent has shape \(1, 3, 4, 4\)"):
        network(torch.zeros(1, 3, 4, 4), good, time, text)
    with pytest.raises(InputError, match="differ in shape"):
        network(good, torch.zeros(1, 4, 4, 6), time, text)
    with pytest.raises(InputError, match="multiple of the patch size 2"):
        network(torch.zeros(1, 4, 5, 4), torch.zeros(1, 4, 5, 4), time, text)
    network.unplug()
    with pytest.raises(InputError, match="none are plugged in"):
        network(good, good, time, text)
