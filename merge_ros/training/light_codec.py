"""The light codec: a small encoder and a small depth decoder that stand in for the autoencoder in depth mode.

    python -m merge_ros.training.light_codec --data DIR --out DIR --steps N             (after the vae stage)
    python -m merge_ros.training.light_codec --data DIR --out DIR --refine --held-out DIR --steps N   (at the very end)

Distilled first from the autoencoder alone: the encoder gives its latents; the decoder gives true depth from the latents
of depth maps, and what the full decoder gives from latents that are off, as a network's will be. With `--refine`, which
needs trained converters, both learn on what the converters make of the light latents, and the codec's cost on held-out
frames is measured and stored with it (`abs_rel_cost`): the codec "auto" goes by that number.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from merge_ros.config import EstimatorSettings
from merge_ros.estimator import DepthEstimator
from merge_ros.evaluation.evaluate import evaluate_pairs
from merge_ros.evaluation.folder import find_pairs
from merge_ros.model.autoencoder import downsampling
from merge_ros.model.checkpoint import load_checkpoint
from merge_ros.model.codec import LIGHT_CODEC
from merge_ros.model.light_codec import LightCodec
from merge_ros.model.parts import load_part
from merge_ros.runtime.autoencoder_folding import fold_autoencoder
from merge_ros.runtime.graph import fold_checkpoint
from merge_ros.training.architecture import TinyArchitecture
from merge_ros.training.commands import stage_parser, start_stage
from merge_ros.training.compute import Worker, launch
from merge_ros.training.data import PackedData, pack
from merge_ros.training.depth_losses import abs_rel, align, outline_error
from merge_ros.training.folder import save_codec
from merge_ros.training.latents import LatentStore, resized
from merge_ros.training.run import Run, RunSettings

SMALL_BATCH, BATCH = 16, 4  # per process, at half and at full resolution, in turn
SMALL_TAUGHT, TAUGHT = 4, 1  # frames of a batch that go through the full decoder, which takes most of the time
SMOOTHED, NOISE = 4, 0.3  # how far latents are put off: box of the blur in latent pixels, largest deviation of noise
OUTLINE_WEIGHT = 0.25
RANGE = (1e-3, 65.0)  # metres that count on held-out frames: what 16-bit millimetres hold


def distil(
    worker: Worker, data_folder: Path, frames: int, out: Path, shape: TinyArchitecture, settings: RunSettings
) -> None:
    """Train against the autoencoder in `out/vae` and write `out/light_codec`, where the later stages begin."""
    data = pack(data_folder, out / "cache", frames)
    vae = AutoencoderKL.from_pretrained(out / "vae").requires_grad_(False)
    latents = LatentStore(vae, data, out / "cache", worker)
    full_decoder = fold_autoencoder(vae)[1].float().to(memory_format=torch.channels_last).requires_grad_(False)  # type: ignore[call-overload]
    torch.manual_seed(settings.seed)
    codec = LightCodec(
        latent_channels=vae.config.latent_channels,
        downsampling=downsampling(vae),
        channels=shape.codec_channels,
        encoder_blocks=shape.codec_blocks,
        decoder_blocks=shape.codec_blocks,
        guided=True,
    )
    codec.to(memory_format=torch.channels_last)
    run = Run(out / "stage_light_codec", {"codec": codec}, settings, worker)
    for step in run.steps():
        rng = run.numpy_rng(step)
        batch, taught, reduction = (SMALL_BATCH, SMALL_TAUGHT, 2) if step % 2 else (BATCH, TAUGHT, 1)
        index = rng.integers(data.rows, size=batch)
        images, depth = frames_of(data, index, reduction)
        image_latent, depth_latent = latents.images(index, reduction), latents.depths(index, reduction)
        off = put_off(depth_latent[:taught], rng, run.torch_rng(step))
        with worker.autocast():
            with torch.no_grad():
                wanted = full_decoder(off) * 2 - 1
            encoded = codec.encode(images).float()
            guides = torch.cat([image_latent, image_latent[:taught]])
            decoded = codec.decode(torch.cat([depth_latent, off]), guides).float()
        latent_loss = functional.l1_loss(encoded, image_latent)
        depth_loss = picture_loss(decoded, torch.cat([depth, wanted.float()]))
        run.update(latent_loss + depth_loss, {"latent": latent_loss.detach(), "depth": depth_loss.detach()})
    run.finish({"frames": len(data)})
    if worker.is_first:
        save_codec(codec, out / LIGHT_CODEC)
        save_codec(codec, out / "model" / LIGHT_CODEC)
    worker.wait()


def refine(
    worker: Worker,
    data_folder: Path,
    frames: int,
    out: Path,
    settings: RunSettings,
    held_out: Path,
    held_out_frames: int | None,
) -> None:
    """Train `out/model/light_codec` on with the converters of `out/model`, and store what it costs."""
    model = out / "model"
    checkpoint = load_checkpoint(str(model))
    data = pack(data_folder, out / "cache", frames, checkpoint.min_brightness)
    # The encoder that made the training latents; everything else as it ships.
    latents = LatentStore(AutoencoderKL.from_pretrained(out / "vae"), data, out / "cache", worker)
    transformer = fold_checkpoint(checkpoint).transformer
    codec = load_part(LightCodec, model / LIGHT_CODEC).to(memory_format=torch.channels_last)
    run = Run(out / "stage_light_codec_refined", {"codec": codec}, settings, worker)
    for step in run.steps():
        rng = run.numpy_rng(step)
        index = rng.integers(data.rows, size=BATCH)
        images, depth = frames_of(data, index, 1)
        image_latent, depth_latent = latents.images(index), latents.depths(index)
        with worker.autocast():
            with torch.no_grad():
                wanted = transformer(image_latent).float()
            encoded = codec.encode(images)
            predicted = transformer(encoded)
            both = torch.cat([predicted, depth_latent.to(predicted.dtype)])
            decoded = codec.decode(both, torch.cat([encoded, encoded])).float()
        metres = metres_of(data, index, depth)
        aligned = align(decoded[:BATCH, 0], metres)
        figures = {
            "latent": functional.l1_loss(encoded.float(), image_latent),
            "depth_latent": functional.l1_loss(predicted.float(), wanted),
            "round_trip": picture_loss(decoded[BATCH:], depth),
            "abs_rel": abs_rel(aligned, metres),
            "outline": OUTLINE_WEIGHT * outline_error(aligned, metres),
        }
        run.update(torch.stack(list(figures.values())).sum(), {name: f.detach() for name, f in figures.items()})
    run.use_average()
    results: dict[str, object] = {}
    if worker.is_first:
        save_codec(codec, model / LIGHT_CODEC)
        measured = {
            kind: held_out_abs_rel(model, kind, held_out, held_out_frames, run.folder) for kind in ("full", "light")
        }
        cost = round(measured["light"] - measured["full"], 5)
        results = {"frames": len(data), "abs_rel": measured, "abs_rel_cost": cost}
        codec.register_to_config(abs_rel_cost=cost)
    run.finish(results)
    if worker.is_first:
        save_codec(codec, model / LIGHT_CODEC)
    worker.wait()


def frames_of(data: PackedData, index: NDArray[np.intp], reduction: int) -> tuple[Tensor, Tensor]:
    """Pictures [batch, 3, h, w] and depth [batch, 1, h, w] of some rows, both in [-1, 1], scaled down by a factor."""
    height, width = data.size
    size = (height // reduction, width // reduction)
    images = resized(data.images(index), size).contiguous(memory_format=torch.channels_last)
    return images, resized(data.depths(index)[:, :1], size)


def put_off(latents: Tensor, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """Latents as a network might predict them: each blurred and noisy to its own degree.

    Args:
        latents: [batch, C, h, w] of depth maps.
    """
    degree = torch.from_numpy(rng.random((2, len(latents), 1, 1, 1), np.float32))
    blurred = functional.interpolate(functional.avg_pool2d(latents, SMOOTHED), latents.shape[-2:], mode="bilinear")
    noise = torch.randn(latents.shape, generator=generator)
    return torch.lerp(latents, blurred, degree[0]) + NOISE * degree[1] * noise


def picture_loss(decoded: Tensor, wanted: Tensor) -> Tensor:
    """L1 of the pixels and of their differences, which keeps outlines sharp."""
    error = decoded - wanted
    loss: Tensor = error.abs().mean() + error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return loss


def metres_of(data: PackedData, index: NDArray[np.intp], depth: Tensor) -> Tensor:
    """Normalised depth [batch, 1, H, W] of some rows in metres, [batch, H, W]."""
    near, far = data.ranges(index)[:, :, None, None].unbind(1)
    return near + (depth[:, 0] / 2 + 0.5) * (far - near)


def held_out_abs_rel(model: Path, codec: str, held_out: Path, frames: int | None, out: Path) -> float:
    """AbsRel of a model with the full or the light codec on held-out frames; tables and pictures go to `out`."""
    estimator = DepthEstimator(EstimatorSettings(model=str(model), codec=codec, backend="torch", precision="fp32"))
    found = evaluate_pairs(estimator, find_pairs(held_out)[:frames], RANGE, out / f"held_out_{codec}")
    return round(float(found.summary()["abs_rel"]), 5)


def main() -> None:
    """The command line of this stage."""
    parser = stage_parser(__doc__, steps=1000)
    parser.add_argument("--refine", action="store_true", help="go on with the trained converters, and measure the cost")
    parser.add_argument("--held-out", type=Path, help="data set to measure the cost on; needed by --refine")
    parser.add_argument("--held-out-frames", type=int, help="use only its first frames (default: all)")
    arguments = parser.parse_args()
    if arguments.refine and arguments.held_out is None:
        parser.error("--refine needs --held-out, the data set to measure the cost on")
    start_stage(arguments)
    rate = 5e-4 if arguments.refine else 2e-3
    settings = RunSettings(arguments.steps, learning_rate=rate, ema=0.99, seed=arguments.seed, decay_from=0.3)
    # Packed once, before several processes want it.
    frames = len(pack(arguments.data, arguments.out / "cache", arguments.frames))
    given = (arguments.data, frames, arguments.out)
    if arguments.refine:
        measured = (arguments.held_out, arguments.held_out_frames)
        launch(refine, arguments.processes, *given, settings, *measured)
    else:
        launch(distil, arguments.processes, *given, TinyArchitecture(), settings)


if __name__ == "__main__":
    main()
