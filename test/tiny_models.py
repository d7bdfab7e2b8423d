"""Networks of the official classes with a few thousand random weights, for models that tests make on the spot."""

from __future__ import annotations

from typing import Any

from diffusers import AutoencoderKL, FluxTransformer2DModel


def tiny_flux(double: int, single: int, **changes: Any) -> FluxTransformer2DModel:
    """A FLUX of two heads; the caller seeds."""
    settings: dict[str, Any] = {
        "in_channels": 16,
        "num_layers": double,
        "num_single_layers": single,
        "attention_head_dim": 8,
        "num_attention_heads": 2,
        "joint_attention_dim": 12,
        "pooled_projection_dim": 6,
        "guidance_embeds": True,
        "axes_dims_rope": (2, 2, 4),
    }
    return FluxTransformer2DModel(**settings | changes)


def tiny_vae(**changes: Any) -> AutoencoderKL:
    """An autoencoder with four pixels a side for a latent pixel, without attention."""
    settings: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "block_out_channels": (8, 8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "mid_block_add_attention": False,
    }
    return AutoencoderKL(**settings | changes)
