"""MERGE-B: a frozen PixArt transformer and the converters that make a depth estimator of it.

The backbone is diffusers' own module, held and never changed: image mode *is* that module, so it stays bit for bit
what it was, whatever converters are plugged in.
"""

from __future__ import annotations

import logging

import torch
from diffusers import PixArtTransformer2DModel
from torch import Tensor, nn

from merge_ros.errors import CheckpointError, InputError
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.converter import PixArtConverter, group_size

logger = logging.getLogger(__name__)


class MergePixArt(nn.Module):
    """The two networks joined: depth mode runs both, image mode only the frozen one.

    Args:
        backbone: the text-to-image transformer with N blocks; its parameters stop requiring gradients.
        converter: G converter blocks, patch embedding and head; None leaves the model in image mode only.

    Raises:
        CheckpointError: the two do not fit each other; the message names the setting.
    """

    def __init__(self, backbone: PixArtTransformer2DModel, converter: PixArtConverter | None = None) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.converter: PixArtConverter | None = None
        if converter is not None:
            self.plug(converter)

    def plug(self, converter: PixArtConverter) -> None:
        """Put converters in. No weight of the backbone is touched or copied.

        Raises:
            CheckpointError: the converters were made for another backbone.
        """
        check_fit(self.backbone, converter)
        self.converter = converter

    def unplug(self) -> PixArtConverter | None:
        """Take the converters out, and return them."""
        converter, self.converter = self.converter, None
        return converter

    def forward(
        self, image_latent: Tensor, depth_latent: Tensor, timestep: Tensor, conditioning: Conditioning
    ) -> Tensor:
        """Depth mode: what the converters predict for the depth slot.

        Args:
            image_latent: [batch, C, h, w], the VAE latent of the image times its scaling factor.
            depth_latent: [batch, C, h, w], noisy depth latent, or zeros in one-step inference.
            timestep: [batch] integer timesteps that the frozen blocks are told.
            conditioning: text embedding and mask, the empty prompt for depth.

        Returns:
            [batch, C, h, w]: noise, x0 or v of the depth latent, as `converter.config.prediction_type` says. A
            learned-sigma half is left in: [batch, 2C, h, w].

        Raises:
            InputError: no converters are plugged in, or the latents do not fit the patch grid.
        """
        converter = self.converter
        if converter is None:
            raise InputError("depth mode needs converters, and none are plugged in")
        latent = _joined(image_latent, depth_latent, converter)
        batch, patch = latent.shape[0], converter.config.patch_size
        grid = (latent.shape[-2] // patch, latent.shape[-1] // patch)

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
        return converter.head(tokens, embedded_timestep, grid)

    def _project_text(self, conditioning: Conditioning, tokens: Tensor) -> tuple[Tensor, Tensor]:
        text = conditioning.text.to(tokens)
        if self.backbone.caption_projection is not None:
            text = self.backbone.caption_projection(text)
        # Masked tokens get a large negative score: diffusers' convention for an additive mask.
        bias = (1 - conditioning.mask.to(tokens))[:, None] * -10000.0
        return text, bias


def check_fit(backbone: PixArtTransformer2DModel, converter: PixArtConverter) -> None:
    """Check that converters were made for a backbone like this one.

    Raises:
        CheckpointError: naming the first setting that does not fit, with both values.
    """
    frozen, learned = backbone.config, converter.config
    channels = frozen.in_channels
    width = frozen.num_attention_heads * frozen.attention_head_dim
    converter_width = learned.num_attention_heads * learned.attention_head_dim
    checks = (
        ("width (heads x head_dim)", converter_width, (width,)),
        ("patch_size", learned.patch_size, (frozen.patch_size,)),
        ("in_channels", learned.in_channels, (2 * channels,)),
        ("out_channels", learned.out_channels, (channels, 2 * channels)),
        ("num_layers (groups)", learned.num_layers, range(1, frozen.num_layers + 1)),
    )
    for name, found, allowed in checks:
        if found not in allowed:
            wanted = f"1 to {frozen.num_layers}" if isinstance(allowed, range) else " or ".join(map(str, allowed))
            raise CheckpointError(f"converters do not fit the backbone: {name} is {found}, the backbone needs {wanted}")
    blocks, groups = frozen.num_layers, learned.num_layers
    used = -(-blocks // group_size(blocks, groups))
    if used < groups:
        logger.warning(
            "%d of %d converter blocks never run: %d frozen blocks make %d groups",
            groups - used,
            groups,
            blocks,
            used,
        )


def _joined(image_latent: Tensor, depth_latent: Tensor, converter: PixArtConverter) -> Tensor:
    channels, patch = converter.config.in_channels // 2, converter.config.patch_size
    for name, latent in (("image_latent", image_latent), ("depth_latent", depth_latent)):
        if latent.ndim != 4 or latent.shape[1] != channels:
            raise InputError(f"{name} has shape {tuple(latent.shape)}; allowed: [batch, {channels}, h, w]")
    if image_latent.shape != depth_latent.shape:
        raise InputError(
            f"latents differ in shape: image {tuple(image_latent.shape)}, depth {tuple(depth_latent.shape)}"
        )
    if image_latent.shape[-2] % patch or image_latent.shape[-1] % patch:
        raise InputError(f"latent size {tuple(image_latent.shape[-2:])} must be a multiple of the patch size {patch}")
    # The order is the authors': image latent first, then the depth latent (MERGE-L has it the other way round).
    return torch.cat([image_latent, depth_latent], dim=1)
