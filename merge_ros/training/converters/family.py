"""What the training loop must know of a kind of backbone: how to load it, make converters for it, and write them."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import PixArtTransformer2DModel
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from merge_ros.config.training import TrainingSettings
from merge_ros.errors import CheckpointError, ConfigurationError
from merge_ros.model.autoencoder import Autoencoder, downsampling
from merge_ros.model.checkpoint import (
    load_autoencoder,
    load_part,
    load_scheduler,
    load_text_encoder,
    save_empty_prompt,
)
from merge_ros.model.codec import FULL_CODEC, read_config
from merge_ros.model.conditioning import Conditioning, encode_prompt
from merge_ros.model.converter import DEFAULT_STEPS, PixArtConverter
from merge_ros.model.locate import find_model
from merge_ros.model.network import group_size
from merge_ros.model.pixart import MergePixArt
from merge_ros.model.sampling import denoise, initial_noise
from merge_ros.training.converters.noise import NoiseProcess

ONE_STEP_PREDICTION = "sample"  # x0: better than v and epsilon at one step (Lotus, arXiv 2409.18124, section 4.1)


class Family(ABC):
    """A frozen backbone with new converters plugged in, and all that belongs to it.

    Args:
        settings: of the training.
        folder: of the model.
        pixels: image pixels of a training frame, which is stored with the converters.

    Raises:
        CheckpointError: the model, or the converters to begin from, are damaged or do not fit.
        ConfigurationError: settings that this backbone cannot have.
    """

    prediction: ClassVar[str]  # of the published recipe

    def __init__(self, settings: TrainingSettings, folder: Path, pixels: int) -> None:
        self.settings, self.folder, self.pixels = settings, folder, pixels
        self.vae: Autoencoder = load_autoencoder(folder / FULL_CODEC).requires_grad_(False).eval()
        self.scheduler: Any = load_scheduler(folder / "scheduler")
        self.conditioning = self.encode_empty_prompt()
        torch.manual_seed(settings.seed)
        self.network: Any = self.build()
        if settings.converters.start:
            self._begin_from(find_model(settings.converters.start, (self.converter_folder,)))

    @abstractmethod
    def build(self) -> nn.Module:
        """`network(image_latent, slot, timestep, conditioning)`, with its `backbone` frozen, and its `converter`."""

    @abstractmethod
    def encode_empty_prompt(self) -> Conditioning:
        """The empty prompt, which all frames are given."""

    @abstractmethod
    def process(self) -> NoiseProcess:
        """The noise of the published recipe."""

    @abstractmethod
    def blocks(self) -> Iterable[nn.Module]:
        """All blocks, frozen and learning, in which a pass spends its memory."""

    @property
    @abstractmethod
    def token_side(self) -> int:
        """Latent pixels per token along one side."""

    @property
    def converter(self) -> Any:
        """What learns."""
        return self.network.converter

    @property
    def converter_folder(self) -> str:
        """Name of the folder that converters of this task are stored in."""
        return f"{self.settings.task}_converters"

    @property
    def grid(self) -> int:
        """Frame sides must be multiples of this many pixels."""
        return downsampling(self.vae) * self.token_side

    @property
    def inference(self) -> dict[str, Any]:
        """What the converters' config says on how they are run."""
        if self.settings.recipe == "one_step":
            return {
                "prediction_type": ONE_STEP_PREDICTION,
                "depth_timestep": self.settings.one_step.depth_timestep,
                "num_inference_steps": 1,
            }
        return {
            "prediction_type": self.published_prediction,
            "depth_timestep": None,
            "num_inference_steps": DEFAULT_STEPS,
        }

    @property
    def published_prediction(self) -> str:
        """What the converters of the published recipe predict here."""
        asked = self.settings.published.prediction
        return self.prediction if asked == "auto" else asked

    def estimate(self, image_latent: Tensor) -> Tensor:
        """What the converters make of pictures now, as they will be run later: [batch, C, h, w] to the same."""
        if self.settings.recipe == "one_step":
            timestep = torch.full((len(image_latent),), self.settings.one_step.depth_timestep)
            slot = torch.zeros_like(image_latent)
            found: Tensor = self.network(image_latent, slot, timestep.to(image_latent.device), self.conditioning)
            return found
        scheduler = type(self.scheduler).from_config(self.scheduler.config, **self.scheduler_changes())
        noise = initial_noise(image_latent)
        return denoise(self.network, image_latent, self.conditioning, scheduler, DEFAULT_STEPS, noise)

    def scheduler_changes(self) -> dict[str, Any]:
        """What a sampler of these converters must be told; the stored one belongs to the picture generator."""
        return {}

    def spare_memory(self) -> None:
        """Keep no activations inside blocks: they are computed again on the way back (arXiv 1604.06174)."""
        for block in self.blocks():
            block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Everything on a device; frozen blocks in a precision, what learns and the VAE in fp32."""
        self.vae.to(device)
        nn.Module.to(self.network.backbone, device, dtype)  # diffusers' own warns of modules that it has not
        self.converter.to(device)
        self.conditioning = self.conditioning.to(device, dtype)

    def save(self, out: Path) -> None:
        """Write the converters as a folder in the authors' layout."""
        target = out / self.converter_folder
        self.converter.save_pretrained(target, safe_serialization=True)
        save_empty_prompt(self.conditioning.to("cpu", torch.float32), target)

    def _begin_from(self, folder: Path) -> None:
        found = read_config(folder / self.converter_folder)
        for name, wanted in self.converter.config.items():
            # How they are run is up to this training; what they are must agree.
            if name.startswith("_") or name in (*self.inference, "processing_pixels", "dropout"):
                continue
            if name in found and _plain(found[name]) != _plain(wanted):
                raise CheckpointError(
                    f"{folder / self.converter_folder}: {name} is {found[name]}, the training makes converters with "
                    f"{wanted}"
                )
        loaded = load_part(type(self.converter), folder / self.converter_folder)
        self.converter.load_state_dict(loaded.state_dict())


class PixArt(Family):
    """MERGE-B: PixArt-alpha or -Sigma, epsilon."""

    prediction = "epsilon"

    def build(self) -> MergePixArt:
        """See `Family`."""
        backbone = load_part(PixArtTransformer2DModel, self.folder / "transformer")
        wanted = self.settings.converters
        check_groups(len(backbone.transformer_blocks), wanted.groups)
        converter = PixArtConverter.for_backbone(
            backbone, wanted.groups, ff_mult=wanted.ff_mult, processing_pixels=self.pixels, **self.inference
        )
        see_images_as(backbone, converter, slot_share=0.5 if self.settings.recipe == "published" else 0.0)
        return MergePixArt(backbone, converter)

    def encode_empty_prompt(self) -> Conditioning:
        """See `Family`; one token, as PixArt's mask leaves it."""
        tokenizer, text_encoder = load_text_encoder(self.folder)
        return encode_prompt(tokenizer, text_encoder, "")

    def process(self) -> NoiseProcess:
        """See `Family`."""
        if self.published_prediction == "flow":
            raise ConfigurationError("prediction='flow' is for FLUX; PixArt predicts epsilon or v_prediction")
        return NoiseProcess.of_diffusion(self.scheduler, self.published_prediction)

    def blocks(self) -> Iterable[nn.Module]:
        """See `Family`."""
        return [*self.network.backbone.transformer_blocks, *self.converter.transformer_blocks]

    @property
    def token_side(self) -> int:
        """See `Family`."""
        return int(self.network.backbone.config.patch_size)

    def scheduler_changes(self) -> dict[str, Any]:
        """See `Family`."""
        return {"prediction_type": self.published_prediction}


FAMILIES: dict[str, type[Family]] = {"PixArtTransformer2DModel": PixArt}


def load_family(settings: TrainingSettings, pixels: int) -> Family:
    """The backbone that a model folder holds, with new converters.

    Args:
        settings: of the training.
        pixels: image pixels of a training frame.

    Raises:
        CheckpointError: nothing is there, it is damaged, or its transformer is of a kind that is not known here.
        ConfigurationError: settings that this backbone cannot have.
    """
    folder = find_model(settings.model, ("transformer", FULL_CODEC, "scheduler", "text_encoder", "tokenizer"))
    kind = read_config(folder / "transformer").get("_class_name")
    if kind not in FAMILIES:
        raise CheckpointError(f"{folder / 'transformer'} is a {kind}; there is training for: {', '.join(FAMILIES)}")
    return FAMILIES[kind](settings, folder, pixels)


def check_groups(blocks: int, groups: int) -> None:
    """Raise ConfigurationError unless every one of G converters serves a frozen block (groups are ceil-sized)."""
    useful = sorted({-(-blocks // group_size(blocks, number)) for number in range(1, blocks + 1)})
    if groups not in useful:
        raise ConfigurationError(
            f"groups={groups} of {blocks} frozen blocks leaves converters that never run; allowed: "
            f"{', '.join(map(str, useful))}"
        )


def see_images_as(backbone: PixArtTransformer2DModel, converter: PixArtConverter, *, slot_share: float) -> None:
    """Start the patch embedding as the backbone's own.

    Args:
        backbone, converter: of one model.
        slot_share: of the weights that goes to the depth slot: 0.5 as the authors' code has it (after Marigold), where
            the slot is a noisy latent; 0 where it is empty.
    """
    channels = backbone.config.in_channels
    with torch.no_grad():
        converter.pos_embed.proj.weight[:, :channels] = (1 - slot_share) * backbone.pos_embed.proj.weight
        converter.pos_embed.proj.weight[:, channels:] = slot_share * backbone.pos_embed.proj.weight
        converter.pos_embed.proj.bias.copy_(backbone.pos_embed.proj.bias)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
