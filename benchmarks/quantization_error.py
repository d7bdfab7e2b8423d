"""What 8-bit weights change in one step of MERGE-L, on networks of random weights: relative to fp32, as a norm.

    python benchmarks/quantization_error.py

Official weights have other distributions, so this ranks the ways of storing weights; it does not promise an accuracy.
Needs the extra `large`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel

from merge_ros.config.allowed import QUANTIZATIONS
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.flux_converter import FluxConverter
from merge_ros.model.memory import MemoryPlan, place
from merge_ros.model.networks import load_network

SEEDS = 3
NOISE = 0.02  # added to new converters, which change nothing yet
CPU = torch.device("cpu")


def save_random_model(folder: Path, seed: int) -> None:
    """A FLUX of 4 double and 8 single blocks, 256 wide, with converters of 2 groups."""
    torch.manual_seed(seed)
    backbone = FluxTransformer2DModel(
        in_channels=16,
        num_layers=4,
        num_single_layers=8,
        attention_head_dim=64,
        num_attention_heads=4,
        joint_attention_dim=32,
        pooled_projection_dim=16,
        guidance_embeds=True,
        axes_dims_rope=(16, 24, 24),
    )
    converter = FluxConverter.for_backbone(backbone, 2, copy_into_dual=True)
    with torch.no_grad():
        for parameter in converter.parameters():
            parameter.add_(NOISE * torch.randn_like(parameter))
    backbone.save_pretrained(folder / "transformer")
    converter.save_pretrained(folder / "depth_converters")


def main() -> None:
    """Print a row for each seed, precision and way of storing weights."""
    print("| seed | arithmetic | weights | changes by |\n|---|---|---|---|")
    for seed in range(SEEDS):
        with tempfile.TemporaryDirectory() as name:
            save_random_model(Path(name), seed)
            latent, prompt = (
                torch.randn(1, 4, 16, 16),
                Conditioning(torch.randn(1, 4, 32), torch.ones(1, 4), pooled=torch.randn(1, 16)),
            )
            exact = None
            for dtype in (torch.float32, torch.bfloat16):
                for quantization in QUANTIZATIONS:
                    plan = MemoryPlan("none", quantization)
                    folder = Path(name)
                    network = load_network(folder, folder / "depth_converters", dtype=dtype, **plan.loader_settings())
                    for part in (network.backbone, network.plugged()):
                        place(part, CPU, plan)
                    inputs = latent.to(dtype), latent.flip(-1).to(dtype), torch.tensor([600.0], dtype=dtype)
                    with torch.no_grad():
                        output = network(*inputs, prompt.to("cpu", dtype)).float()
                    exact = output if exact is None else exact
                    change = float((output - exact).norm() / exact.norm())
                    stored = str(dtype).removeprefix("torch.") if quantization == "none" else quantization
                    print(
                        f"| {seed} | {str(dtype).removeprefix('torch.')} | {stored} | {100 * change:.2f} % |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
