"""Find a model by what the user calls it: the shipped one, a folder, or a Hugging Face id."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from merge_ros.config import BUNDLED_MODEL
from merge_ros.errors import CheckpointError, MissingDependencyError

logger = logging.getLogger(__name__)

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def find_model(model: str, parts: Sequence[str]) -> Path:
    """The folder of a model.

    Args:
        model: `merge-tiny`, a folder, or a Hugging Face id `owner/name`. A folder that exists wins over an id.
        parts: the sub-folders that are needed; from a hub, only these are downloaded, and of weights only safetensors;
            "" is the folder itself.

    Raises:
        CheckpointError: nothing is there under that name.
        MissingDependencyError: a hub id was given and huggingface_hub is not installed.
    """
    if model == BUNDLED_MODEL:
        return Path(__file__).resolve().parent.parent / "merge_tiny"
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        hint = "; `merge-ros convert` unpacks a model in one file" if folder.suffix == ".safetensors" else ""
        raise CheckpointError(
            f"model {model!r} is a file; a model is a folder with transformer/, vae/, ... in it{hint}"
        )
    looks_like_path = model.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(model)
    if looks_like_path:
        raise CheckpointError(
            f"model {model!r} does not exist; allowed: {BUNDLED_MODEL!r}, a folder, or a Hugging Face id owner/name"
        )
    return _download(model, parts)


def part_patterns(parts: Sequence[str]) -> list[str]:
    """What is needed of the sub-folders of a repository, as patterns of file names: of weights only safetensors."""
    return [f"{part}/{kind}".lstrip("/") for part in parts for kind in ("*.json", "*.safetensors", "*.model", "*.txt")]


def _download(hub_id: str, parts: Sequence[str]) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingDependencyError("huggingface_hub", "torch", f"downloading {hub_id}") from error
    logger.info("model %s is not a local folder: looking it up in the Hugging Face cache, then on the hub", hub_id)
    try:
        return Path(snapshot_download(hub_id, allow_patterns=part_patterns(parts)))
    except Exception as error:  # the hub client raises many unrelated types; each means that there is no model
        raise CheckpointError(
            f"model {hub_id!r} is neither a local folder nor to be had from the hub: {error}"
        ) from error
