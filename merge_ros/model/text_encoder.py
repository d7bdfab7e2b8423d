"""Load the T5 text encoder of a model folder, and its tokenizer."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from merge_ros.errors import CheckpointError, MissingDependencyError


def load_text_encoder(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """The tokenizer and the T5 encoder of a model folder, on the CPU.

    Raises:
        CheckpointError: a folder is missing or damaged.
    """
    from transformers import T5EncoderModel

    tokenizer = load_tokenizer(folder)
    try:
        with _no_loading_bar():
            encoder = T5EncoderModel.from_pretrained(
                folder / "text_encoder", dtype=dtype, use_safetensors=True, local_files_only=True
            )
    except Exception as error:  # transformers raises many unrelated types on damaged files
        raise CheckpointError(f"the text encoder of {folder} cannot be loaded: {error}") from error
    return tokenizer, encoder.eval().requires_grad_(False)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model folder; its text encoder must be there too, but is not loaded.

    Raises:
        CheckpointError: a folder is missing or damaged.
        MissingDependencyError: the vocabulary is T5's own, and sentencepiece is not installed.
    """
    from transformers import AutoTokenizer

    for part in ("tokenizer", "text_encoder"):
        if not (folder / part).is_dir():
            raise CheckpointError(f"{folder / part} does not exist; prompts cannot be encoded without it")
    # Without the package, transformers takes such a vocabulary for another kind of file.
    if (folder / "tokenizer" / "spiece.model").is_file() and importlib.util.find_spec("sentencepiece") is None:
        raise MissingDependencyError("sentencepiece", "torch", f"reading {folder / 'tokenizer' / 'spiece.model'}")
    try:
        return AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except Exception as error:  # as above
        raise CheckpointError(f"the tokenizer of {folder} cannot be loaded: {error}") from error


@contextmanager
def _no_loading_bar() -> Iterator[None]:
    """transformers draws one for every load, across the progress of whoever loads."""
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            logging.enable_progress_bar()
