"""Layers made from given weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A Linear layer that holds [out, in] weights and an [out] bias."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


def convolution(weight: Tensor, bias: Tensor, stride: int = 1, padding: int = 0) -> nn.Conv2d:
    """A 2-D convolution that holds [out, in, k, k] weights and an [out] bias."""
    channels_out, channels_in, side, _ = weight.shape
    layer = nn.Conv2d(channels_in, channels_out, side, stride, padding, dtype=weight.dtype)
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


def bias_of(layer: nn.Linear) -> Tensor:
    """The bias of a Linear layer, zeros where it has none."""
    bias: Tensor | None = layer.bias  # torch declares it as always there
    return torch.zeros(layer.out_features, dtype=layer.weight.dtype) if bias is None else bias
