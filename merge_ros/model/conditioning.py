"""What the frozen transformer is told besides the latents: a text embedding and, for PixArt 1024, the picture size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from merge_ros.errors import InputError

MAX_PROMPT_TOKENS = 120  # PixArt-alpha's own limit (arXiv 2310.00426; diffusers PixArtAlphaPipeline)


@dataclass(frozen=True)
class Conditioning:
    """A text embedding with its mask.

    Args:
        text: [1 or batch, tokens, channels] embedding from the text encoder.
        mask: [1 or batch, tokens], 1 keeps a token, 0 discards it. FLUX has no mask: it reads padding too.
        resolution: [1, 2] height and width in pixels, and
        aspect_ratio: [1, 1] height / width: the micro-conditions of PixArt 1024; None for models without them.
        pooled: [1 or batch, channels] embedding of the whole text by CLIP, for FLUX; None for other models.

    Raises:
        InputError: shapes that do not belong together, or a mask that keeps no token.
    """

    text: Tensor
    mask: Tensor
    resolution: Tensor | None = None
    aspect_ratio: Tensor | None = None
    pooled: Tensor | None = None

    def __post_init__(self) -> None:
        if self.text.ndim != 3 or self.mask.shape != self.text.shape[:2]:
            raise InputError(
                f"text {tuple(self.text.shape)} and mask {tuple(self.mask.shape)} must be [batch, tokens, channels] "
                "and [batch, tokens]"
            )
        if not bool((self.mask.sum(dim=1) > 0).all()):
            raise InputError("the text mask keeps no token; even the empty prompt has one")
        if self.pooled is not None and (self.pooled.ndim != 2 or self.pooled.shape[0] != self.text.shape[0]):
            raise InputError(
                f"pooled text {tuple(self.pooled.shape)} must be [batch, channels] with the batch of text "
                f"{tuple(self.text.shape)}"
            )

    def expanded(self, batch: int) -> Conditioning:
        """The same for every image of a batch."""
        if self.text.shape[0] == batch:
            return self
        if self.text.shape[0] != 1:
            raise InputError(f"conditioning for {self.text.shape[0]} images cannot serve a batch of {batch}")
        pooled = None if self.pooled is None else self.pooled.expand(batch, -1)
        return replace(self, text=self.text.expand(batch, -1, -1), mask=self.mask.expand(batch, -1), pooled=pooled)

    def sized(self, height: int, width: int) -> Conditioning:
        """The same for pictures of that many pixels: PixArt 1024's micro-conditions, as in diffusers' pipeline."""
        resolution = torch.tensor([[height, width]], device=self.text.device, dtype=torch.float32)
        return replace(self, resolution=resolution, aspect_ratio=resolution[:, :1] / resolution[:, 1:])

    def size_conditions(self, batch: int) -> dict[str, Tensor | None]:
        """The `added_cond_kwargs` of diffusers' PixArt transformer."""
        if self.resolution is None or self.aspect_ratio is None:
            return {"resolution": None, "aspect_ratio": None}
        return {
            "resolution": self.resolution.expand(batch, -1),
            "aspect_ratio": self.aspect_ratio.expand(batch, -1),
        }

    def valid_tokens(self) -> int:
        """Number of tokens that the mask keeps, over the whole batch at most."""
        return int(self.mask.sum(dim=1).max())

    def to(self, device: str | torch.device, dtype: torch.dtype) -> Conditioning:
        """The embedding on another device and in another precision; the mask stays exact."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, dtype)

        return Conditioning(
            self.text.to(device, dtype),
            self.mask.to(device),
            moved(self.resolution),
            moved(self.aspect_ratio),
            moved(self.pooled),
        )


def encode_prompt(tokenizer: Any, text_encoder: Any, prompt: str) -> Conditioning:
    """Embed a prompt as PixArt does: lower case, at most 120 tokens, no padding kept.

    Args:
        tokenizer: a transformers tokenizer.
        text_encoder: a transformers T5 encoder.
        prompt: the text; "" is the empty prompt of depth mode, whose only token is the end of the sentence.
    """
    tokens = tokenizer(prompt.lower().strip(), max_length=MAX_PROMPT_TOKENS, truncation=True, return_tensors="pt")
    device = next(text_encoder.parameters()).device
    with torch.no_grad():
        text = text_encoder(tokens.input_ids.to(device), attention_mask=tokens.attention_mask.to(device))[0]
    return Conditioning(text, tokens.attention_mask.to(device))
