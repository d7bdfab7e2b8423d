"""Pictures drawn by a backbone in training, for the eye."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import PixArtAlphaPipeline
from torch import Tensor

STEPS, GUIDANCE = 20, 3.0


def draw(parts: dict[str, Any], prompts: list[str], size: tuple[int, int], seed: int = 0) -> Tensor:
    """Pictures of some prompts, by diffusers' own pipeline.

    Args:
        parts: vae, transformer, text_encoder, tokenizer and scheduler; what they hold is not changed.
        prompts: one picture each.
        size: (height, width) in pixels, multiples of a token's side.
        seed: of the noise.

    Returns:
        [len(prompts), 3, height, width] in [-1, 1].
    """
    pipeline = PixArtAlphaPipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)
    pictures: Tensor = pipeline(
        prompts,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        height=size[0],
        width=size[1],
        generator=torch.Generator().manual_seed(seed),
        output_type="pt",
        use_resolution_binning=False,
        clean_caption=False,
        max_sequence_length=parts["tokenizer"].model_max_length,
    ).images
    return pictures.float() * 2 - 1
