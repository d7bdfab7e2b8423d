"""Images and depth maps to latents and back, through the frozen autoencoder of the backbone or a light one instead.

Three kinds are known: diffusers' `AutoencoderKL` (the VAE that a backbone was trained with), its `AutoencoderTiny`
(TAESD, distilled from such a VAE; github.com/madebyollin/taesd) and our own `LightCodec`, which decodes depth only.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor
from torch.nn import functional

from merge_ros.errors import ConfigurationError
from merge_ros.model.light_codec import LightCodec

Autoencoder: TypeAlias = AutoencoderKL | AutoencoderTiny | LightCodec
KINDS: dict[str, type[Autoencoder]] = {kind.__name__: kind for kind in (AutoencoderKL, AutoencoderTiny, LightCodec)}


def encode(vae: Autoencoder, images: Tensor) -> Tensor:
    """Pictures to latents. The mode of a posterior is taken, not a sample: a robot wants the same answer twice.

    Args:
        images: [batch, 3, H, W] in [-1, 1]; H and W multiples of `downsampling(vae)`.

    Returns:
        [batch, C, H / f, W / f], shifted and scaled as the backbone wants its latents.
    """
    if isinstance(vae, LightCodec):
        scaled: Tensor = vae.encode(images)
        return scaled
    encoded: Any = vae.encode(images)
    latent: Tensor = encoded.latents if isinstance(vae, AutoencoderTiny) else encoded.latent_dist.mode()
    factor, shift = latent_scaling(vae)
    return (latent - shift) * factor


def decode(vae: Autoencoder, latents: Tensor) -> Tensor:
    """Latents to pictures in [0, 1].

    Args:
        latents: [batch, C, h, w], scaled as `encode` returns them.

    Returns:
        [batch, 3, h * f, w * f].

    Raises:
        ConfigurationError: the autoencoder is a light codec, which has no colours.
    """
    if isinstance(vae, LightCodec):
        raise ConfigurationError("a light codec decodes depth only; pictures need codec 'full'")
    return (decode_signed(vae, latents) / 2 + 0.5).clamp(0, 1)


def decode_depth(vae: Autoencoder, latents: Tensor, image_latents: Tensor | None = None) -> Tensor:
    """Depth latents to relative depth [batch, H, W] in [0, 1], 0 nearest.

    The three colour channels held the same depth map in training; their mean is taken (Marigold, arXiv 2312.02145).

    Args:
        image_latents: of the pictures that the depth belongs to; a guided light codec needs them, no other uses them.
    """
    return (decode_signed(vae, latents, image_latents).mean(dim=1) / 2 + 0.5).clamp(0, 1)


def decode_normals(vae: AutoencoderKL | AutoencoderTiny, latents: Tensor) -> Tensor:
    """Latents of normal maps to unit vectors [batch, 3, H, W]: the channels held x, y and z in [-1, 1] in training."""
    return functional.normalize(decode_signed(vae, latents), dim=1)


def downsampling(vae: Autoencoder) -> int:
    """Image pixels per latent pixel along one side (f)."""
    if isinstance(vae, LightCodec):
        return int(vae.config.downsampling)
    return int(2 ** (len(vae.config.block_out_channels) - 1))


def latent_scaling(vae: AutoencoderKL | AutoencoderTiny) -> tuple[float, float]:
    """(factor, shift): the backbone's latent is (raw - shift) * factor. TAESD has (1, 0): scaled already."""
    return float(vae.config.scaling_factor), float(vae.config.shift_factor or 0.0)


def decode_signed(vae: Autoencoder, latents: Tensor, image_latents: Tensor | None = None) -> Tensor:
    """What a latent shows, in [-1, 1] but for overshoot: [batch, 3, H, W], or [batch, 1, H, W] from a light codec.

    Args:
        image_latents: see `decode_depth`.
    """
    if isinstance(vae, LightCodec):
        depth: Tensor = vae.decode(latents, image_latents)
        return depth
    factor, shift = latent_scaling(vae)
    decoded: Any = vae.decode(latents / factor + shift)
    pictures: Tensor = decoded.sample
    return pictures
