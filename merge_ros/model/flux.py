"""MERGE-L: a frozen FLUX transformer and the converters that make a depth estimator of it."""

from __future__ import annotations

import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor
from torch.nn import functional

from merge_ros.errors import InputError
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.flux_converter import FluxConverter
from merge_ros.model.network import MergeNetwork, check_settings, group_size, warn_of_idle_blocks

PACKING = 2  # FLUX packs 2 x 2 latent pixels into a token (diffusers FluxPipeline)
TIME_UNITS = 1000  # FLUX is told times in [0, 1]; schedulers count to 1000

Rotation = tuple[Tensor, Tensor]
"""(cosines, sines), each [tokens, head_dim]."""


class MergeFlux(MergeNetwork[FluxTransformer2DModel, FluxConverter]):
    """A frozen FLUX transformer of any number of double and single blocks, each kind in G groups with converters."""

    @property
    def latent_channels(self) -> int:
        """See `MergeNetwork`."""
        return int(self.backbone.config.in_channels) // PACKING**2

    @property
    def token_side(self) -> int:
        """See `MergeNetwork`."""
        return PACKING

    @property
    def text_channels(self) -> int:
        """See `MergeNetwork`."""
        return int(self.backbone.config.joint_attention_dim)

    def forward(
        self, image_latent: Tensor, depth_latent: Tensor, timestep: Tensor, conditioning: Conditioning
    ) -> Tensor:
        """See `MergeNetwork`: noise minus latent, or x0.

        The backbone's guidance embedding, where there is one, is told the converters' `depth_guidance`.
        """
        converter = self.plugged()
        self.check_latents(image_latent, depth_latent)
        batch, _, height, width = image_latent.shape
        conditioning = conditioning.expanded(batch)
        # The order is the authors': noisy depth latent, then the image latent (MERGE-B has it the other way round).
        tokens = torch.cat([pack(depth_latent), pack(image_latent)], dim=2)
        guidance = torch.full((batch,), converter.config.depth_guidance, device=tokens.device, dtype=torch.float32)
        predicted = self.predict(
            tokens,
            timestep / TIME_UNITS,
            conditioning,
            image_ids=position_ids(height // PACKING, width // PACKING).to(tokens),
            text_ids=tokens.new_zeros(conditioning.text.shape[1], 3),
            guidance=guidance,
        )
        return unpack(predicted, height, width)

    def predict(
        self,
        tokens: Tensor,
        time: Tensor,
        conditioning: Conditioning,
        *,
        image_ids: Tensor,
        text_ids: Tensor,
        guidance: Tensor | None,
    ) -> Tensor:
        """Depth mode on packed tokens.

        Args:
            tokens: [batch, n, 2C], packed noisy depth latent then packed image latent.
            time: [batch] in [0, 1].
            conditioning: text [batch, m, joint_attention_dim] and pooled [batch, pooled_projection_dim].
            image_ids, text_ids: [n, 3] and [m, 3], index, row and column of every token.
            guidance: [batch]; not looked at where the backbone has no guidance embedding.

        Returns:
            [batch, n, C] of what `converter.config.prediction_type` says.

        Raises:
            InputError: no converters are plugged in, or a part of the conditioning is missing.
        """
        converter, backbone = self.plugged(), self.backbone
        embedded_time = self._embed_time(time, guidance, conditioning, tokens.dtype)
        tokens = converter.x_embedder(tokens)
        text = backbone.context_embedder(conditioning.text.to(tokens))
        rotation: Rotation = converter.pos_embed(torch.cat([text_ids, image_ids]))
        image_rotation = self._image_rotation(rotation, text_ids, image_ids)

        # Among the double blocks, converters look at the image tokens alone.
        no_text = tokens[:, :0]
        size = group_size(len(backbone.transformer_blocks), len(converter.single_transformer_blocks_in_dual))
        for index, frozen_block in enumerate(backbone.transformer_blocks):
            _, tokens = converter.single_transformer_blocks_in_dual[index // size](
                hidden_states=tokens,
                encoder_hidden_states=no_text,
                temb=embedded_time,
                image_rotary_emb=image_rotation,
            )
            text, tokens = frozen_block(
                hidden_states=tokens, encoder_hidden_states=text, temb=embedded_time, image_rotary_emb=rotation
            )
        size = group_size(len(backbone.single_transformer_blocks), len(converter.single_transformer_blocks))
        for index, frozen_block in enumerate(backbone.single_transformer_blocks):
            for block in (converter.single_transformer_blocks[index // size], frozen_block):
                text, tokens = block(
                    hidden_states=tokens, encoder_hidden_states=text, temb=embedded_time, image_rotary_emb=rotation
                )
        output: Tensor = converter.proj_out(converter.norm_out(tokens, embedded_time))
        return output

    def check_fit(self, converter: FluxConverter) -> None:
        """See `MergeNetwork`."""
        frozen, learned = self.backbone.config, converter.config
        width = frozen.num_attention_heads * frozen.attention_head_dim
        most = max(frozen.num_layers, frozen.num_single_layers)
        check_settings(
            (
                ("width (heads x head_dim)", learned.num_attention_heads * learned.attention_head_dim, (width,)),
                ("attention_head_dim", learned.attention_head_dim, (frozen.attention_head_dim,)),
                ("axes_dims_rope", list(learned.axes_dims_rope), (list(frozen.axes_dims_rope),)),
                ("patch_size", learned.patch_size, (frozen.patch_size,)),
                ("in_channels", learned.in_channels, (2 * frozen.in_channels,)),
                ("out_channels", learned.out_channels, (frozen.out_channels or frozen.in_channels,)),
                ("num_single_layers (groups)", learned.num_single_layers, range(1, most + 1)),
            )
        )
        for blocks in (frozen.num_layers, frozen.num_single_layers):
            if blocks:
                warn_of_idle_blocks(blocks, learned.num_single_layers)

    def _embed_time(
        self, time: Tensor, guidance: Tensor | None, conditioning: Conditioning, dtype: torch.dtype
    ) -> Tensor:
        if conditioning.pooled is None:
            raise InputError("FLUX needs the pooled text embedding (of CLIP) beside that of T5, and it is missing")
        told = [time.to(dtype) * TIME_UNITS]
        if self.backbone.config.guidance_embeds:
            if guidance is None:
                raise InputError("this FLUX has a guidance embedding, and no guidance was given")
            told.append(guidance.to(dtype) * TIME_UNITS)
        embedded: Tensor = self.backbone.time_text_embed(*told, conditioning.pooled.to(dtype))
        return embedded

    def _image_rotation(self, rotation: Rotation, text_ids: Tensor, image_ids: Tensor) -> Rotation:
        if self.plugged().config.merge_dual_rotary_emb_type:
            own: Rotation = self.plugged().pos_embed(image_ids)
            return own
        cosines, sines = rotation
        return cosines[len(text_ids) :], sines[len(text_ids) :]


def pack(latent: Tensor) -> Tensor:
    """[batch, c, h, w] to tokens [batch, h/2 * w/2, 4c]: channel, then row, then column within a token."""
    return functional.pixel_unshuffle(latent, PACKING).flatten(2).transpose(1, 2)


def unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    """The reverse of `pack`, for a latent of that height and width."""
    grid = tokens.transpose(1, 2).reshape(len(tokens), -1, height // PACKING, width // PACKING)
    return functional.pixel_shuffle(grid, PACKING)


def position_ids(rows: int, columns: int) -> Tensor:
    """[rows * columns, 3]: 0, row and column of each image token; depth and image share a token, hence a place."""
    grid = torch.zeros(rows, columns, 3)
    grid[..., 1] = torch.arange(rows)[:, None]
    grid[..., 2] = torch.arange(columns)[None, :]
    return grid.flatten(0, 1)
