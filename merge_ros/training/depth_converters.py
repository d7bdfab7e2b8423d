"""Stage 3: the depth converters, trained on the frozen text-to-image transformer.

    python -m merge_ros.training.depth_converters --data DIR --out DIR --steps N      (after the text-to-image stage)

One step: the depth slot is zero, the converters predict the depth latent itself (x0; Lotus, arXiv 2409.18124, finds
x0 better than v and epsilon at one step), and the frozen blocks are told a low timestep.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, PixArtTransformer2DModel
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import AutoTokenizer, T5EncoderModel

from merge_ros.model.conditioning import encode_prompt
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.pixart import MergePixArt
from merge_ros.training.architecture import TinyArchitecture
from merge_ros.training.commands import stage_parser, start_stage
from merge_ros.training.compute import Worker, launch, use_plain_attention
from merge_ros.training.data import PackedData, pack
from merge_ros.training.folder import save_converters
from merge_ros.training.latents import LatentStore
from merge_ros.training.run import Run, RunSettings

SMALL_UNTIL = 0.3  # of the steps are taken at half resolution, where a step sees four times as many frames
SMALL_BATCH, BATCH = 32, 8  # per process
PIXEL_LOSS_FROM = 0.25  # of the steps: first the latents, then also the decoded depth
SMALL_DECODED, DECODED = 6, 1  # frames of a batch that go through the decoder
PIXEL_WEIGHT = 0.5


def train(
    worker: Worker, data_folder: Path, frames: int, out: Path, shape: TinyArchitecture, settings: RunSettings
) -> None:
    """Train the converters and write `out/model/depth_converters`.

    Raises:
        RuntimeError: the frozen backbone changed, which would be a bug.
    """
    data = pack(data_folder, out / "cache", frames)
    model = out / "model"
    # The encoder that made the training latents, in fp32; and the fp16 weights that ship, which depth mode will meet.
    encoder = AutoencoderKL.from_pretrained(out / "vae").requires_grad_(False)
    decoder = AutoencoderKL.from_pretrained(model / "vae", torch_dtype=torch.float32).requires_grad_(False)
    backbone = PixArtTransformer2DModel.from_pretrained(model / "transformer", torch_dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model / "tokenizer")
    text_encoder = T5EncoderModel.from_pretrained(model / "text_encoder", dtype=torch.float32)
    latents = LatentStore(encoder, data, out / "cache", worker)

    torch.manual_seed(settings.seed)
    converter = new_converter(backbone, shape)
    # The node scales its images to as many pixels as were trained with.
    converter.register_to_config(processing_pixels=data.size[0] * data.size[1])
    network = MergePixArt(backbone, converter)
    use_plain_attention(backbone, converter)
    conditioning = encode_prompt(tokenizer, text_encoder, "")
    before = checksum(backbone)
    run = Run(out / "stage_depth_converters", {"converter": converter}, settings, worker)

    for step in run.steps():
        rng = run.numpy_rng(step)
        is_small = step < SMALL_UNTIL * settings.steps
        batch, reduction = (SMALL_BATCH, 2) if is_small else (BATCH, 1)
        index = rng.integers(len(data), size=batch)
        image, depth = latents.images(index, reduction), latents.depths(index, reduction)
        timestep = torch.full((batch,), shape.depth_timestep)
        with worker.autocast():
            predicted = network(image, torch.zeros_like(depth), timestep, conditioning).float()
        loss = latent_loss = functional.l1_loss(predicted, depth)
        figures = {"latent": latent_loss.detach()}
        if step >= PIXEL_LOSS_FROM * settings.steps:
            part = slice(0, SMALL_DECODED if is_small else DECODED)
            with worker.autocast():
                decoded = decode_without_clamp(decoder, predicted[part])
            metres = true_metres(data, index[part], (decoded.shape[-2], decoded.shape[-1]))
            pixel_loss = aligned_abs_rel(decoded.float(), metres)
            loss = latent_loss + PIXEL_WEIGHT * pixel_loss
            figures["abs_rel"] = pixel_loss.detach()
        run.update(loss, figures)
    run.finish({"frames": len(data), "depth_timestep": shape.depth_timestep, "groups": shape.groups})
    if checksum(backbone) != before:
        raise RuntimeError("the frozen backbone changed while the converters were trained")
    if worker.is_first:
        save_converters(model, converter, tokenizer, text_encoder)
    worker.wait()


def new_converter(backbone: PixArtTransformer2DModel, shape: TinyArchitecture) -> PixArtConverter:
    """Converters that start as the frozen blocks of their groups, and see the image through the frozen embedding."""
    converter: PixArtConverter = PixArtConverter.for_backbone(
        backbone,
        shape.groups,
        ff_mult=shape.ff_mult,
        prediction_type="sample",
        depth_timestep=shape.depth_timestep,
        num_inference_steps=1,
    )
    channels = backbone.config.in_channels
    with torch.no_grad():
        # The image half of the 8-channel patch embedding means what the backbone's own embedding means.
        converter.pos_embed.proj.weight[:, :channels] = backbone.pos_embed.proj.weight
        converter.pos_embed.proj.weight[:, channels:] = 0
        converter.pos_embed.proj.bias.copy_(backbone.pos_embed.proj.bias)
    return converter


def decode_without_clamp(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Depth latents to normalised depth around [-1, 1], [batch, H, W], with gradients everywhere."""
    decoded: Tensor = vae.decode(latents / vae.config.scaling_factor).sample.mean(dim=1)
    return decoded


def true_metres(data: PackedData, index: NDArray[np.intp], size: tuple[int, int]) -> Tensor:
    """True depth of some frames in metres, clipped at its quantiles: [batch, height, width]."""
    relative = functional.interpolate(data.depths(index)[:, :1], size, mode="area")[:, 0] / 2 + 0.5
    ranges = torch.from_numpy(data.metres[index])
    near, far = ranges[:, :1, None], ranges[:, 1:, None]
    return near + relative * (far - near)


def aligned_abs_rel(predicted: Tensor, metres: Tensor) -> Tensor:
    """Mean of |s p + t - z| / z after the least-squares (s, t) of each image, differentiable.

    Args:
        predicted: [batch, H, W], any scale and shift.
        metres: [batch, H, W], > 0.
    """
    p, z = predicted.flatten(1), metres.flatten(1)
    p_mean, z_mean = p.mean(1, keepdim=True), z.mean(1, keepdim=True)
    covariance = ((p - p_mean) * (z - z_mean)).mean(1, keepdim=True)
    scale = covariance / ((p - p_mean).square().mean(1, keepdim=True) + 1e-4)
    aligned = (p - p_mean) * scale + z_mean
    error: Tensor = ((aligned - z).abs() / z).mean()
    return error


def checksum(module: torch.nn.Module) -> str:
    """SHA-256 over all weights of a module."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def main() -> None:
    """The command line of this stage."""
    arguments = start_stage(stage_parser(__doc__, steps=1850).parse_args())
    settings = RunSettings(arguments.steps, learning_rate=1.2e-3, warmup=150, ema=0.997, seed=arguments.seed)
    # Packed once, before several processes want it.
    frames = len(pack(arguments.data, arguments.out / "cache", arguments.frames))
    launch(train, arguments.processes, arguments.data, frames, arguments.out, TinyArchitecture(), settings)


if __name__ == "__main__":
    main()
