"""Exported models are kept, so that each is exported once per machine and not once per start."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
from pathlib import Path

from merge_ros.config import EstimatorSettings
from merge_ros.errors import BackendError, MissingDependencyError
from merge_ros.model.codec import FULL_CODEC, LIGHT_CODEC, find_codec
from merge_ros.model.fingerprint import fingerprint
from merge_ros.model.locate import find_model
from merge_ros.runtime.foldable import folding_problem, require_foldable
from merge_ros.runtime.shipped import shipped_model

GRAPH_VERSION = 2  # raise it when folding or export change what the file computes or says

logger = logging.getLogger(__name__)


def exported_model(settings: EstimatorSettings, precision: str = "fp32", opset: int | None = None) -> Path:
    """The ONNX file for the model in the settings: given as such, shipped, found in the cache, or exported now.

    Args:
        settings: `model` is an .onnx file that `merge-ros export` wrote, or anything that `load_checkpoint` takes.
        precision: of a file that is exported, "fp32" or "fp16".
        opset: of a file that is exported; None: the usual one.

    Raises:
        CheckpointError, ConfigurationError: the model cannot be loaded or folded.
        MissingDependencyError: it has to be exported, and torch, diffusers or onnx is not installed.
        BackendError: it has to be exported, and the file cannot be written: the disk is full, say.
    """
    require_foldable(settings)
    path = _exported_path(settings, precision, opset)
    if path.is_file():
        return path
    try:
        from filelock import FileLock

        from merge_ros.model.checkpoint import load_checkpoint
        from merge_ros.runtime.export import OPSET, ExportOptions, export_onnx
    except ImportError as error:
        raise MissingDependencyError(str(error.name), "torch,export", f"exporting {settings.model} to ONNX") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # two processes at once: the second finds the first one's file
            if not path.is_file():
                logger.warning("exporting %s to %s, once; this usually takes half a minute", settings.model, path)
                checkpoint = load_checkpoint(
                    settings.model, settings.converters, task=settings.task, codec=settings.codec
                )
                export_onnx(checkpoint, path, ExportOptions(precision, opset or OPSET))
    except OSError as error:
        raise BackendError(
            f"the exported model cannot be written to {path}: {error}. Make room there, or set XDG_CACHE_HOME to a "
            "folder that has some"
        ) from error
    return path


def export_problem(settings: EstimatorSettings) -> str:
    """Why there is no exported file and none can be written here; "" when there is one, or one can be.

    Raises:
        CheckpointError: the model cannot be found.
    """
    if problem := folding_problem(settings):
        return problem
    if _exported_path(settings, "fp32", None).is_file():
        return ""
    missing = [name for name in ("torch", "diffusers", "onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if not missing:
        return ""
    packages = ", ".join(missing)
    return f"the model is not exported yet, and {packages} is missing to do so: pip install 'merge_ros[torch,export]'"


def _exported_path(settings: EstimatorSettings, precision: str, opset: int | None) -> Path:
    if settings.model.endswith(".onnx") and Path(settings.model).is_file():
        return Path(settings.model)
    fingerprint = model_fingerprint(settings)
    if precision == "fp32" and opset is None and (shipped := shipped_model(fingerprint)):
        return shipped
    return cache_folder() / f"{fingerprint}-{precision}-{opset or 'any'}.onnx"


def model_fingerprint(settings: EstimatorSettings) -> str:
    """What a file exported from these settings depends on: all weights of the depth path, and the way they are folded.

    Raises:
        CheckpointError: the model cannot be found.
    """
    folder = find_model(settings.model, ("transformer", FULL_CODEC, LIGHT_CODEC, "scheduler"))
    name = f"{settings.task}_converters"
    converters = find_model(settings.converters, (name,)) if settings.converters else folder
    codec = find_codec(settings.codec, folder)
    parts = (folder / "transformer", codec, folder / "scheduler", converters / name)
    return fingerprint(parts, f"graph {GRAPH_VERSION}")


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/merge_ros`, or `~/.cache/merge_ros` (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "merge_ros"


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
