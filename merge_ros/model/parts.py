"""Load one network of a model folder with diffusers' own loader, where every deviation is an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import ModelMixin

from merge_ros.errors import CheckpointError

WEIGHTS = "diffusion_pytorch_model.safetensors"


def load_part(kind: type[ModelMixin], folder: Path, dtype: torch.dtype = torch.float32, **loader_settings: Any) -> Any:
    """Load one network of a checkpoint: diffusers' loader, with every deviation an error.

    Args:
        kind: diffusers' class, or ours.
        folder: with config.json and safetensors, one file or shards.
        dtype: of the weights.
        loader_settings: more for diffusers' `from_pretrained`.

    Raises:
        CheckpointError: a missing or damaged file, a missing or unexpected key, or a wrong shape.
    """
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder / 'config.json'} does not exist")
    if not any(folder.glob("*.safetensors")):
        raise CheckpointError(f"{folder} holds no weights; allowed: safetensors, usually {WEIGHTS}")
    try:
        with _quiet_diffusers():  # it warns where we raise
            part, found = kind.from_pretrained(
                folder,
                torch_dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **loader_settings,
            )
    except Exception as error:  # damaged json, damaged weights, wrong shapes: diffusers has no error family
        raise CheckpointError(f"{folder} cannot be loaded: {error}") from error
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found[problem]:
            raise CheckpointError(f"{folder}: {problem.replace('_', ' ')} {_shortened(found[problem])}")
    return part


@contextmanager
def _quiet_diffusers() -> Iterator[None]:
    before = diffusers.utils.logging.get_verbosity()
    diffusers.utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        diffusers.utils.logging.set_verbosity(before)


def _shortened(keys: list[str], limit: int = 5) -> str:
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return ", ".join(map(str, sorted(keys)[:limit])) + more
