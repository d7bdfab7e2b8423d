"""Run a model on stored inputs and compare with stored outputs.

Key names are those of the tensors that were recorded from the authors' code:

    MERGE-B    text, mask, timestep with  image -> image_out   (image mode)
                                          dense -> depth_out   (depth mode; image latent ++ depth latent)
               and resolution, aspect_ratio where the transformer is told the size of the picture
    MERGE-L    text, pooled, timestep, img_ids, txt_ids, and guidance where the transformer is told one, with image and
               dense as above, packed (dense: depth latent ++ image latent)
    pipelines  image [B,3,H,W] in [0,1], latents, prompt_embeds, and prompt_mask (MERGE-B) or pooled_prompt_embeds
               (MERGE-L) -> depth_N after N steps
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from merge_ros.errors import ConfigurationError, InputError
from merge_ros.model.autoencoder import decode, encode
from merge_ros.model.checkpoint import PARTS, Checkpoint, load_checkpoint
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.depth_mode import predict_latent
from merge_ros.model.family import FLUX, family_of
from merge_ros.model.flux import MergeFlux
from merge_ros.model.locate import find_model
from merge_ros.model.networks import Network, load_network

TRANSFORMER_TOLERANCE = 1e-5  # one pass in fp32
PIPELINE_TOLERANCE = 1e-4  # many passes and a VAE

_STEPS = re.compile(r"depth_(\d+)")


@dataclass(frozen=True)
class Difference:
    """Largest absolute difference of one output; NaN anywhere counts as not ok."""

    output: str
    max_abs_diff: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.max_abs_diff <= self.tolerance


def verify(model: str, reference: Path, *, backend: str = "torch", tolerance: float | None = None) -> list[Difference]:
    """Compare a model with a reference file, in fp32 on the CPU.

    Args:
        model: as for `load_checkpoint`.
        reference: a safetensors file with the keys above.
        backend: only "torch" runs the networks unfolded.
        tolerance: for every output; None takes 1e-5 for one pass and 1e-4 for a pipeline.

    Returns:
        One entry per stored output.

    Raises:
        InputError: the file is damaged, holds no output that is known, or lacks an input of one.
        CheckpointError: the model cannot be loaded.
        ConfigurationError: another backend than torch.
    """
    if backend != "torch":
        raise ConfigurationError(
            f"backend {backend!r} has only the folded depth path, and recorded tensors are of the whole networks; "
            "allowed: torch"
        )
    stored = _read(reference)
    outputs = sorted(name for name in stored if name in ("image_out", "depth_out") or _STEPS.fullmatch(name))
    if not outputs:
        raise InputError(
            f"{reference} holds no image_out, depth_out or depth_N; its keys are {', '.join(sorted(stored))}"
        )
    folder = find_model(model, PARTS)
    recipes = {name: _recipe(name, family_of(folder)) for name in outputs}
    for name, recipe in recipes.items():
        missing = [key for key in recipe.inputs if key not in stored]
        if missing:
            raise InputError(f"{reference}: output {name} needs the inputs {', '.join(missing)}, which are not there")
    # Single passes need no autoencoder, and folders of recorded networks may have none.
    pipeline = load_checkpoint(model) if any(recipe.whole for recipe in recipes.values()) else None
    network = pipeline.network if pipeline else load_network(folder, folder / "depth_converters")
    differences = []
    for name, recipe in recipes.items():
        with torch.inference_mode():
            result = recipe.run(pipeline if recipe.whole else network, stored)
        if result.shape != stored[name].shape:
            raise InputError(f"{name}: the model gives {tuple(result.shape)}, stored is {tuple(stored[name].shape)}")
        largest = float((result.double() - stored[name].double()).abs().max())
        differences.append(Difference(name, largest, recipe.tolerance if tolerance is None else tolerance))
    return differences


@dataclass(frozen=True)
class _Recipe:
    """How an output is made: from the network alone, or from the whole checkpoint."""

    inputs: tuple[str, ...]
    run: Callable[[Any, dict[str, Tensor]], Tensor]
    whole: bool = False

    @property
    def tolerance(self) -> float:
        return PIPELINE_TOLERANCE if self.whole else TRANSFORMER_TOLERANCE


def _recipe(output: str, family: str) -> _Recipe:
    if output in ("image_out", "depth_out"):
        latent = "image" if output == "image_out" else "dense"
        if family == FLUX:
            inputs = (latent, "text", "pooled", "timestep", "img_ids", "txt_ids")
            return _Recipe(inputs, _flux_image_mode if output == "image_out" else _flux_depth_mode)
        return _Recipe((latent, "text", "mask", "timestep"), _image_mode if output == "image_out" else _depth_mode)
    steps = int(output.removeprefix("depth_"))
    prompt = "pooled_prompt_embeds" if family == FLUX else "prompt_mask"
    return _Recipe(("image", "latents", "prompt_embeds", prompt), partial(_pipeline, steps=steps), whole=True)


def _read(reference: Path) -> dict[str, Tensor]:
    try:
        return load_file(reference)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{reference} cannot be read as safetensors: {error}") from error


def _image_mode(network: Network, stored: dict[str, Tensor]) -> Tensor:
    conditioning = _pixart_conditioning(stored)
    output: Tensor = network.backbone(
        stored["image"],
        encoder_hidden_states=conditioning.text,
        encoder_attention_mask=conditioning.mask,
        timestep=stored["timestep"],
        added_cond_kwargs=conditioning.size_conditions(stored["image"].shape[0]),
    ).sample
    return output


def _depth_mode(network: Network, stored: dict[str, Tensor]) -> Tensor:
    image_latent, depth_latent = stored["dense"].chunk(2, dim=1)
    output: Tensor = network(image_latent, depth_latent, stored["timestep"], _pixart_conditioning(stored))
    return output


def _pixart_conditioning(stored: dict[str, Tensor]) -> Conditioning:
    return Conditioning(stored["text"], stored["mask"], stored.get("resolution"), stored.get("aspect_ratio"))


def _flux_image_mode(network: MergeFlux, stored: dict[str, Tensor]) -> Tensor:
    output: Tensor = network.backbone(
        hidden_states=stored["image"],
        encoder_hidden_states=stored["text"],
        pooled_projections=stored["pooled"],
        timestep=stored["timestep"],
        img_ids=stored["img_ids"],
        txt_ids=stored["txt_ids"],
        guidance=_flux_guidance(network, stored),
    ).sample
    return output


def _flux_depth_mode(network: MergeFlux, stored: dict[str, Tensor]) -> Tensor:
    text = stored["text"]
    return network.predict(
        stored["dense"],
        stored["timestep"],
        Conditioning(text, torch.ones(text.shape[:2]), pooled=stored["pooled"]),
        # An older form has a copy of the ids for every image, of which diffusers takes the first.
        image_ids=stored["img_ids"].reshape(-1, *stored["img_ids"].shape[-2:])[0],
        text_ids=stored["txt_ids"].reshape(-1, *stored["txt_ids"].shape[-2:])[0],
        guidance=_flux_guidance(network, stored),
    )


def _flux_guidance(network: MergeFlux, stored: dict[str, Tensor]) -> Tensor | None:
    if not network.backbone.config.guidance_embeds:
        return None
    if "guidance" not in stored:
        raise InputError("this FLUX has a guidance embedding, and the file has no input guidance")
    return stored["guidance"]


def _pipeline(checkpoint: Checkpoint, stored: dict[str, Tensor], steps: int) -> Tensor:
    text, noise = stored["prompt_embeds"], stored["latents"]
    mask = stored.get("prompt_mask", torch.ones(text.shape[:2]))
    conditioning = Conditioning(text, mask, pooled=stored.get("pooled_prompt_embeds"))
    image_latent = encode(checkpoint.vae, stored["image"] * 2 - 1)
    return decode(checkpoint.vae, predict_latent(checkpoint, image_latent, conditioning, steps, noise))
