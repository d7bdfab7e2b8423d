"""Exported models are kept, so that each is exported once per machine and not once per start."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from merge_ros.config import EstimatorSettings
from merge_ros.errors import MissingDependencyError
from merge_ros.model.codec import FULL_CODEC, LIGHT_CODEC, find_codec
from merge_ros.model.locate import find_model

GRAPH_VERSION = 1  # raise it when folding or export change what the file computes or says

logger = logging.getLogger(__name__)


def exported_model(settings: EstimatorSettings) -> Path:
    """The ONNX file for the model in the settings: given as such, found in the cache, or exported now.

    Args:
        settings: `model` is an .onnx file that `merge-ros export` wrote, or anything that `load_checkpoint` takes.

    Raises:
        CheckpointError, ConfigurationError: the model cannot be loaded or folded.
        MissingDependencyError: it has to be exported, and torch, diffusers or onnx is not installed.
    """
    if settings.model.endswith(".onnx") and Path(settings.model).is_file():
        return Path(settings.model)
    folder = find_model(settings.model, ("transformer", FULL_CODEC, LIGHT_CODEC, "scheduler"))
    converters = find_model(settings.converters, ("depth_converters",)) if settings.converters else folder
    path = cache_folder() / f"{_fingerprint(folder, converters, find_codec(settings.codec, folder))}.onnx"
    if path.is_file():
        return path
    try:
        from filelock import FileLock

        from merge_ros.model.checkpoint import load_checkpoint
        from merge_ros.runtime.export import export_onnx
    except ImportError as error:
        raise MissingDependencyError(str(error.name), "torch,export", f"exporting {settings.model} to ONNX") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # two processes at once: the second finds the first one's file
        if not path.is_file():
            logger.warning("exporting %s to %s, once; this usually takes half a minute", settings.model, path)
            export_onnx(load_checkpoint(settings.model, settings.converters, codec=settings.codec), path)
    return path


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/merge_ros`, or `~/.cache/merge_ros` (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "merge_ros"


def _fingerprint(folder: Path, converters: Path, codec: Path) -> str:
    digest = hashlib.sha256(f"graph {GRAPH_VERSION}".encode())
    parts = (folder / "transformer", codec, folder / "scheduler", converters / "depth_converters")
    for part in parts:
        for file in sorted(part.glob("*")):
            if file.suffix in (".json", ".safetensors"):
                digest.update(f"{part.name}/{file.name}".encode())
                with file.open("rb") as stream:
                    while block := stream.read(1 << 20):
                        digest.update(block)
    return digest.hexdigest()[:32]
