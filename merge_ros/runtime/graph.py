"""The whole depth path as one module of plain layers: camera pixels in, relative depth out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from merge_ros.errors import ConfigurationError
from merge_ros.model.checkpoint import Checkpoint
from merge_ros.runtime.autoencoder_folding import fold_autoencoder
from merge_ros.runtime.folding import FoldedTransformer, fold_network
from merge_ros.runtime.layers import linear


class DepthGraph(nn.Module):
    """[batch, H, W, 3] uint8 RGB -> [batch, H, W] float32 relative depth in [0, 1].

    Args:
        encoder: pixels in [-1, 1] to the scaled image latent.
        transformer: folded; image latent to depth latent.
        decoder: depth latent to one channel, depth in [0, 1] before clamping.
    """

    def __init__(self, encoder: nn.Module, transformer: FoldedTransformer, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.transformer, self.decoder = encoder, transformer, decoder

    def forward(self, rgb: Tensor) -> Tensor:
        """See the class."""
        # Cast before anything else: TensorRT takes uint8 only as the input of a cast.
        images = rgb.to(self.transformer.patch.weight.dtype).permute(0, 3, 1, 2) / 127.5 - 1
        depth = self.decoder(self.transformer(self.encoder(images)))
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
    encoder, decoder = fold_autoencoder(checkpoint.vae)
    return DepthGraph(encoder, transformer, decoder).float().eval().requires_grad_(False)
