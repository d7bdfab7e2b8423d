"""The whole depth path as one module of plain layers: camera pixels in, relative depth out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from merge_ros.errors import ConfigurationError
from merge_ros.model.checkpoint import Checkpoint
from merge_ros.model.light_codec import LightCodec
from merge_ros.model.pixart import MergePixArt
from merge_ros.model.pixels import encoder_pixels
from merge_ros.runtime.autoencoder_folding import fold_autoencoder
from merge_ros.runtime.foldable import NOT_FOLDED
from merge_ros.runtime.folding import FoldedTransformer, fold_network
from merge_ros.runtime.layers import linear


class DepthGraph(nn.Module):
    """[batch, H, W, 3] uint8 RGB -> [batch, H, W] float32 relative depth in [0, 1].

    Args:
        encoder: pixels in [-1, 1] to the scaled image latent.
        transformer: folded; image latent to depth latent.
        decoder: depth latent to one channel, depth in [0, 1] before clamping.
        guided: whether the decoder takes the image latent too, in channels behind the depth latent.
        min_brightness: see `model.pixels.brightened`; None: pictures are taken as they are.
    """

    def __init__(
        self,
        encoder: nn.Module,
        transformer: FoldedTransformer,
        decoder: nn.Module,
        *,
        guided: bool = False,
        min_brightness: float | None = None,
    ) -> None:
        super().__init__()
        self.min_brightness = min_brightness
        self.encoder, self.transformer, self.decoder, self.guided = encoder, transformer, decoder, guided

    def forward(self, rgb: Tensor) -> Tensor:
        """See the class."""
        latent = self.encoder(encoder_pixels(rgb, self.transformer.patch.weight.dtype, self.min_brightness))
        depth = self.decode(self.transformer(latent), latent)
        relative: Tensor = depth[:, 0].clamp(0, 1).float()
        return relative

    def decode(self, depth_latent: Tensor, image_latent: Tensor) -> Tensor:
        """[batch, C, h, w] of depth, and of the picture -> [batch, 1, H, W] before clamping."""
        depth: Tensor = self.decoder(torch.cat([depth_latent, image_latent], 1) if self.guided else depth_latent)
        return depth


@torch.no_grad()
def fold_checkpoint(checkpoint: Checkpoint) -> DepthGraph:
    """Fold a one-step checkpoint; the graph takes any image size that is a multiple of the checkpoint's grid.

    Args:
        checkpoint: with converters that predict x0 or v at a fixed `depth_timestep`.

    Returns:
        A module in fp32 on the CPU, in evaluation mode.

    Raises:
        ConfigurationError: the checkpoint needs several steps, its prompt has more than one token, or its backbone is
            not PixArt.
    """
    network, config = checkpoint.network, checkpoint.converter.config
    if not isinstance(network, MergePixArt):
        raise ConfigurationError(f"{type(network.backbone).__name__}: {NOT_FOLDED}")
    if config.depth_timestep is None:
        raise ConfigurationError(
            f"only one-step checkpoints can be folded; these converters predict {config.prediction_type!r} over "
            f"{config.num_inference_steps} steps"
        )
    transformer = fold_network(network, checkpoint.conditioning(), config.depth_timestep)
    if config.prediction_type == "v_prediction":
        # x0 = -sqrt(1 - alpha_bar) v for the empty depth slot (see model/sampling.py)
        gain = -(1 - checkpoint.scheduler.alphas_cumprod[config.depth_timestep]).sqrt().double()
        transformer.head = linear(gain * transformer.head.weight, gain * transformer.head.bias)
    encoder, decoder = fold_autoencoder(checkpoint.vae)
    guided = isinstance(checkpoint.vae, LightCodec) and bool(checkpoint.vae.config.guided)
    graph = DepthGraph(encoder, transformer, decoder, guided=guided, min_brightness=checkpoint.min_brightness)
    return graph.float().eval().requires_grad_(False)
