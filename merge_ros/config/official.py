"""The released models by name: which repositories of the Hugging Face hub they consist of."""

from __future__ import annotations

from dataclasses import dataclass

_TEXT = ("text_encoder", "tokenizer")


@dataclass(frozen=True)
class OfficialModel:
    """A backbone and the converters for it (design of both: arXiv 2510.23574).

    Args:
        backbone, converters: ids on the hub.
        parts: sub-folders of the backbone's repository that depth and images need.
    """

    backbone: str
    converters: str
    parts: tuple[str, ...]


OFFICIAL_MODELS = {
    "merge-base": OfficialModel(
        "PixArt-alpha/PixArt-XL-2-512x512",
        "hongk1998/merge-base-depth-v1",
        ("transformer", "vae", "scheduler", *_TEXT),
    ),
    "merge-large": OfficialModel(
        "black-forest-labs/FLUX.1-dev",
        "hongk1998/merge-large-depth-v1",
        ("transformer", "vae", "scheduler", *_TEXT, "text_encoder_2", "tokenizer_2"),
    ),
}
