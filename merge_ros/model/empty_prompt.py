"""The empty prompt that the network is told in depth mode: stored beside the converters, or encoded by the model's own.

Stored, it spares depth the text encoders.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from merge_ros.errors import CheckpointError, MergeError
from merge_ros.model.conditioning import Conditioning, encode_prompt
from merge_ros.model.flux import MergeFlux
from merge_ros.model.flux_text import encode_flux_prompt
from merge_ros.model.networks import Network
from merge_ros.model.text_encoder import load_text_encoder

EMPTY_PROMPT = "empty_prompt.safetensors"


def save_empty_prompt(conditioning: Conditioning, converters: Path) -> None:
    """Store the empty prompt's embedding beside the converters, so that depth needs no text encoder."""
    tensors = {"prompt_embeds": conditioning.text, "prompt_mask": conditioning.mask}
    if conditioning.pooled is not None:
        tensors["pooled_prompt_embeds"] = conditioning.pooled
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, converters / EMPTY_PROMPT)


def load_empty_prompt(folder: Path, converters: Path, network: Network, dtype: torch.dtype) -> Conditioning | None:
    """The empty prompt that is stored with a converter set, or else as the model's own text encoders embed it.

    Args:
        folder: of the model.
        converters: of the converter set itself; it need not exist.
        network: that is to be told it.
        dtype: precision of the text encoders, if they have to be loaded.

    Returns:
        None where there is neither.

    Raises:
        CheckpointError: what is there is damaged or does not fit the network.
    """
    stored = converters / EMPTY_PROMPT
    if stored.is_file():
        try:
            tensors = load_file(stored)
            pooled = tensors.get("pooled_prompt_embeds")
            conditioning = Conditioning(
                tensors["prompt_embeds"].float(),
                tensors["prompt_mask"],
                pooled=None if pooled is None else pooled.float(),
            )
        except (SafetensorError, KeyError, MergeError) as error:
            raise CheckpointError(f"{stored} cannot be used: {error!r}") from error
    elif not (folder / "text_encoder").is_dir():
        return None
    elif isinstance(network, MergeFlux):
        conditioning = encode_flux_prompt(folder, "", dtype)
    else:
        conditioning = encode_prompt(*load_text_encoder(folder), "")
    if conditioning.text.shape[-1] != network.text_channels:
        raise CheckpointError(
            f"{folder}: the text has {conditioning.text.shape[-1]} channels, the transformer takes "
            f"{network.text_channels}"
        )
    return conditioning
