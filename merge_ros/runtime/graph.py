"""The whole depth path as one module of plain layers: camera pixels in, relative depth out."""

from __future__ import annotations

import copy

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from merge_ros.errors import ConfigurationError
from merge_ros.model.checkpoint import Checkpoint
from merge_ros.runtime.folding import FoldedTransformer, fold_network
from merge_ros.runtime.layers import convolution, linear


class DepthGraph(nn.Module):
    """[batch, H, W, 3] uint8 RGB -> [batch, H, W] float32 relative depth in [0, 1].

    Args:
        encoder: pixels in [-1, 1] to the encoder's raw output.
        to_latent: 1x1 convolution to the scaled mode of the posterior.
        transformer: folded; image latent to depth latent.
        from_latent: 1x1 convolution to what the decoder reads.
        decoder: to one channel, depth in [0, 1] before clamping.
    """

    def __init__(
        self,
        encoder: nn.Module,
        to_latent: nn.Conv2d,
        transformer: FoldedTransformer,
        from_latent: nn.Conv2d,
        decoder: nn.Module,
    ) -> None:
        super().__init__()
        self.encoder, self.to_latent, self.transformer = encoder, to_latent, transformer
        self.from_latent, self.decoder = from_latent, decoder

    def forward(self, rgb: Tensor) -> Tensor:
        """See the class."""
        images = rgb.permute(0, 3, 1, 2).to(self.to_latent.weight.dtype) / 127.5 - 1
        image_latent = self.to_latent(self.encoder(images))
        depth_latent = self.transformer(image_latent)
        depth = self.decoder(self.from_latent(depth_latent))
        relative: Tensor = depth[:, 0].clamp(0, 1).float()
        return relative


@torch.no_grad()
def fold_checkpoint(checkpoint: Checkpoint) -> DepthGraph:
    """Fold a one-step checkpoint; the graph takes any image size that is a multiple of the checkpoint's grid.

    Args:
        checkpoint: with converters that predict x0 or v at a fixed `depth_timestep`.

    Returns:
        A module in fp32 on the CPU, in evaluation mode.

    Raises:
        ConfigurationError: the checkpoint needs several steps, or its prompt has more than one token.
    """
    config = checkpoint.converter.config
    if config.depth_timestep is None:
        raise ConfigurationError(
            f"only one-step checkpoints can be folded; these converters predict {config.prediction_type!r} over "
            f"{config.num_inference_steps} steps"
        )
    transformer = fold_network(checkpoint.network, checkpoint.conditioning(), config.depth_timestep)
    if config.prediction_type == "v_prediction":
        # x0 = -sqrt(1 - alpha_bar) v for the empty depth slot (see model/sampling.py)
        gain = -(1 - checkpoint.scheduler.alphas_cumprod[config.depth_timestep]).sqrt().double()
        transformer.head = linear(gain * transformer.head.weight, gain * transformer.head.bias)
    vae = copy.deepcopy(checkpoint.vae).double().cpu()
    graph = DepthGraph(vae.encoder, _to_latent(vae), transformer, _from_latent(vae), _depth_decoder(vae))
    return graph.float().eval().requires_grad_(False)


def _to_latent(vae: AutoencoderKL) -> nn.Conv2d:
    """The mean half of the posterior, times the scaling factor."""
    channels = vae.config.latent_channels
    weight, bias = torch.eye(channels, 2 * channels).double()[..., None, None], torch.zeros(channels).double()
    if vae.quant_conv is not None:
        weight, bias = vae.quant_conv.weight[:channels], vae.quant_conv.bias[:channels]
    return convolution(weight * vae.config.scaling_factor, bias * vae.config.scaling_factor)


def _from_latent(vae: AutoencoderKL) -> nn.Conv2d:
    """Undo the scaling factor, then the convolution before the decoder."""
    channels = vae.config.latent_channels
    weight, bias = torch.eye(channels).double()[..., None, None], torch.zeros(channels).double()
    if vae.post_quant_conv is not None:
        weight, bias = vae.post_quant_conv.weight, vae.post_quant_conv.bias
    return convolution(weight / vae.config.scaling_factor, bias)


def _depth_decoder(vae: AutoencoderKL) -> nn.Module:
    """The decoder with a last convolution to one channel: mean over colours, then [-1, 1] to [0, 1]."""
    decoder: nn.Module = vae.decoder
    colours = vae.decoder.conv_out
    decoder.conv_out = convolution(
        colours.weight.mean(0, keepdim=True) / 2,
        colours.bias.mean(0, keepdim=True) / 2 + 0.5,
        padding=colours.padding[0],
    )
    return decoder
