"""The two halves of an autoencoder for the depth path, with everything constant folded into their convolutions.

Encoder: [batch, 3, H, W] pixels in [-1, 1] -> the scaled latent. Decoder: a scaled depth latent -> [batch, 1, H, W]
depth in [0, 1] before clamping. Scaling factors, the posterior's mean, the mean over colours and the shift from [-1, 1]
to [0, 1] are all linear, and go into the layers beside them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor, nn

from merge_ros.errors import ConfigurationError
from merge_ros.model.autoencoder import Autoencoder, latent_scaling
from merge_ros.model.light_codec import LightCodec
from merge_ros.runtime.layers import convolution


class SoftLimit(nn.Module):
    """3 tanh(x / 3): what TAESD's decoder does first (diffusers, DecoderTiny)."""

    def forward(self, latents: Tensor) -> Tensor:
        """Any shape -> the same shape, in (-3, 3)."""
        return 3 * torch.tanh(latents / 3)


@torch.no_grad()
def fold_autoencoder(autoencoder: Autoencoder) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder of the depth path, in fp64 on the CPU; the autoencoder is not changed.

    Raises:
        ConfigurationError: a kind of autoencoder that is not known here.
    """
    kinds: dict[type, Callable[[Any], tuple[nn.Module, nn.Module]]] = {
        AutoencoderKL: _kl,
        AutoencoderTiny: _tiny,
        LightCodec: _light,
    }
    fold = kinds.get(type(autoencoder))
    if fold is None:
        names = ", ".join(kind.__name__ for kind in kinds)
        raise ConfigurationError(f"{type(autoencoder).__name__} cannot be folded; allowed: {names}")
    return fold(copy.deepcopy(autoencoder).double().cpu())


def _kl(vae: AutoencoderKL) -> tuple[nn.Module, nn.Module]:
    channels = vae.config.latent_channels
    factor, shift = latent_scaling(vae)
    # The mean half of the posterior.
    weight, bias = _identity(channels, 2 * channels)
    if vae.quant_conv is not None:
        weight, bias = vae.quant_conv.weight[:channels], vae.quant_conv.bias[:channels]
    to_latent = convolution(weight * factor, (bias - shift) * factor)

    weight, bias = _identity(channels, channels)
    if vae.post_quant_conv is not None:
        weight, bias = vae.post_quant_conv.weight, vae.post_quant_conv.bias
    from_latent = convolution(weight / factor, bias + weight.sum((1, 2, 3)) * shift)
    decoder: nn.Module = vae.decoder
    decoder.conv_out = _one_channel(vae.decoder.conv_out, gain=0.5, offset=0.5)
    return nn.Sequential(vae.encoder, to_latent), nn.Sequential(from_latent, decoder)


def _tiny(vae: AutoencoderTiny) -> tuple[nn.Module, nn.Module]:
    factor, shift = latent_scaling(vae)
    layers: Any = vae.encoder.layers
    last = layers[-1]
    layers[-1] = convolution(last.weight * factor, (last.bias - shift) * factor, padding=last.padding[0])
    weight, bias = _identity(vae.config.latent_channels, vae.config.latent_channels)
    from_latent = convolution(weight / factor, bias + shift)
    *inner, colours = vae.decoder.layers
    # The layers speak [0, 1] already; it is DecoderTiny.forward that turns it into [-1, 1].
    return vae.encoder, nn.Sequential(from_latent, SoftLimit(), *inner, _one_channel(colours, gain=1, offset=0))


def _light(codec: LightCodec) -> tuple[nn.Module, nn.Module]:
    layers: list[Any] = list(codec.decoder)
    *inner, pixels, shuffle = layers
    halved = convolution(pixels.weight / 2, pixels.bias / 2 + 0.5, padding=pixels.padding[0])
    return codec.encoder, nn.Sequential(*inner, halved, shuffle)


def _one_channel(colours: Any, gain: float, offset: float) -> nn.Conv2d:
    """The last convolution with the mean over its colours, times a gain, plus an offset."""
    weight, bias = colours.weight.mean(0, keepdim=True), colours.bias.mean(0, keepdim=True)
    return convolution(weight * gain, bias * gain + offset, padding=colours.padding[0])


def _identity(channels: int, inputs: int) -> tuple[Tensor, Tensor]:
    """Weight and bias of a 1x1 convolution that passes the first channels on."""
    return torch.eye(channels, inputs).double()[..., None, None], torch.zeros(channels).double()
