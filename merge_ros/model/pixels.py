"""Camera bytes to the numbers that an encoder takes."""

from __future__ import annotations

import torch
from torch import Tensor

WHITE = 255.0


def encoder_pixels(rgb: Tensor, dtype: torch.dtype, min_brightness: float | None = None) -> Tensor:
    """Pictures as the autoencoder takes them.

    Args:
        rgb: [batch, H, W, 3] uint8.
        dtype: of the result.
        min_brightness: see `brightened`.

    Returns:
        [batch, 3, H, W] in [-1, 1].
    """
    # Cast before anything else: TensorRT takes uint8 only as the input of a cast.
    pixels = rgb.to(dtype).permute(0, 3, 1, 2)
    if min_brightness is not None:
        # The mean of so many values is beyond fp16.
        pixels = brightened(pixels, rgb.float().mean((1, 2, 3)).to(dtype)[:, None, None, None], min_brightness)
    return pixels / (WHITE / 2) - 1


def brightened(pixels: Tensor, mean: Tensor, min_brightness: float) -> Tensor:
    """Dark pictures made as bright as the darkest ones that a small model knows well; all others as they are.

    One gain for the whole picture, as a longer exposure would give it; what passes white is clipped.

    Args:
        pixels: [batch, 3, H, W] in [0, 255].
        mean: of all pixels and colours of each picture, broadcastable to `pixels`.
        min_brightness: mean brightness in (0, 1) below which a picture is brightened up to it.

    Returns:
        As `pixels`.
    """
    # A black picture has nothing to brighten, and must not become a division by zero.
    gain = (min_brightness * WHITE / mean.clamp(min=1)).clamp(min=1)
    return (pixels * gain).clamp(max=WHITE)
