"""What FLUX is told in words: the embeddings of T5 and of CLIP, made by diffusers' own pipeline."""

from __future__ import annotations

from pathlib import Path

import torch

from merge_ros.errors import CheckpointError
from merge_ros.model.codec import read_config
from merge_ros.model.conditioning import Conditioning

TEXT_PARTS = ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")

# FLUX reads padding too, so the length matters: dev was trained with 512 tokens, schnell with 256 (diffusers' docs).
TOKENS_DEV, TOKENS_SCHNELL = 512, 256


def encode_flux_prompt(folder: Path, prompt: str, dtype: torch.dtype) -> Conditioning:
    """Embed a prompt as FLUX does, on the CPU; the encoders are loaded for it and let go.

    Args:
        folder: a model folder with the parts in `TEXT_PARTS`.
        prompt: the text; "" for depth mode.
        dtype: precision of the encoders; T5-XXL has 4.8 G parameters.

    Raises:
        CheckpointError: a part is missing or damaged.
    """
    from diffusers import FluxPipeline
    from transformers import AutoTokenizer, CLIPTextModel, T5EncoderModel

    for part in TEXT_PARTS:
        if not (folder / part).is_dir():
            raise CheckpointError(f"{folder / part} does not exist; prompts cannot be encoded without it")
    weights = {"dtype": dtype, "use_safetensors": True, "local_files_only": True}
    try:
        pipeline = FluxPipeline(
            scheduler=None,
            vae=None,
            transformer=None,
            text_encoder=CLIPTextModel.from_pretrained(folder / "text_encoder", **weights),
            tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
            text_encoder_2=T5EncoderModel.from_pretrained(folder / "text_encoder_2", **weights),
            tokenizer_2=AutoTokenizer.from_pretrained(folder / "tokenizer_2", local_files_only=True),
        )
    except Exception as error:  # transformers raises many unrelated types on damaged files
        raise CheckpointError(f"the text encoders of {folder} cannot be loaded: {error}") from error
    is_dev = bool(read_config(folder / "transformer").get("guidance_embeds", False))
    with torch.no_grad():
        text, pooled, _ = pipeline.encode_prompt(
            prompt, device=torch.device("cpu"), max_sequence_length=TOKENS_DEV if is_dev else TOKENS_SCHNELL
        )
    return Conditioning(text, torch.ones(text.shape[:2]), pooled=pooled)
