"""Which autoencoder the depth path uses: the full VAE of the model, or a light one. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from merge_ros.config import CODEC_WORDS, LIGHT_CODEC_COST
from merge_ros.errors import CheckpointError
from merge_ros.model.locate import find_model

FULL_CODEC, LIGHT_CODEC = "vae", "light_codec"


def find_codec(codec: str, model: Path) -> Path:
    """The folder of the autoencoder.

    Args:
        codec: "full", "light", "auto" (see `EstimatorSettings.codec`), or a folder or Hugging Face id that holds
            diffusers' `AutoencoderTiny` or a `LightCodec` (`madebyollin/taesd`, say).
        model: the model's folder.

    Raises:
        CheckpointError: it is not there, or its config.json cannot be read.
    """
    if codec not in CODEC_WORDS:
        return find_model(codec, ("",))
    light = model / LIGHT_CODEC
    if codec == "light" and not light.is_dir():
        raise CheckpointError(f"codec 'light' needs {light}, which does not exist; allowed: 'full', 'auto', or a place")
    if codec == "light" or (codec == "auto" and light.is_dir() and _is_cheap(light)):
        return light
    return model / FULL_CODEC


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of one part of a model.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} holds no JSON object")
    return config


def _is_cheap(light: Path) -> bool:
    cost = read_config(light).get("abs_rel_cost")
    return isinstance(cost, (int, float)) and cost <= LIGHT_CODEC_COST
