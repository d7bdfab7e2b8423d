"""How much a network computes and holds, counted and not measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from merge_ros.model.conditioning import Conditioning
from merge_ros.model.pixart import MergePixArt
from merge_ros.runtime.graph import DepthGraph


@dataclass(frozen=True)
class FoldingCounts:
    """Of one image: the transformer with its converters before and after folding, and the whole folded frame.

    Floating-point operations count a multiply-add as two.
    """

    unfolded_flops: int
    folded_flops: int
    frame_flops: int
    unfolded_parameters: int
    folded_parameters: int
    frame_parameters: int


def count_folding(network: MergePixArt, conditioning: Conditioning, graph: DepthGraph, side: int) -> FoldingCounts:
    """Count at side x side pixels, with a VAE that shrinks 8-fold. Nothing is computed.

    Args:
        network: unfolded; on the device "meta" it needs no memory.
        conditioning: of one token.
        graph: the folded path.
    """
    channels = graph.transformer.patch.in_channels
    dtype = next(network.parameters()).dtype
    latent = torch.zeros(1, channels, side // 8, side // 8, device="meta", dtype=dtype)
    time = torch.zeros(1, dtype=torch.long, device="meta")
    network = network.to("meta")
    image = torch.zeros(1, side, side, 3, dtype=torch.uint8, device="meta")
    own = latent.to(graph.transformer.patch.weight.dtype)
    return FoldingCounts(
        count_flops(lambda: network(latent, latent, time, conditioning)),
        count_flops(lambda: _on_meta(graph.transformer, own)),
        count_flops(lambda: _on_meta(graph, image)),
        count_parameters(network),
        count_parameters(graph.transformer),
        count_parameters(graph),
    )


def count_flops(run: Callable[[], object]) -> int:
    """Operations of one call: matrix products, convolutions and attention."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def count_parameters(*modules: nn.Module) -> int:
    """Numbers in all parameters, shared ones once."""
    parameters = {id(tensor): tensor for module in modules for tensor in module.parameters()}
    return sum(tensor.numel() for tensor in parameters.values())


def stage_flops(graph: DepthGraph, shape: tuple[int, int, int]) -> dict[str, int]:
    """Operations of the folded path for images of (batch, height, width): encoder, transformer, decoder, and all."""
    batch, height, width = shape
    parts: dict[str, int] = {}
    with torch.device("meta"):
        image = torch.zeros(batch, height, width, 3, dtype=torch.uint8)
        pixels = torch.zeros(batch, 3, height, width, dtype=graph.transformer.patch.weight.dtype)
    latents: list[Tensor] = []
    parts["encoder"] = count_flops(lambda: latents.append(_on_meta(graph.encoder, pixels)))
    parts["transformer"] = count_flops(lambda: _on_meta(graph.transformer, latents[0]))
    decoded = torch.cat([latents[0], latents[0]], dim=1) if graph.guided else latents[0]
    parts["decoder"] = count_flops(lambda: _on_meta(graph.decoder, decoded))
    parts["frame"] = count_flops(lambda: _on_meta(graph, image))
    return parts


def _on_meta(module: nn.Module, value: Tensor) -> Tensor:
    """A call with weights that have no memory; the module keeps its own."""
    # Named once each: a block that stands in several places is one module. `tie_weights` would put its weights in once
    # per place, and afterwards put back what it found the second time.
    weights = {name: tensor.to("meta") for name, tensor in (*module.named_parameters(), *module.named_buffers())}
    result: Tensor = functional_call(module, weights, (value,), tie_weights=False)
    return result
