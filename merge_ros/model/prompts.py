"""Prompts to embeddings, as diffusers' pipeline makes them; the text encoder is in memory only when it is wanted."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from diffusers import PixArtAlphaPipeline

from merge_ros.errors import InputError
from merge_ros.model.conditioning import MAX_PROMPT_TOKENS, Conditioning
from merge_ros.model.text_encoder import load_text_encoder, load_tokenizer

logger = logging.getLogger(__name__)


class PromptEncoder:
    """Embeds prompts, and remembers those used last.

    Args:
        folder: of the model, with `tokenizer/` and `text_encoder/`.
        device, dtype: of the text encoder and of the embeddings.
        keep: whether the text encoder stays in memory after its first use.
        cached: number of prompts that are remembered; none of them needs the text encoder again.

    Raises:
        CheckpointError: the tokenizer is missing or damaged, or there is no text encoder.
    """

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype, *, keep: bool, cached: int) -> None:
        self._folder, self._device, self._dtype = folder, device, dtype
        self._keep, self._cached = keep, cached
        self._tokenizer = load_tokenizer(folder)
        self.max_tokens = int(min(MAX_PROMPT_TOKENS, self._tokenizer.model_max_length))
        self._pipeline: PixArtAlphaPipeline | None = None
        self._known: OrderedDict[str, Conditioning] = OrderedDict()

    def check(self, prompt: str) -> None:
        """Refuse a prompt that the model would see only the beginning of.

        Raises:
            InputError: it has more tokens than the model takes.
        """
        tokens = len(self._tokenizer(prompt.lower().strip()).input_ids)
        if tokens > self.max_tokens:
            raise InputError(
                f"the prompt {prompt[:40]!r}... has {tokens} tokens, the model takes at most {self.max_tokens}: "
                "shorten it, or use words that the model knows (an unknown one is spelt, a token for each letter)"
            )

    def encode(self, *prompts: str) -> list[Conditioning]:
        """The embedding of each prompt, [1, tokens, channels] with its mask, padded as the pipeline pads.

        Raises:
            InputError: a prompt is too long.
            CheckpointError: the text encoder cannot be loaded.
        """
        for prompt in prompts:
            self.check(prompt)
        found = [self._known.get(prompt) or self._encode(prompt) for prompt in prompts]
        for prompt, conditioning in zip(prompts, found, strict=True):
            self._known[prompt] = conditioning
            self._known.move_to_end(prompt)
        while len(self._known) > self._cached:
            self._known.popitem(last=False)
        if not self._keep:
            self.release()
        return found

    @property
    def is_loaded(self) -> bool:
        """Whether the text encoder is in memory."""
        return self._pipeline is not None

    def release(self) -> None:
        """Let go of the text encoder; it is loaded again for the next prompt that is not remembered."""
        if self._pipeline is not None:
            self._pipeline = None
            if self._device.type == "cuda":
                torch.cuda.empty_cache()

    def _encode(self, prompt: str) -> Conditioning:
        if self._pipeline is None:
            self._pipeline = self._load()
        # One prompt at a time, without a partner to be padded to: the bits do not depend on what else is asked for.
        text, mask, _, _ = self._pipeline.encode_prompt(
            prompt,
            do_classifier_free_guidance=False,
            device=self._device,
            clean_caption=False,
            max_sequence_length=self.max_tokens,
        )
        return Conditioning(text, mask)

    def _load(self) -> PixArtAlphaPipeline:
        logger.info("loading the text encoder of %s", self._folder)
        tokenizer, encoder = load_text_encoder(self._folder, self._dtype)
        parts: dict[str, Any] = {"vae": None, "transformer": None, "scheduler": None}
        return PixArtAlphaPipeline(tokenizer=tokenizer, text_encoder=encoder.to(self._device), **parts)
