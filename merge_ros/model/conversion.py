"""One model in other clothes: the authors' folder layout, ours, or a single file. Tensors stay bit for bit the same.

The two layouts differ in the config.json of converter sets: the name of the class, and keys that only one side reads.
Weights have the same keys, and the backbone is diffusers' in both. A single file holds the tensors of all parts as
`PART/FILE:KEY`, every JSON file in its metadata, and other files (tokenizers, licences) as bytes.
"""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from merge_ros.errors import CheckpointError, ConfigurationError
from merge_ros.files import atomic_write
from merge_ros.model.checkpoint import PARTS
from merge_ros.model.codec import read_config
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.family import FLUX, converters_family, family_of
from merge_ros.model.flux_converter import FluxConverter

CONVERTERS = "*_converters"
TEXT_SUFFIXES = (".json", ".model", ".txt", ".md")  # settings, tokenizers, model cards
FORMAT = "merge_ros"  # key of the metadata, whose value is the version of the form below
FORMAT_VERSION = "1"

# What the authors' classes are told that ours take from the backbone or know by themselves: the keys of the config.json
# files that they released, and of shared/reference.
_AUTHORS_PIXART = {
    "_class_name": "xTransformerModel",
    "GRE": True,
    "attention_type": "default",
    "caption_channels": None,
    "cross_attention_dim": None,
    "is_converter": True,
    "norm_num_groups": 32,
    "norm_type": "ada_norm_single",
    "use_additional_conditions": None,
}
_FROM_FLUX_BACKBONE = ("guidance_embeds", "joint_attention_dim", "pooled_projection_dim")


def to_authors_layout(folder: Path, out: Path) -> None:
    """Write a model folder whose converters load into the authors' classes.

    Settings of inference that their code does not know (`depth_timestep`, ...) stay in the file; diffusers reads past
    them. Their code runs epsilon (MERGE-B) and flow (MERGE-L) converters over many steps, and no others.

    Raises:
        CheckpointError: `folder` is no model.
        ConfigurationError: `out` exists and is not empty.
    """
    frozen = read_config(folder / "transformer")

    def rewrite(config: dict[str, Any], part: Path) -> dict[str, Any]:
        if converters_family(part) == FLUX:
            from_backbone = {key: frozen[key] for key in _FROM_FLUX_BACKBONE if key in frozen}
            # num_layers: their class counts double blocks, of which converters have none.
            return config | {"_class_name": "xFluxTransformer2DModel", "num_layers": 0} | from_backbone
        return config | _AUTHORS_PIXART

    _copy(folder, out, rewrite)


def to_own_layout(folder: Path, out: Path) -> None:
    """Write a model folder with the class names of this package and of diffusers, and only keys that they read.

    Raises:
        CheckpointError: `folder` is no model.
        ConfigurationError: `out` exists and is not empty.
    """

    def rewrite(config: dict[str, Any], part: Path) -> dict[str, Any]:
        kind = FluxConverter if converters_family(part) == FLUX else PixArtConverter
        known = {*inspect.signature(kind.__init__).parameters, "_diffusers_version"}
        return {key: value for key, value in config.items() if key in known} | {"_class_name": kind.__name__}

    _copy(folder, out, rewrite)


def to_single_file(folder: Path, path: Path) -> None:
    """Pack a model folder into one safetensors file; it appears complete or not at all.

    Raises:
        CheckpointError: `folder` is no model, or a weights file is damaged.
    """
    family_of(folder)
    tensors: dict[str, Tensor] = {}
    texts: dict[str, str] = {}
    for file in _files(folder):
        name = file.relative_to(folder).as_posix()
        if file.suffix == ".safetensors":
            tensors |= {f"{_unsharded(name)}:{key}": tensor for key, tensor in _tensors(file)}
        elif file.name.endswith(".safetensors.index.json"):
            continue  # where the shards of a weights file are, of which there is one here
        elif file.suffix == ".json":
            texts[name] = file.read_text()
        else:
            tensors[f"{name}:"] = torch.from_numpy(np.frombuffer(file.read_bytes(), np.uint8).copy())
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, {FORMAT: FORMAT_VERSION, **texts})


def from_single_file(path: Path, out: Path) -> None:
    """Unpack what `to_single_file` wrote into a folder.

    Raises:
        CheckpointError: it is no such file, or damaged.
        ConfigurationError: `out` exists and is not empty.
    """
    try:
        with safe_open(path, "pt") as stored:
            texts = dict(stored.metadata() or {})
            if texts.pop(FORMAT, None) != FORMAT_VERSION:
                raise CheckpointError(f"{path} is no model in one file that this version of merge_ros wrote")
            texts.pop("format", None)
            _require_empty(out)
            weights: dict[str, dict[str, Tensor]] = {}
            for name in stored.keys():  # noqa: SIM118  (safe_open is no dict)
                file, _, key = name.rpartition(":") if name.endswith(":") else name.partition(":")
                weights.setdefault(file, {})[key] = stored.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error
    for file, text in texts.items():
        with atomic_write(_inside(out, file)) as temporary:
            temporary.write_text(text)
    for file, found in weights.items():
        with atomic_write(_inside(out, file)) as temporary:
            if "" in found:
                temporary.write_bytes(found[""].numpy().tobytes())
            else:
                save_file(found, temporary, {"format": "pt"})


def gather(folder: Path, converters: Path, out: Path) -> None:
    """Copy a model and the converter sets of another folder into one.

    Raises:
        CheckpointError: `converters` holds no set, or not for this backbone.
        ConfigurationError: `out` exists and is not empty.
    """
    sets = sorted(converters.glob(CONVERTERS))
    if not sets:
        raise CheckpointError(f"{converters} holds no converter set {CONVERTERS}/")
    for part in sets:
        if converters_family(part) != family_of(folder):
            raise CheckpointError(f"{part} does not fit the {family_of(folder)} backbone of {folder}")
    _copy(folder, out, lambda config, _: config)
    for part in sets:
        shutil.copytree(part, out / part.name, dirs_exist_ok=True)


def _copy(folder: Path, out: Path, rewrite: Callable[[dict[str, Any], Path], dict[str, Any]]) -> None:
    """Copy all files, with the config.json of every converter set rewritten."""
    family_of(folder)
    _require_empty(out)
    for file in _files(folder):
        target = _inside(out, file.relative_to(folder).as_posix())
        with atomic_write(target) as temporary:
            if file.name == "config.json" and file.parent.match(CONVERTERS):
                config = rewrite(read_config(file.parent), file.parent)
                temporary.write_text(json.dumps(dict(sorted(config.items())), indent=2) + "\n")
            else:
                shutil.copyfile(file, temporary)


def _files(folder: Path) -> Iterator[Path]:
    """What belongs to a model, in order: no pickles, and no other forms of the weights, which hubs have beside it."""
    parts = [folder / part for part in PARTS] + sorted(folder.glob(CONVERTERS))
    for part in (folder, *parts):
        for file in sorted(part.glob("*")):
            weights = file.suffix == ".safetensors" and part != folder
            if file.is_file() and (weights or file.suffix in TEXT_SUFFIXES or file.stem == "LICENSE"):
                yield file


def _tensors(file: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(file, "pt") as stored:
            for key in stored.keys():  # noqa: SIM118  (safe_open is no dict)
                yield key, stored.get_tensor(key)
    except SafetensorError as error:
        raise CheckpointError(f"{file} cannot be read as safetensors: {error}") from error


def _unsharded(name: str) -> str:
    """part/model-00001-of-00003.safetensors -> part/model.safetensors."""
    stem, dash, rest = name.rpartition("-of-")
    return f"{stem.rpartition('-')[0]}.safetensors" if dash and rest.removesuffix(".safetensors").isdigit() else name


def _require_empty(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigurationError(f"{out} exists and is not empty; name another place")


def _inside(out: Path, name: str) -> Path:
    """The path of a file of a model; a name that leads out of the folder is refused."""
    path = out / name
    if not path.resolve().is_relative_to(out.resolve()):
        raise CheckpointError(f"{name!r} leads out of the model folder")
    return path
