"""Depth, then an image, then depth again, with one set of weights: what a switch takes; nothing is loaded twice.

    python benchmarks/mode_switch.py [--model merge-tiny] [--switches 20] [--json switch.json]

Depth mode is the frozen transformer with the converters plugged in, image mode the same module without them. The proof
is in the addresses: every tensor of image mode has the storage that depth mode uses for it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import torch

from merge_ros.config import EstimatorSettings
from merge_ros.model.checkpoint import load_checkpoint
from merge_ros.model.sampling import denoise_in_one_step

SIDE_TOKENS = 12  # of the latents here; a switch does not depend on it


def main() -> None:
    """Switch, measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=EstimatorSettings().model)
    parser.add_argument("--switches", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    before = _resident_mb()
    model = load_checkpoint(arguments.model)
    network, prompt, config = model.network, model.conditioning(), model.converter.config
    latent = torch.randn(1, network.backbone.config.in_channels, *2 * [SIDE_TOKENS * config.patch_size])
    loaded = _resident_mb()

    def depth() -> torch.Tensor:
        alphas = model.scheduler.alphas_cumprod
        with torch.inference_mode():
            return denoise_in_one_step(network, latent, prompt, config.depth_timestep, config.prediction_type, alphas)

    def image() -> torch.Tensor:
        with torch.inference_mode():
            return network.backbone(
                latent, prompt.text, encoder_attention_mask=prompt.mask, timestep=torch.tensor([500])
            ).sample

    first_depth, first_addresses = depth(), _addresses(network)
    to_image, to_depth = [], []
    for _ in range(arguments.switches):
        start = time.perf_counter()
        converter = network.unplug()
        to_image.append(time.perf_counter() - start)
        picture = image()
        image_addresses = _addresses(network.backbone)
        start = time.perf_counter()
        network.plug(converter)
        to_depth.append(time.perf_counter() - start)
        last_depth = depth()
    depth_addresses = _addresses(network)
    switched = _resident_mb()
    report = {
        "model": arguments.model,
        "to_image_ms_p50": 1e3 * statistics.median(to_image),
        "to_depth_ms_p50": 1e3 * statistics.median(to_depth),
        "weights_mb": sum(t.numel() * t.element_size() for t in (*network.parameters(), *network.buffers())) / 1e6,
        "resident_mb_of_loading": loaded - before,
        "resident_mb_of_all_switches": switched - loaded,
        "image_weights_share_storage_with_depth": image_addresses <= depth_addresses,
        "addresses_unchanged": first_addresses == depth_addresses,
        "depth_is_bit_identical": torch.equal(first_depth, last_depth),
        "picture_is_finite": bool(picture.isfinite().all()),
    }
    for name, value in report.items():
        print(f"{name:<40} {value:.3f}" if isinstance(value, float) else f"{name:<40} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def _addresses(module: torch.nn.Module) -> set[int]:
    return {tensor.data_ptr() for tensor in (*module.parameters(), *module.buffers())}


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
