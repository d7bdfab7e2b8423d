"""Run a model on stored inputs and compare with stored outputs.

Key names are those of the tensors that were recorded from the authors' code:

    transformer file    text, mask, timestep with  image -> image_out   (image mode)
                                                   dense -> depth_out   (depth mode; image latent ++ depth latent)
    pipeline file       image [B,3,H,W] in [0,1], latents, prompt_embeds, prompt_mask -> depth_N after N steps
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from merge_ros.errors import ConfigurationError, InputError
from merge_ros.model.autoencoder import decode, encode
from merge_ros.model.checkpoint import Checkpoint, load_checkpoint
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.sampling import denoise

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
    outputs = [name for name in stored if name in ("image_out", "depth_out") or _STEPS.fullmatch(name)]
    if not outputs:
        raise InputError(
            f"{reference} holds no image_out, depth_out or depth_N; its keys are {', '.join(sorted(stored))}"
        )
    recipes = {name: _recipe(name) for name in sorted(outputs)}
    for name, recipe in recipes.items():
        missing = [key for key in recipe.inputs if key not in stored]
        if missing:
            raise InputError(f"{reference}: output {name} needs the inputs {', '.join(missing)}, which are not there")
    checkpoint = load_checkpoint(model)
    differences = []
    for name, recipe in recipes.items():
        with torch.inference_mode():
            result = recipe.run(checkpoint, stored)
        if result.shape != stored[name].shape:
            raise InputError(f"{name}: the model gives {tuple(result.shape)}, stored is {tuple(stored[name].shape)}")
        largest = float((result.double() - stored[name].double()).abs().max())
        differences.append(Difference(name, largest, recipe.tolerance if tolerance is None else tolerance))
    return differences


@dataclass(frozen=True)
class _Recipe:
    inputs: tuple[str, ...]
    tolerance: float
    run: Callable[[Checkpoint, dict[str, Tensor]], Tensor]


def _recipe(output: str) -> _Recipe:
    if output == "image_out":
        return _Recipe(("image", "text", "mask", "timestep"), TRANSFORMER_TOLERANCE, _image_mode)
    if output == "depth_out":
        return _Recipe(("dense", "text", "mask", "timestep"), TRANSFORMER_TOLERANCE, _depth_mode)
    steps = int(output.removeprefix("depth_"))
    inputs = ("image", "latents", "prompt_embeds", "prompt_mask")
    return _Recipe(inputs, PIPELINE_TOLERANCE, partial(_pipeline, steps=steps))


def _read(reference: Path) -> dict[str, Tensor]:
    try:
        return load_file(reference)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{reference} cannot be read as safetensors: {error}") from error


def _image_mode(checkpoint: Checkpoint, stored: dict[str, Tensor]) -> Tensor:
    conditioning = Conditioning(stored["text"], stored["mask"])
    output: Tensor = checkpoint.network.backbone(
        stored["image"],
        encoder_hidden_states=conditioning.text,
        encoder_attention_mask=conditioning.mask,
        timestep=stored["timestep"],
        added_cond_kwargs=conditioning.size_conditions(stored["image"].shape[0]),
    ).sample
    return output


def _depth_mode(checkpoint: Checkpoint, stored: dict[str, Tensor]) -> Tensor:
    image_latent, depth_latent = stored["dense"].chunk(2, dim=1)
    conditioning = Conditioning(stored["text"], stored["mask"])
    output: Tensor = checkpoint.network(image_latent, depth_latent, stored["timestep"], conditioning)
    return output


def _pipeline(checkpoint: Checkpoint, stored: dict[str, Tensor], steps: int) -> Tensor:
    conditioning = Conditioning(stored["prompt_embeds"], stored["prompt_mask"])
    image_latent = encode(checkpoint.vae, stored["image"] * 2 - 1)
    depth_latent = denoise(
        checkpoint.network, image_latent, conditioning, checkpoint.depth_scheduler(), steps, stored["latents"]
    )
    return decode(checkpoint.vae, depth_latent)
