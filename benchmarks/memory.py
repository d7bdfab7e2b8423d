"""Parameters of the official models, and what memory the plans of docs/checkpoints.md need. Calculated, not measured.

    python benchmarks/memory.py

Networks are made without weights (torch's meta device), so this needs no download and no GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from merge_ros.model.flux_converter import FluxConverter
from merge_ros.model.official_shape import official_network

GB = 1e9
VAE = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
}
STEPS = 20
PCIE = 25.0  # GB/s that PCIe 4.0 x16 moves in practice, of 31.5


def parameters(module: nn.Module, chosen: Callable[[str], bool] = lambda _: True) -> int:
    """Number of parameters whose name is chosen."""
    return sum(tensor.numel() for name, tensor in module.named_parameters() if chosen(name))


def in_fp8(name: str) -> bool:
    """Whether diffusers' layerwise casting stores a parameter of FLUX in 8 bits: all but norms."""
    return "norm" not in name


def in_linear_layers(module: nn.Module) -> int:
    """Number of weights of Linear layers, all of which torchao stores in 8 bits."""
    return sum(layer.weight.numel() for layer in module.modules() if isinstance(layer, nn.Linear))


def main() -> None:
    """Print both tables."""
    with torch.device("meta"):
        flux: Any = FluxTransformer2DModel(guidance_embeds=True)
        flux_converters: Any = FluxConverter()
        flux_vae = AutoencoderKL(latent_channels=16, use_quant_conv=False, use_post_quant_conv=False, **VAE)
        vae = AutoencoderKL(latent_channels=4, **VAE)
        t5 = T5EncoderModel(
            T5Config(d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu")
        )
        clip = CLIPTextModel(
            CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
        )
        pixart = official_network(device="meta")
    counts = {
        "PixArt-alpha 512": parameters(pixart.backbone),
        "MERGE-B converters, 14 groups": parameters(pixart.plugged()),
        "its VAE": parameters(vae),
        "FLUX.1-dev": parameters(flux),
        "MERGE-L converters, 5 groups": parameters(flux_converters),
        "its VAE ": parameters(flux_vae),
        "T5-XXL encoder": parameters(t5),
        "CLIP-L text encoder": parameters(clip),
    }
    for name, count in counts.items():
        print(f"{name:<32} {count / GB:8.3f} G  {4 * count / GB:7.2f} GB fp32  {2 * count / GB:7.2f} GB bf16")

    both = parameters(flux) + parameters(flux_converters)
    small = parameters(flux, in_fp8) + parameters(flux_converters, in_fp8)
    whole, eight = 2 * both / GB, (small + 2 * (both - small)) / GB
    linear = in_linear_layers(flux) + in_linear_layers(flux_converters)
    integers = (linear + 2 * (both - linear)) / GB
    layers = [tensor.numel() for network in (flux, flux_converters) for tensor in network.parameters()]
    print(f"\nMERGE-L, transformer and converters: bf16 {whole:.1f} GB, fp8 {eight:.1f} GB, int8 {integers:.1f} GB")
    print(f"sequential: largest layer {2 * max(layers) / GB:.2f} GB in bf16, {max(layers) / GB:.2f} GB in fp8")
    # A converter runs before every frozen block, and comes to the GPU each time.
    groups = flux_converters.config.num_single_layers
    of_block = parameters(flux_converters.single_transformer_blocks) / groups
    runs = flux.config.num_layers + flux.config.num_single_layers
    moved = parameters(flux) + of_block * runs
    print(
        f"sequential, moved in a step: {2 * moved / GB:.1f} GB in bf16; {STEPS} steps take "
        f"{2 * moved * STEPS / GB / PCIE:.0f} s at {PCIE:.0f} GB/s, whatever the GPU"
    )


if __name__ == "__main__":
    main()
