"""MERGE-B: a frozen PixArt transformer and the converters that make a depth estimator of it."""

from __future__ import annotations

import torch
from diffusers import PixArtTransformer2DModel
from torch import Tensor

from merge_ros.errors import InputError
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.network import MergeNetwork, check_settings, group_size, warn_of_idle_blocks


class MergePixArt(MergeNetwork[PixArtTransformer2DModel, PixArtConverter]):
    """A frozen transformer of PixArt-alpha or PixArt-Sigma with N blocks, and converters in G groups."""

    @property
    def latent_channels(self) -> int:
        """See `MergeNetwork`."""
        return int(self.backbone.config.in_channels)

    @property
    def token_side(self) -> int:
        """See `MergeNetwork`."""
        return int(self.backbone.config.patch_size)

    @property
    def text_channels(self) -> int:
        """See `MergeNetwork`."""
        return int(self.backbone.config.caption_channels or self.backbone.config.cross_attention_dim)

    def forward(
        self, image_latent: Tensor, depth_latent: Tensor, timestep: Tensor, conditioning: Conditioning
    ) -> Tensor:
        """See `MergeNetwork`: noise, x0 or v. A learned-sigma half is left in: [batch, 2C, h, w]."""
        converter = self.plugged()
        self.check_latents(image_latent, depth_latent)
        if self.backbone.use_additional_conditions and conditioning.resolution is None:
            raise InputError(
                "this PixArt is told the size of the picture, and it is missing: Conditioning.sized gives it"
            )
        # The order is the authors': image latent first, then the depth latent (MERGE-L has it the other way round).
        latent = torch.cat([image_latent, depth_latent], dim=1)
        batch, grid = latent.shape[0], (latent.shape[-2] // self.token_side, latent.shape[-1] // self.token_side)

        tokens = converter.pos_embed(latent)
        modulation, embedded_timestep = self.backbone.adaln_single(
            timestep, conditioning.size_conditions(batch), batch_size=batch, hidden_dtype=tokens.dtype
        )
        text, text_bias = self._project_text(conditioning.expanded(batch), tokens)
        size = group_size(len(self.backbone.transformer_blocks), len(converter.transformer_blocks))
        for index, frozen_block in enumerate(self.backbone.transformer_blocks):
            tokens = converter.transformer_blocks[index // size](tokens, timestep=modulation)
            tokens = frozen_block(
                tokens, encoder_hidden_states=text, encoder_attention_mask=text_bias, timestep=modulation
            )
        output: Tensor = converter.head(tokens, embedded_timestep, grid)
        return output

    def check_fit(self, converter: PixArtConverter) -> None:
        """See `MergeNetwork`."""
        frozen, learned = self.backbone.config, converter.config
        channels = frozen.in_channels
        width = frozen.num_attention_heads * frozen.attention_head_dim
        check_settings(
            (
                ("width (heads x head_dim)", learned.num_attention_heads * learned.attention_head_dim, (width,)),
                ("patch_size", learned.patch_size, (frozen.patch_size,)),
                ("in_channels", learned.in_channels, (2 * channels,)),
                ("out_channels", learned.out_channels, (channels, 2 * channels)),
                ("num_layers (groups)", learned.num_layers, range(1, frozen.num_layers + 1)),
            )
        )
        warn_of_idle_blocks(frozen.num_layers, learned.num_layers)

    def _project_text(self, conditioning: Conditioning, tokens: Tensor) -> tuple[Tensor, Tensor]:
        text = conditioning.text.to(tokens)
        if self.backbone.caption_projection is not None:
            text = self.backbone.caption_projection(text)
        # Masked tokens get a large negative score: diffusers' convention for an additive mask.
        bias = (1 - conditioning.mask.to(tokens))[:, None] * -10000.0
        return text, bias
