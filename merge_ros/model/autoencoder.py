"""Images and depth maps to latents and back, through the frozen VAE of the backbone."""

from __future__ import annotations

from diffusers import AutoencoderKL
from torch import Tensor


def encode(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Pictures to latents. The mode of the posterior is taken, not a sample: a robot wants the same answer twice.

    Args:
        images: [batch, 3, H, W] in [-1, 1]; H and W multiples of `downsampling(vae)`.

    Returns:
        [batch, C, H / f, W / f], times the VAE's scaling factor.
    """
    latent: Tensor = vae.encode(images).latent_dist.mode()
    scaled: Tensor = latent * vae.config.scaling_factor
    return scaled


def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Latents to pictures in [0, 1].

    Args:
        latents: [batch, C, h, w], scaled as `encode` returns them.

    Returns:
        [batch, 3, h * f, w * f].
    """
    return (_decoded(vae, latents) / 2 + 0.5).clamp(0, 1)


def decode_depth(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Depth latents to relative depth [batch, H, W] in [0, 1], 0 nearest.

    The three colour channels held the same depth map in training; their mean is taken (Marigold, arXiv 2312.02145).
    """
    return (_decoded(vae, latents).mean(dim=1) / 2 + 0.5).clamp(0, 1)


def downsampling(vae: AutoencoderKL) -> int:
    """Image pixels per latent pixel along one side (f)."""
    return int(2 ** (len(vae.config.block_out_channels) - 1))


def _decoded(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    pictures: Tensor = vae.decode(latents / vae.config.scaling_factor).sample
    return pictures
