"""Writing a trained model as a folder in the official MERGE layout, in fp16 safetensors."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PixArtTransformer2DModel
from transformers import PreTrainedTokenizerFast, T5EncoderModel

from merge_ros.model.checkpoint import save_empty_prompt
from merge_ros.model.conditioning import encode_prompt
from merge_ros.model.converter import PixArtConverter


def save_image_parts(
    folder: Path,
    *,
    vae: AutoencoderKL,
    transformer: PixArtTransformer2DModel,
    text_encoder: T5EncoderModel,
    tokenizer: PreTrainedTokenizerFast,
    scheduler: DPMSolverMultistepScheduler,
) -> None:
    """Write vae/, transformer/, text_encoder/, tokenizer/ and scheduler/."""
    for name, module in (("vae", vae), ("transformer", transformer), ("text_encoder", text_encoder)):
        _half(module).save_pretrained(folder / name, safe_serialization=True)
    tokenizer.save_pretrained(folder / "tokenizer")
    scheduler.save_pretrained(folder / "scheduler")


def save_converters(
    folder: Path, converter: PixArtConverter, tokenizer: PreTrainedTokenizerFast, text_encoder: T5EncoderModel
) -> None:
    """Write depth_converters/, with the embedding of the empty prompt, so that depth needs no text encoder."""
    target = folder / "depth_converters"
    _half(converter).save_pretrained(target, safe_serialization=True)
    # From the fp16 weights that ship, so that the stored embedding is the one the shipped encoder gives.
    save_empty_prompt(encode_prompt(tokenizer, _half(text_encoder).float(), ""), target)


def _half(module: Any) -> Any:
    return copy.deepcopy(module).half()
