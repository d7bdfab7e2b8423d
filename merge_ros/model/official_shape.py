"""A MERGE-B of the official size with random weights: it can be counted, exported and compiled without a download.

The shape is that of `PixArt-alpha/PixArt-XL-2-512x512` (transformer/config.json) with 14 converter groups (arXiv
2510.23574, section 4.1), and diffusers' `AutoencoderTiny` in its default shape, TAESD's (github.com/madebyollin/taesd).
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderTiny, PixArtTransformer2DModel

from merge_ros.model.conditioning import MAX_PROMPT_TOKENS, Conditioning
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.pixart import MergePixArt

CAPTION_CHANNELS = 4096  # of T5-XXL
SIDE = 512  # pixels
GRID = 16  # pixels: the VAE shrinks 8-fold, a token is 2x2
LATENT_CHANNELS = 4


def official_network(layers: int = 28, dtype: torch.dtype = torch.float16, device: str = "cpu") -> MergePixArt:
    """The frozen transformer and its converters, seeded random weights.

    Args:
        layers: of the frozen transformer, an even number; 28 is the official one.
        device: "meta" makes one without memory, for counting.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # fp32 weights would take 2.9 GB before they are cast
    torch.manual_seed(0)
    try:
        with torch.device(device):
            backbone = PixArtTransformer2DModel(
                num_attention_heads=16,
                attention_head_dim=72,
                in_channels=LATENT_CHANNELS,
                out_channels=2 * LATENT_CHANNELS,
                num_layers=layers,
                cross_attention_dim=1152,
                caption_channels=CAPTION_CHANNELS,
                sample_size=64,
                patch_size=2,
            )
            converter = PixArtConverter.for_backbone(backbone, layers // 2)
    finally:
        torch.set_default_dtype(before)
    return MergePixArt(backbone, converter).eval()


def official_prompt() -> Conditioning:
    """A random empty prompt as PixArt pads it: `MAX_PROMPT_TOKENS` of T5-XXL's width, the mask keeps the first."""
    text = torch.randn(1, MAX_PROMPT_TOKENS, CAPTION_CHANNELS, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(1, MAX_PROMPT_TOKENS)
    mask[:, 0] = 1
    return Conditioning(text, mask)


def light_autoencoder() -> AutoencoderTiny:
    """TAESD's shape with seeded random weights."""
    torch.manual_seed(2)
    return AutoencoderTiny().eval()
