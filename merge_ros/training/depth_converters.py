"""Stage 3: the depth converters, trained on the frozen text-to-image transformer.

    python -m merge_ros.training.depth_converters --data DIR --out DIR --steps N      (after the text-to-image stage)

One step: the depth slot is zero, the converters predict the depth latent itself (x0; Lotus, arXiv 2409.18124, finds
x0 better than v and epsilon at one step), and the frozen blocks are told a low timestep. The light codec's decoder,
through which the depth losses go, learns with them: it sees what the converters really predict.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, PixArtTransformer2DModel
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import AutoTokenizer, T5EncoderModel

from merge_ros.model.codec import LIGHT_CODEC
from merge_ros.model.conditioning import encode_prompt
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.light_codec import LightCodec
from merge_ros.model.pixart import MergePixArt
from merge_ros.training.architecture import TinyArchitecture
from merge_ros.training.checksum import checksum
from merge_ros.training.commands import add_start, stage_parser, start_stage
from merge_ros.training.compute import Worker, compiled, launch, use_plain_attention
from merge_ros.training.converters.pixart_family import see_images_as
from merge_ros.training.converters.reshape import reshaped
from merge_ros.training.data import PackedData, pack
from merge_ros.training.depth_losses import abs_rel, align, floor_error, outline_error
from merge_ros.training.folder import save_codec, save_converters
from merge_ros.training.latents import LatentStore
from merge_ros.training.run import Run, RunSettings

SMALL_UNTIL = 0.5  # of the steps are taken at half resolution, where a step sees four times as many frames
SMALL_BATCH, BATCH = 64, 16  # per process
SHARES = {"robot": 0.6, "wide": 0.25, "asset": 0.15}  # of the batch: a robot's views are the hard ones
PIXEL_LOSS_FROM = 0.1  # of the steps: first the latents, then also the decoded depth
PIXEL_WEIGHT, NEAR_WEIGHT, FLOOR_WEIGHT, OUTLINE_WEIGHT = 1.2, 0.4, 0.8, 0.5
RANGE_WEIGHT = 0.5  # the four above do not care for scale and shift: without it the decoder leaves the range of depth
STAGE = "stage_depth_converters"  # folder of this stage in the work folder
KEPT = "kept"  # folder of weights kept on the way, in the stage's own


def train(
    worker: Worker,
    data_folder: Path,
    frames: int,
    out: Path,
    shape: TinyArchitecture,
    settings: RunSettings,
    start: Path | None = None,
) -> None:
    """Train the converters and the light decoder; write `out/model/depth_converters` and `out/model/light_codec`.

    Args:
        start: model folder whose converters are taken to begin with, in the shape that is wanted now; None: copies of
            the frozen blocks.

    Raises:
        RuntimeError: the frozen backbone changed, which would be a bug.
    """
    data = pack(data_folder, out / "cache", frames, shape.min_brightness)
    model = out / "model"
    vae = AutoencoderKL.from_pretrained(out / "vae").requires_grad_(False)
    # Depth is decoded by the light codec: every frame of a batch can afford it, and it is what the robot runs.
    codec = LightCodec.from_pretrained(out / LIGHT_CODEC, torch_dtype=torch.float32)
    backbone = PixArtTransformer2DModel.from_pretrained(model / "transformer", torch_dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model / "tokenizer")
    text_encoder = T5EncoderModel.from_pretrained(model / "text_encoder", dtype=torch.float32)
    latents = LatentStore(vae, data, out / "cache", worker)

    torch.manual_seed(settings.seed)
    if start is None:
        converter = new_converter(backbone, shape)
    else:
        trained = PixArtConverter.from_pretrained(start / "depth_converters", torch_dtype=torch.float32)
        converter = reshaped(trained, len(backbone.transformer_blocks), shape.groups, shape.ff_mult)
    # The node scales its images to as many pixels as were trained with, and brightens them as they were here.
    converter.register_to_config(processing_pixels=data.size[0] * data.size[1], min_brightness=shape.min_brightness)
    use_plain_attention(backbone, converter)
    merge = MergePixArt(backbone, converter)
    network = compiled(merge) if settings.compile else merge
    conditioning = encode_prompt(tokenizer, text_encoder, "")
    before = checksum(backbone)
    chances = data.chances(SHARES)
    run = Run(out / STAGE, {"converter": converter, "decoder": codec.decoder}, settings, worker)

    for step in run.steps():
        rng = run.numpy_rng(step)
        is_small = step < SMALL_UNTIL * settings.steps
        batch, reduction = (SMALL_BATCH, 2) if is_small else (BATCH, 1)
        index = rng.choice(data.rows, size=batch, p=chances)
        image, depth = latents.images(index, reduction), latents.depths(index, reduction)
        timestep = torch.full((batch,), shape.depth_timestep)
        with worker.autocast():
            predicted = network(image, torch.zeros_like(depth), timestep, conditioning).float()
        loss = latent_loss = functional.l1_loss(predicted, depth)
        figures = {"latent": latent_loss.detach()}
        if step >= PIXEL_LOSS_FROM * settings.steps:
            with worker.autocast():
                decoded = codec.decode(predicted, image)[:, 0].float()
            metres = true_metres(data, index, (decoded.shape[-2], decoded.shape[-1]))
            aligned = align(decoded, metres)
            figures |= {"abs_rel": abs_rel(aligned, metres), "outline": outline_error(aligned, metres)}
            # The fit above is the protocol's, which far things decide. The same error is also taken with the fit that
            # near things decide, and with the one that a robot has: to the floor before it.
            figures["near"] = abs_rel(align(decoded, metres, metres**-2), metres)
            figures["floor"] = floor_error(decoded, metres, data.on_floor(index, metres))
            figures["range"] = functional.l1_loss(decoded, normalised_depth(data, index, metres.shape[-2:]))
            loss = latent_loss + PIXEL_WEIGHT * figures["abs_rel"] + NEAR_WEIGHT * figures["near"]
            loss = loss + FLOOR_WEIGHT * figures["floor"] + OUTLINE_WEIGHT * figures["outline"]
            loss = loss + RANGE_WEIGHT * figures["range"]
        run.update(loss, figures)
        if run.shows_pictures:
            shown = slice(0, 8)
            run.pictures("image", functional.interpolate(data.images(index[shown]), predicted.shape[-2:]))
            run.pictures("true depth", true_metres(data, index[shown], predicted.shape[-2:]))
            run.pictures("depth", codec.decode(predicted[shown], image[shown])[:, 0])
            keep(run, converter, codec, tokenizer, text_encoder)
    run.finish({"frames": len(data), "depth_timestep": shape.depth_timestep, "groups": shape.groups})
    if checksum(backbone) != before:
        raise RuntimeError("the frozen backbone changed while the converters were trained")
    if worker.is_first:
        save_converters(model, converter, tokenizer, text_encoder)
        save_codec(codec, model / LIGHT_CODEC)
    worker.wait()


def keep(run: Run, converter: PixArtConverter, codec: LightCodec, *text: Any) -> None:
    """Write the averaged weights of this step beside the log, for the curve of accuracy over time.

    Args:
        text: tokenizer and text encoder.
    """
    state, folder = run.averaged_state(), run.folder / KEPT / f"{run.step:06d}"
    averaged, decoding = copy.deepcopy(converter), copy.deepcopy(codec)
    averaged.load_state_dict(state["converter"])
    decoding.decoder.load_state_dict(state["decoder"])
    save_converters(folder, averaged, *text)
    save_codec(decoding, folder / LIGHT_CODEC)


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
    see_images_as(backbone, converter, slot_share=0.0)
    return converter


def normalised_depth(data: PackedData, index: NDArray[np.intp], size: tuple[int, ...]) -> Tensor:
    """True depth of some frames in [-1, 1], averaged down to (height, width): [batch, height, width]."""
    return functional.interpolate(data.depths(index)[:, :1], size, mode="area")[:, 0]


def true_metres(data: PackedData, index: NDArray[np.intp], size: tuple[int, int]) -> Tensor:
    """True depth of some frames in metres, clipped at its quantiles: [batch, height, width]."""
    relative = normalised_depth(data, index, size) / 2 + 0.5
    ranges = data.ranges(index)
    near, far = ranges[:, :1, None], ranges[:, 1:, None]
    return near + relative * (far - near)


def main() -> None:
    """The command line of this stage."""
    parser = stage_parser(__doc__, steps=3600)
    add_start(parser)
    arguments = start_stage(parser.parse_args())
    settings = RunSettings(
        arguments.steps,
        learning_rate=1.2e-3,
        matrix_rate=3e-3,
        warmup=100,
        decay_from=0.6,
        seed=arguments.seed,
        picture_steps=150,
        compile=True,
    )
    # Packed once, before several processes want it.
    frames = len(pack(arguments.data, arguments.out / "cache", arguments.frames))
    given = (arguments.data, frames, arguments.out, TinyArchitecture(), settings, arguments.start)
    launch(train, arguments.processes, *given)


if __name__ == "__main__":
    main()
