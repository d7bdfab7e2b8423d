"""Converters of another shape begin as what was trained."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch
from diffusers import PixArtTransformer2DModel
from torch import Tensor

from merge_ros.errors import ConfigurationError
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.pixart import MergePixArt
from merge_ros.training.architecture import TinyArchitecture, build_transformer
from merge_ros.training.converters.reshape import reshaped
from merge_ros.training.depth_converters import new_converter

BLOCKS = 4


@pytest.fixture(scope="module")
def backbone() -> PixArtTransformer2DModel:
    torch.manual_seed(0)
    return build_transformer(TinyArchitecture(width=32, heads=2, layers=BLOCKS, sample_size=16, groups=2))


@pytest.fixture(scope="module")
def trained(backbone: PixArtTransformer2DModel) -> PixArtConverter:
    shape = TinyArchitecture(width=32, heads=2, layers=BLOCKS, sample_size=16, groups=2, ff_mult=4)
    converter = new_converter(backbone, shape)
    with torch.no_grad():
        for parameter in converter.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        # Half of the hidden units of each block hardly count.
        for block in converter.transformer_blocks:
            block.ff.net[0].proj.weight[::2] *= 0.01
            block.ff.net[0].proj.bias[::2] *= 0.01
            block.ff.net[2].weight[:, ::2] *= 0.01
    return converter


@torch.no_grad()
def depth_of(backbone: PixArtTransformer2DModel, converter: PixArtConverter) -> Tensor:
    torch.manual_seed(1)
    image, text = torch.randn(2, 4, 16, 16), torch.randn(1, 3, TinyArchitecture().text_width)
    conditioning = Conditioning(text, torch.ones(1, 3))
    network = MergePixArt(backbone, converter)
    output: Tensor = network(image, torch.zeros_like(image), torch.full((2,), 50), conditioning)
    return output


def test_more_groups_compute_the_same(backbone: PixArtTransformer2DModel, trained: PixArtConverter) -> None:
    doubled = reshaped(trained, BLOCKS, 4, 4)
    assert len(doubled.transformer_blocks) == 4
    assert doubled.config.depth_timestep == trained.config.depth_timestep
    assert torch.equal(depth_of(backbone, doubled), depth_of(backbone, trained))
    with torch.no_grad():
        doubled.transformer_blocks[1].scale_shift_table += 1  # copies, not the same weights twice
    assert not torch.equal(
        doubled.transformer_blocks[0].scale_shift_table, doubled.transformer_blocks[1].scale_shift_table
    )


def test_a_narrow_part_keeps_the_units_that_count(backbone: PixArtTransformer2DModel, trained: PixArtConverter) -> None:
    expected = depth_of(backbone, trained)
    halved = depth_of(backbone, reshaped(trained, BLOCKS, 2, 2))
    quartered = depth_of(backbone, reshaped(trained, BLOCKS, 2, 1))
    assert (halved - expected).abs().mean() < 0.05 * (quartered - expected).abs().mean()


@pytest.mark.parametrize(
    ("groups", "ff_mult", "message"), [(3, 4, "groups=3"), (1, 4, "groups=1"), (8, 4, "up to 4"), (2, 8, "ff_mult=8")]
)
def test_what_copies_cannot_make_is_refused(trained: PixArtConverter, groups: int, ff_mult: int, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        reshaped(trained, BLOCKS, groups, ff_mult)
