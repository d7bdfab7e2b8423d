"""MERGE-B in training: what the loop must know of PixArt."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from diffusers import PixArtTransformer2DModel
from torch import nn

from merge_ros.errors import ConfigurationError
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.parts import load_part
from merge_ros.model.pixart import MergePixArt
from merge_ros.training.converters.family import Family, check_groups
from merge_ros.training.converters.noise import NoiseProcess


class PixArt(Family):
    """MERGE-B: PixArt-alpha or -Sigma, epsilon."""

    prediction = "epsilon"

    def build(self) -> MergePixArt:
        """See `Family`."""
        backbone = load_part(PixArtTransformer2DModel, self.folder / "transformer")
        wanted = self.settings.converters
        check_groups(len(backbone.transformer_blocks), wanted.groups)
        converter = PixArtConverter.for_backbone(
            backbone, wanted.groups, ff_mult=wanted.ff_mult, processing_pixels=self.pixels, **self.inference
        )
        see_images_as(backbone, converter, slot_share=0.5 if self.settings.recipe == "published" else 0.0)
        return MergePixArt(backbone, converter)

    def process(self) -> NoiseProcess:
        """See `Family`."""
        if self.published_prediction == "flow":
            raise ConfigurationError("prediction='flow' is for FLUX; PixArt predicts epsilon or v_prediction")
        return NoiseProcess.of_diffusion(self.scheduler, self.published_prediction)

    def blocks(self) -> Iterable[nn.Module]:
        """See `Family`."""
        return [*self.network.backbone.transformer_blocks, *self.converter.transformer_blocks]


def see_images_as(backbone: PixArtTransformer2DModel, converter: PixArtConverter, *, slot_share: float) -> None:
    """Start the patch embedding as the backbone's own.

    Args:
        backbone, converter: of one model.
        slot_share: of the weights that goes to the depth slot: 0.5 as the authors' code has it (after Marigold), where
            the slot is a noisy latent; 0 where it is empty.
    """
    channels = backbone.config.in_channels
    with torch.no_grad():
        converter.pos_embed.proj.weight[:, :channels] = (1 - slot_share) * backbone.pos_embed.proj.weight
        converter.pos_embed.proj.weight[:, channels:] = slot_share * backbone.pos_embed.proj.weight
        converter.pos_embed.proj.bias.copy_(backbone.pos_embed.proj.bias)
