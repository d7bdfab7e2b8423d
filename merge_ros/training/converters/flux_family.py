"""MERGE-L in training: what the loop must know of FLUX."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from diffusers import FluxTransformer2DModel
from torch import nn

from merge_ros.errors import ConfigurationError
from merge_ros.model.flux import MergeFlux
from merge_ros.model.flux_converter import FluxConverter
from merge_ros.model.parts import load_part
from merge_ros.training.converters.family import Family, check_groups
from merge_ros.training.converters.noise import NoiseProcess


class Flux(Family):
    """FLUX.1-dev or schnell, of any number of blocks; flow matching."""

    prediction = "flow"

    def build(self) -> MergeFlux:
        """See `Family`; G converters in each of the two sets."""
        backbone = load_part(FluxTransformer2DModel, self.folder / "transformer")
        groups = self.settings.converters.groups
        for blocks in (len(backbone.transformer_blocks), len(backbone.single_transformer_blocks)):
            if blocks:
                check_groups(blocks, groups)
        converter = FluxConverter.for_backbone(backbone, groups, processing_pixels=self.pixels, **self.inference)
        if self.settings.recipe == "one_step":
            see_the_picture(converter)
        return MergeFlux(backbone, converter)

    def process(self) -> NoiseProcess:
        """See `Family`."""
        if self.published_prediction != "flow":
            raise ConfigurationError(f"prediction={self.published_prediction!r} is for PixArt; FLUX predicts flow")
        return NoiseProcess.of_flow(self.scheduler)

    def blocks(self) -> Iterable[nn.Module]:
        """See `Family`."""
        backbone, converter = self.network.backbone, self.converter
        return [
            *backbone.transformer_blocks,
            *backbone.single_transformer_blocks,
            *converter.single_transformer_blocks_in_dual,
            *converter.single_transformer_blocks,
        ]


@torch.no_grad()
def see_the_picture(converter: FluxConverter) -> None:
    """Read the image latent, not the empty slot, as the backbone reads its noisy latent."""
    weight = converter.x_embedder.weight
    weight.copy_(weight.roll(weight.shape[1] // 2, dims=1))
