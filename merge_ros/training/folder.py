"""Writing a trained model as a folder in the official MERGE layout, in fp16 safetensors."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PixArtTransformer2DModel
from transformers import PreTrainedTokenizerFast, T5EncoderModel

from merge_ros.errors import ConfigurationError
from merge_ros.model.codec import LIGHT_CODEC
from merge_ros.model.conditioning import encode_prompt
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.empty_prompt import save_empty_prompt
from merge_ros.model.light_codec import LightCodec


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
        _forget_place(folder / name)
    tokenizer.save_pretrained(folder / "tokenizer")
    scheduler.save_pretrained(folder / "scheduler")


def save_converters(
    folder: Path, converter: PixArtConverter, tokenizer: PreTrainedTokenizerFast, text_encoder: T5EncoderModel
) -> None:
    """Write depth_converters/, with the embedding of the empty prompt, so that depth needs no text encoder."""
    target = folder / "depth_converters"
    _half(converter).save_pretrained(target, safe_serialization=True)
    _forget_place(target)
    # From the fp16 weights that ship, so that the stored embedding is the one the shipped encoder gives.
    save_empty_prompt(encode_prompt(tokenizer, _half(text_encoder).float(), ""), target)


def save_codec(codec: LightCodec, folder: Path) -> None:
    """Write a light codec."""
    _half(codec).save_pretrained(folder, safe_serialization=True)
    _forget_place(folder)


def take_codec(start: Path, out: Path) -> None:
    """Take the autoencoder and the light codec of a finished model into a work folder that has none.

    Raises:
        ConfigurationError: `start` is no model folder.
    """
    if not (start / "vae").is_dir():
        raise ConfigurationError(f"--start {start} is no model folder: it has no vae/")
    for part in ("vae", LIGHT_CODEC):
        if (start / part).is_dir() and not (out / part).exists():
            shutil.copytree(start / part, out / part)


def _forget_place(folder: Path) -> None:
    """Take the folder of this machine that a part was once loaded from out of its config."""
    config = json.loads((folder / "config.json").read_text())
    config.pop("_name_or_path", None)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def _half(module: Any) -> Any:
    return copy.deepcopy(module).half()
