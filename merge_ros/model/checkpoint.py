"""Load a MERGE model from a folder in the authors' layout, strictly.

    MODEL/transformer/       config.json, diffusion_pytorch_model.safetensors     the frozen backbone
    MODEL/depth_converters/  the same two files, and optionally empty_prompt.safetensors
    MODEL/vae/               config.json, diffusion_pytorch_model.safetensors
    MODEL/light_codec/       the same two files; optional, a light autoencoder for the depth path (`model/codec.py`)
    MODEL/scheduler/         scheduler_config.json
    MODEL/text_encoder/, MODEL/tokenizer/                    only where a prompt has to be encoded

`depth_converters/` may come from another place than the rest, as the released checkpoints do.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    ModelMixin,
    PixArtTransformer2DModel,
    SchedulerMixin,
)
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from merge_ros.errors import CheckpointError, MergeError, MissingDependencyError
from merge_ros.model.autoencoder import KINDS, Autoencoder, downsampling
from merge_ros.model.codec import FULL_CODEC, LIGHT_CODEC, find_codec, read_config
from merge_ros.model.conditioning import Conditioning, encode_prompt
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.locate import find_model
from merge_ros.model.pixart import MergePixArt

WEIGHTS = "diffusion_pytorch_model.safetensors"
EMPTY_PROMPT = "empty_prompt.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Everything that depth estimation needs, in evaluation mode and without gradients.

    `network.backbone` is the image generator; `vae` is the autoencoder of the depth path, full or
    light; `empty_prompt` is None when the folder neither stores it nor has a text encoder (a reference folder, say):
    then the caller must bring its own conditioning.
    """

    folder: Path
    network: MergePixArt
    vae: Autoencoder
    scheduler: SchedulerMixin
    empty_prompt: Conditioning | None

    @property
    def converter(self) -> PixArtConverter:
        """The converters that are plugged in."""
        if self.network.converter is None:
            raise CheckpointError(f"{self.folder}: no converters are plugged in")
        return self.network.converter

    @property
    def grid(self) -> int:
        """Image sides must be multiples of this many pixels: VAE downsampling times patch size."""
        return downsampling(self.vae) * int(self.converter.config.patch_size)

    @property
    def native_pixels(self) -> int:
        """Number of image pixels (width x height) that the converters were made for."""
        config = self.converter.config
        return int(config.processing_pixels or (config.sample_size * downsampling(self.vae)) ** 2)

    def depth_scheduler(self) -> SchedulerMixin:
        """A scheduler for multi-step depth: the checkpoint's, told what its converters predict.

        The stored one belongs to the image generator, whose prediction type may be another.
        """
        return type(self.scheduler).from_config(
            self.scheduler.config, prediction_type=self.converter.config.prediction_type
        )

    def conditioning(self) -> Conditioning:
        """The empty prompt of depth mode.

        Raises:
            CheckpointError: the folder has neither the stored embedding nor a text encoder.
        """
        if self.empty_prompt is None:
            raise CheckpointError(
                f"{self.folder} holds no empty prompt: neither depth_converters/{EMPTY_PROMPT} nor text_encoder/ and "
                "tokenizer/"
            )
        return self.empty_prompt


def load_checkpoint(
    model: str,
    converters: str = "",
    *,
    codec: str = "full",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Checkpoint:
    """Load a MERGE-B model.

    Args:
        model: "merge-tiny" (shipped in the package), a folder, or a Hugging Face id (downloads on first use).
        converters: where `depth_converters/` is, if not in `model`; same forms.
        codec: autoencoder of the depth path, as in `EstimatorSettings`.
        device: torch device, for example "cpu" or "cuda:0".
        dtype: precision of all weights.

    Raises:
        CheckpointError: a missing folder or file, a missing or unexpected key, a wrong shape, a damaged file, or
            parts that do not fit each other; the message names it.
    """
    folder = find_model(model, ("transformer", FULL_CODEC, LIGHT_CODEC, "scheduler", "text_encoder", "tokenizer"))
    converter_folder = find_model(converters, ("depth_converters",)) if converters else folder

    converter = load_part(PixArtConverter, converter_folder / "depth_converters", dtype)
    backbone = load_part(PixArtTransformer2DModel, folder / "transformer", dtype)
    vae = load_autoencoder(find_codec(codec, folder), dtype)
    network = MergePixArt(backbone, converter)
    if vae.config.latent_channels != backbone.config.in_channels:
        raise CheckpointError(
            f"{folder}: the autoencoder has {vae.config.latent_channels} latent channels, the transformer takes "
            f"{backbone.config.in_channels}"
        )
    _check_downsampling(vae, folder / FULL_CODEC)
    scheduler = load_scheduler(folder / "scheduler")
    empty_prompt = _empty_prompt(folder, converter_folder, backbone)
    for part in (network, vae):
        part.to(device).eval().requires_grad_(False)
    return Checkpoint(
        folder, network, vae, scheduler, empty_prompt.to(device, dtype) if empty_prompt is not None else None
    )


def load_part(kind: type[ModelMixin], folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """Load one network of a checkpoint: diffusers' loader, with every deviation an error.

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
            )
    except Exception as error:  # damaged json, damaged weights, wrong shapes: diffusers has no error family
        raise CheckpointError(f"{folder} cannot be loaded: {error}") from error
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found[problem]:
            raise CheckpointError(f"{folder}: {problem.replace('_', ' ')} {_shortened(found[problem])}")
    return part


def load_autoencoder(folder: Path, dtype: torch.dtype = torch.float32) -> Autoencoder:
    """The autoencoder whose class the folder's config.json names.

    Raises:
        CheckpointError: a kind that is not known, or whatever `load_part` finds wrong.
    """
    name = read_config(folder).get("_class_name")
    if name not in KINDS:
        raise CheckpointError(f"{folder / 'config.json'}: _class_name is {name!r}; allowed: {', '.join(KINDS)}")
    vae: Autoencoder = load_part(KINDS[name], folder, dtype)
    return vae


def load_scheduler(folder: Path) -> SchedulerMixin:
    """The scheduler that `scheduler_config.json` names; any of diffusers'.

    Raises:
        CheckpointError: the file is missing or names a class that diffusers does not have.
    """
    path = folder / "scheduler_config.json"
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    config = DPMSolverMultistepScheduler.load_config(folder)
    kind = getattr(diffusers, str(config.get("_class_name")), None)
    if kind is None or not issubclass(kind, SchedulerMixin):
        raise CheckpointError(f"{path}: {config.get('_class_name')!r} is not a scheduler of diffusers")
    return kind.from_config(config)


def save_empty_prompt(conditioning: Conditioning, converters: Path) -> None:
    """Store the empty prompt's embedding beside the converters, so that depth needs no text encoder."""
    tensors = {"prompt_embeds": conditioning.text.contiguous(), "prompt_mask": conditioning.mask.contiguous()}
    save_file(tensors, converters / EMPTY_PROMPT)


def _empty_prompt(folder: Path, converter_folder: Path, backbone: PixArtTransformer2DModel) -> Conditioning | None:
    stored = converter_folder / "depth_converters" / EMPTY_PROMPT
    if stored.is_file():
        try:
            tensors = load_file(stored)
            conditioning = Conditioning(tensors["prompt_embeds"].float(), tensors["prompt_mask"])
        except (SafetensorError, KeyError, MergeError) as error:
            raise CheckpointError(f"{stored} cannot be used: {error!r}") from error
    elif (folder / "text_encoder").is_dir():
        tokenizer, text_encoder = load_text_encoder(folder)
        conditioning = encode_prompt(tokenizer, text_encoder, "")
    else:
        return None
    wanted = backbone.config.caption_channels or backbone.config.cross_attention_dim
    if conditioning.text.shape[-1] != wanted:
        raise CheckpointError(
            f"{folder}: the text has {conditioning.text.shape[-1]} channels, the transformer takes {wanted}"
        )
    return conditioning


def load_text_encoder(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """The tokenizer and the T5 encoder of a model folder, on the CPU.

    Raises:
        CheckpointError: a folder is missing or damaged.
    """
    from transformers import T5EncoderModel

    tokenizer = load_tokenizer(folder)
    try:
        with _no_loading_bar():
            encoder = T5EncoderModel.from_pretrained(
                folder / "text_encoder", dtype=dtype, use_safetensors=True, local_files_only=True
            )
    except Exception as error:  # transformers raises many unrelated types on damaged files
        raise CheckpointError(f"the text encoder of {folder} cannot be loaded: {error}") from error
    return tokenizer, encoder.eval().requires_grad_(False)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model folder; its text encoder must be there too, but is not loaded.

    Raises:
        CheckpointError: a folder is missing or damaged.
        MissingDependencyError: the vocabulary is T5's own, and sentencepiece is not installed.
    """
    from transformers import AutoTokenizer

    for part in ("tokenizer", "text_encoder"):
        if not (folder / part).is_dir():
            raise CheckpointError(f"{folder / part} does not exist; prompts cannot be encoded without it")
    # Without the package, transformers takes such a vocabulary for another kind of file.
    if (folder / "tokenizer" / "spiece.model").is_file() and importlib.util.find_spec("sentencepiece") is None:
        raise MissingDependencyError("sentencepiece", "torch", f"reading {folder / 'tokenizer' / 'spiece.model'}")
    try:
        return AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except Exception as error:  # as above
        raise CheckpointError(f"the tokenizer of {folder} cannot be loaded: {error}") from error


def _check_downsampling(vae: Autoencoder, full: Path) -> None:
    """A light codec must have the latent grid of the VAE that the backbone was trained with, where that is here."""
    if not full.is_dir():
        return
    wanted = 2 ** (len(read_config(full).get("block_out_channels", ())) - 1)
    if downsampling(vae) != wanted:
        raise CheckpointError(
            f"the codec has {downsampling(vae)} pixels per latent pixel, the model's VAE in {full} has {wanted}"
        )


@contextmanager
def _quiet_diffusers() -> Iterator[None]:
    before = diffusers.utils.logging.get_verbosity()
    diffusers.utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        diffusers.utils.logging.set_verbosity(before)


@contextmanager
def _no_loading_bar() -> Iterator[None]:
    """transformers draws one for every load, across the progress of whoever loads."""
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            logging.enable_progress_bar()


def _shortened(keys: list[str], limit: int = 5) -> str:
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return ", ".join(map(str, sorted(keys)[:limit])) + more
