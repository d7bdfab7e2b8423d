"""The way depth was published against one step, folded, and on each engine: same weights, same image, same machine.

    python benchmarks/engines.py [--model merge-tiny] [--threads 2] [--runs 20] [--json engines.json]

"published" does for each frame what the authors' pipeline does: T5 on the empty prompt, a latent that is sampled from
the VAE's posterior, twenty denoising steps from noise, the full VAE's decoder to three colours. The others take the
codec that --codec names. Each runs in a process of its own, and they take turns; ratios are of medians.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import EstimatorSettings
from merge_ros.evaluation.speed import Workload, measure
from merge_ros.runtime.engine import DepthEngine, load_engine

STEPS = 20
ENGINES = {
    "one step, torch eager": {"backend": "torch", "torch_mode": "eager", "precision": "fp32"},
    "one step, torch folded": {"backend": "torch", "torch_mode": "folded", "precision": "fp32"},
    "one step, ONNX Runtime": {"backend": "onnx", "precision": "fp32"},
    "one step, OpenVINO": {"backend": "openvino", "precision": "fp32"},
    "one step, OpenVINO bf16": {"backend": "openvino", "precision": "bf16"},
}


class PublishedWay:
    """A `DepthEngine` that works as the published inference does; its depth is of no use with one-step converters."""

    def __init__(self, model: str, threads: int) -> None:
        import torch

        from merge_ros.model.checkpoint import load_checkpoint
        from merge_ros.model.text_encoder import load_text_encoder

        if threads:
            torch.set_num_threads(threads)
        self._checkpoint = load_checkpoint(model, codec="full")
        self._tokenizer, self._text_encoder = load_text_encoder(self._checkpoint.folder)
        self.grid, self.native_pixels = self._checkpoint.grid, self._checkpoint.native_pixels
        self.description = f"model {model}, torch eager, {STEPS} steps, sampled latents, T5 and full VAE for each frame"

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `DepthEngine.__call__`."""
        import torch

        from merge_ros.model.conditioning import encode_prompt
        from merge_ros.model.pixels import encoder_pixels
        from merge_ros.model.sampling import denoise

        checkpoint = self._checkpoint
        vae = checkpoint.vae
        with torch.inference_mode():
            prompt = encode_prompt(self._tokenizer, self._text_encoder, "")
            images = encoder_pixels(torch.from_numpy(rgb), torch.float32)
            latent = vae.encode(images).latent_dist.sample() * vae.config.scaling_factor
            noise = torch.randn_like(latent)
            depth = denoise(checkpoint.network, latent, prompt, checkpoint.depth_scheduler(), STEPS, noise)
            colours = vae.decode(depth / vae.config.scaling_factor).sample
            return (colours.mean(dim=1) / 2 + 0.5).clamp(0, 1).numpy()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=EstimatorSettings().model)
    parser.add_argument("--codec", default=EstimatorSettings().codec)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    loaders = {"published": functools.partial(_published, arguments.model, arguments.threads)}
    for name, values in ENGINES.items():
        settings = EstimatorSettings(
            model=arguments.model, codec=arguments.codec, threads=arguments.threads, device="cpu", **values
        )
        loaders[name] = functools.partial(load_engine, settings)
    measurements = measure(loaders, Workload(arguments.width, arguments.height), arguments.runs)
    rows = [measurement.summary(1) for measurement in measurements]
    for row in rows:
        if row["problem"]:
            print(f"{row['name']}: left out: {row['problem']}")
    medians = {row["name"]: row["ms_p50"] for row in rows if not row["problem"]}
    print(f"{arguments.width}x{arguments.height} image, {arguments.threads} thread(s), {arguments.runs} runs in turn")
    print(f"{'':<26} {'p50 ms':>9} {'p95 ms':>9} {'x published':>12} {'x eager':>9} {'CPU ms':>9} {'peak MB':>9}")
    for row in rows:
        if row["problem"]:
            continue
        name = row["name"]
        to_published = medians.get("published", float("nan")) / medians[name]
        to_eager = medians.get("one step, torch eager", float("nan")) / medians[name]
        print(
            f"{name:<26} {row['ms_p50']:>9.1f} {row['ms_p95']:>9.1f} {to_published:>12.1f} {to_eager:>9.2f} "
            f"{row['processor_ms_p50']:>9.1f} {row['peak_mb']:>9.0f}"
        )
    if arguments.json:
        report = vars(arguments) | {"json": None, "engines": rows}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def _published(model: str, threads: int) -> DepthEngine:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported, as for the torch engines
    return PublishedWay(model, threads)


if __name__ == "__main__":
    main()
