"""A light stand-in for the VAE of the depth path: a small encoder, and a small decoder to one channel of depth.

Both work at the latent's own resolution: the encoder folds each patch of f x f pixels into channels at once, the
decoder unfolds them at the end, and all else is a few residual blocks in between. A guided decoder also sees the
picture's latent, as guided upsampling does: the transformer's tokens are coarse, the picture knows where the outlines
are. `merge_ros.training` trains both halves to give what the full VAE gives and better, so they belong to the VAE and
the converters they were trained with.
"""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from merge_ros.errors import ConfigurationError


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), without normalisation; the identity before training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """[batch, channels, h, w] -> the same shape."""
        change: Tensor = self.second(functional.relu(self.first(features)))
        return features + change


class FrameStatistics(nn.Module):
    """Scales and shifts every channel by what the whole frame looks like; the identity before training.

    The full VAE's group norms divide by statistics of the whole frame, which convolutions alone cannot see.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, 2 * channels, 1)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """[batch, channels, h, w] -> the same shape."""
        mean = functional.relu(features).mean(dim=(2, 3), keepdim=True)
        scale, shift = self.project(mean).chunk(2, dim=1)
        changed: Tensor = features * (1 + scale) + shift
        return changed


class LightCodec(ModelMixin, ConfigMixin):
    """Pictures to scaled latents, and scaled depth latents to depth.

    Args:
        latent_channels: of the latent.
        downsampling: image pixels per latent pixel along one side (f).
        channels: of all features in between.
        encoder_blocks, decoder_blocks: residual blocks of each half, at least 1.
        guided: whether the decoder sees the picture's latent beside the depth latent.
        abs_rel_cost: AbsRel on held-out frames with this codec minus that with the full VAE; None: not measured.
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 4,
        downsampling: int = 4,
        channels: int = 48,
        encoder_blocks: int = 3,
        decoder_blocks: int = 3,
        guided: bool = False,
        abs_rel_cost: float | None = None,
    ) -> None:
        super().__init__()
        pixels = downsampling**2
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(downsampling),
            nn.Conv2d(3 * pixels, channels, 3, padding=1),
            *_blocks(channels, encoder_blocks),
            nn.Conv2d(channels, latent_channels, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d((2 if guided else 1) * latent_channels, channels, 3, padding=1),
            *_blocks(channels, decoder_blocks),
            nn.Conv2d(channels, pixels, 3, padding=1),
            nn.PixelShuffle(downsampling),
        )

    def encode(self, images: Tensor) -> Tensor:
        """[batch, 3, H, W] in [-1, 1] -> [batch, C, H / f, W / f], already times the full VAE's scaling factor."""
        latents: Tensor = self.encoder(images)
        return latents

    def decode(self, latents: Tensor, image_latents: Tensor | None = None) -> Tensor:
        """Depth latents to depth.

        Args:
            latents: [batch, C, h, w] of depth, scaled as `encode` returns them.
            image_latents: [batch, C, h, w] of the pictures; needed and used when the codec is guided.

        Returns:
            [batch, 1, h * f, w * f], depth around [-1, 1].

        Raises:
            ConfigurationError: the codec is guided, and there are no image latents.
        """
        if self.config.guided:
            if image_latents is None:
                raise ConfigurationError("a guided light codec decodes depth with the latents of the pictures")
            latents = torch.cat([latents, image_latents.to(latents.dtype)], dim=1)
        depth: Tensor = self.decoder(latents)
        return depth

    def forward(self, images: Tensor) -> Tensor:
        """Both halves: depth that the latents of pictures would show if they were of depth maps."""
        latents = self.encode(images)
        return self.decode(latents, latents)


def _blocks(channels: int, count: int) -> list[nn.Module]:
    """Residual blocks with the frame's statistics after the first."""
    first, *others = (ResidualBlock(channels) for _ in range(count))
    return [first, FrameStatistics(channels), *others]
