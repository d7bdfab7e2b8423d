"""Load a frozen transformer with a converter set, of whichever family the model folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import torch
from diffusers import FluxTransformer2DModel, PixArtTransformer2DModel

from merge_ros.errors import CheckpointError
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.family import FLUX, PIXART, converters_family, family_of
from merge_ros.model.flux import MergeFlux
from merge_ros.model.flux_converter import FluxConverter
from merge_ros.model.network import MergeNetwork
from merge_ros.model.parts import load_part
from merge_ros.model.pixart import MergePixArt

Network: TypeAlias = MergeNetwork[Any, Any]
Converter: TypeAlias = PixArtConverter | FluxConverter

_BACKBONES = {PIXART: PixArtTransformer2DModel, FLUX: FluxTransformer2DModel}
_CONVERTERS: dict[str, type[Converter]] = {PIXART: PixArtConverter, FLUX: FluxConverter}
_NETWORKS: dict[str, type[Network]] = {PIXART: MergePixArt, FLUX: MergeFlux}


def load_network(
    folder: Path, converters: Path, *, dtype: torch.dtype = torch.float32, **loader_settings: Any
) -> Network:
    """The backbone of a model folder with a converter set plugged in; on the CPU, in evaluation mode.

    Args:
        folder: a model folder, with `transformer/`.
        converters: the folder of the converter set itself.
        dtype: precision of all weights.
        loader_settings: more for diffusers' `from_pretrained`.

    Raises:
        CheckpointError: a part is missing, damaged or foreign, or they do not fit each other; the message names it.
    """
    converter = load_converters(folder, converters, dtype=dtype, **loader_settings)
    family = family_of(folder)
    backbone = load_part(_BACKBONES[family], folder / "transformer", dtype, **loader_settings)
    network = _NETWORKS[family](backbone, converter)
    return network.eval()


def load_converters(
    folder: Path, converters: Path, *, dtype: torch.dtype = torch.float32, **loader_settings: Any
) -> Converter:
    """A converter set for the backbone of a model folder; see `load_network`."""
    family = family_of(folder)
    other = converters_family(converters)
    if other != family:
        raise CheckpointError(
            f"{converters} holds converters for {other}, which do not fit the {family} backbone of {folder}"
        )
    converter: Converter = load_part(_CONVERTERS[family], converters, dtype, **loader_settings)
    converter.eval().requires_grad_(False)
    return converter
