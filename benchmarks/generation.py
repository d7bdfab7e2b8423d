"""What an image takes by stage, whether it is diffusers' own, what depth from the latent saves, what a switch costs.

    python benchmarks/generation.py [--model merge-tiny] [--images 12] [--steps 20] [--threads 1] [--json FILE]

Depth and images run on one set of weights (eager torch), in turn: every image begins with a switch to image mode, every
first depth frame after it with a switch back; what it takes more than the second frame is what is left of the switch
when no weight moves. Besides seconds there is the processor time of each, which other work on the machine disturbs
least. Depth of an image comes from its latent and, to compare, over the pixels: decode, round, encode, estimate.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
import torch
from diffusers import AutoencoderKL, PixArtAlphaPipeline, PixArtTransformer2DModel
from numpy.typing import NDArray
from torch import nn

from merge_ros.config import EstimatorSettings, GenerationRequest, GeneratorSettings
from merge_ros.estimator import DepthEstimator
from merge_ros.model.checkpoint import load_scheduler
from merge_ros.model.locate import find_model
from merge_ros.model.text_encoder import load_text_encoder
from merge_ros.runtime.image_engine import ImageEngine

PROMPTS = (
    "a red crate on a wooden floor in front of a white wall",
    "a blue ball on a grey floor in front of a yellow wall",
    "a room with white walls and a brown wooden floor, a red chair and a green plant",
    "an orange cone and a purple barrel on a beige floor in front of a grey wall",
)
Result = TypeVar("Result")


class Clock:
    """Seconds and processor seconds of calls, by name."""

    def __init__(self) -> None:
        self.wall: dict[str, list[float]] = defaultdict(list)
        self.cpu: dict[str, list[float]] = defaultdict(list)

    def __call__(self, name: str, call: Callable[[], Result]) -> Result:
        wall, cpu = time.perf_counter(), time.process_time()
        result = call()
        self.wall[name].append(time.perf_counter() - wall)
        self.cpu[name].append(time.process_time() - cpu)
        return result

    def medians(self) -> dict[str, dict[str, float]]:
        return {
            name: {"seconds": round(median(self.wall[name]), 4), "cpu_seconds": round(median(self.cpu[name]), 4)}
            for name in self.wall
        }


def main() -> None:
    """Measure, compare, print."""
    defaults = GenerationRequest("any")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=GeneratorSettings().model)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--guidance", type=float, default=defaults.guidance)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--codec", default="full", choices=("full", "light"), help="of depth (%(default)s)")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    clock = Clock()
    estimator = DepthEstimator(
        EstimatorSettings(
            model=arguments.model,
            backend="torch",
            torch_mode="eager",
            device="cpu",
            threads=arguments.threads,
            codec=arguments.codec,
        )
    )
    depth_mode = estimator.engine.depth_mode
    depth_weights = storages(depth_mode.checkpoint.network, depth_mode.checkpoint.vae)
    engine = clock(
        "loading image mode", lambda: ImageEngine(GeneratorSettings(model=arguments.model), estimator.engine)
    )
    image_weights = storages(engine.weights.backbone, engine.weights.vae)
    plain = plain_pipeline(arguments.model)
    if arguments.codec == "full":
        plain.vae.to(memory_format=torch.channels_last)  # as depth, whose VAE this is, runs it
    width, height = engine.native_size
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    reference = estimator(frame)

    same, undisturbed, differences, aligned, correlations = True, True, [], [], []
    for index in range(arguments.images):
        request = GenerationRequest(
            PROMPTS[index % len(PROMPTS)], "", index + 1, width, height, arguments.steps, arguments.guidance
        )
        known = "known" if index >= len(PROMPTS) else "new"
        text = clock(f"text, a {known} prompt", lambda request=request: engine.encode(request))
        latent = clock("denoise", lambda text=text, request=request: engine.draw(request, text, lambda *step: None))
        rgb = clock("decode", lambda latent=latent: engine.picture(latent))
        depth = clock("depth from the latent", lambda latent=latent: engine.depth(latent))
        first = clock("first depth frame after an image", lambda: estimator(frame))
        clock("second depth frame after an image", lambda: estimator(frame))
        undisturbed &= bool(np.array_equal(first, reference))
        over_pixels = clock("depth over the pixels", lambda rgb=rgb: estimator(rgb))
        expected = clock("diffusers' pipeline, the image alone", lambda request=request: draw(plain, request))
        same &= bool(np.array_equal(rgb, expected))
        scale, shift = np.polyfit(depth.ravel(), over_pixels.ravel(), 1)
        differences.append(np.abs(depth - over_pixels).mean())
        aligned.append(np.abs(scale * depth + shift - over_pixels).mean())
        correlations.append(np.corrcoef(depth.ravel(), over_pixels.ravel())[0, 1])
    report: dict[str, Any] = {
        "images": engine.description,
        "depth": estimator.description,
        "size": [width, height],
        "steps": arguments.steps,
        "guidance": arguments.guidance,
        "count": arguments.images,
        "medians": clock.medians(),
        "weights_of_depth_mb": round(sum(depth_weights.values()) / 1e6, 1),
        "weights_that_images_add_mb": round(
            sum(size for address, size in image_weights.items() if address not in depth_weights) / 1e6, 1
        ),
        "images_are_diffusers_own_bit_for_bit": same,
        "depth_after_images_is_bit_identical": undisturbed,
        "latent_against_pixels": {
            "mean_difference": round(float(np.mean(differences)), 4),
            "mean_difference_after_least_squares": round(float(np.mean(aligned)), 4),
            "correlation_mean": round(float(np.mean(correlations)), 4),
            "correlation_lowest": round(float(np.min(correlations)), 4),
        },
    }
    print(json.dumps(report, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def storages(*modules: nn.Module) -> dict[int, int]:
    """Bytes of every tensor by its address: what is shared counts once."""
    return {
        tensor.data_ptr(): tensor.numel() * tensor.element_size()
        for module in modules
        for tensor in (*module.parameters(), *module.buffers())
    }


def plain_pipeline(model: str) -> PixArtAlphaPipeline:
    """diffusers' own pipeline with weights of its own."""
    folder = find_model(model, ("transformer", "vae", "scheduler", "text_encoder", "tokenizer"))
    tokenizer, text_encoder = load_text_encoder(folder)
    pipeline = PixArtAlphaPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).eval(),
        transformer=PixArtTransformer2DModel.from_pretrained(folder / "transformer", torch_dtype=torch.float32).eval(),
        scheduler=load_scheduler(folder / "scheduler"),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline: PixArtAlphaPipeline, request: GenerationRequest) -> NDArray[np.uint8]:
    """The image of a request, as [H, W, 3] uint8."""
    (picture,) = pipeline(
        request.prompt,
        negative_prompt=request.negative_prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        width=request.width,
        height=request.height,
        generator=torch.Generator().manual_seed(request.seed),
        use_resolution_binning=False,
        clean_caption=False,
        max_sequence_length=min(120, pipeline.tokenizer.model_max_length),
    ).images
    return np.asarray(picture)


if __name__ == "__main__":
    main()
