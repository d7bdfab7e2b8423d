"""How much a network computes and holds, counted and not measured."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def count_flops(run: Callable[..., object], *inputs: Tensor) -> int:
    """Floating-point operations of one call, a multiply-add being two: matrix products, convolutions and attention.

    Args:
        run: a module or a function of one; on the device "meta" nothing is computed.
    """
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        run(*inputs)
    return int(counter.get_total_flops())


def count_parameters(*modules: nn.Module) -> int:
    """Numbers in all parameters and buffers, shared ones once."""
    tensors = {id(tensor): tensor for module in modules for tensor in (*module.parameters(), *module.buffers())}
    return sum(tensor.numel() for tensor in tensors.values())
