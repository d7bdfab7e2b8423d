"""What the training loop must know of a kind of backbone: how to load it, make converters for it, and write them."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as run_again

from merge_ros.config.training import TrainingSettings
from merge_ros.errors import CheckpointError, ConfigurationError
from merge_ros.model.autoencoder import Autoencoder, downsampling
from merge_ros.model.checkpoint import Checkpoint, load_autoencoder, load_scheduler
from merge_ros.model.codec import FULL_CODEC, read_config
from merge_ros.model.converter import DEFAULT_STEPS
from merge_ros.model.depth_mode import predict_latent
from merge_ros.model.empty_prompt import load_empty_prompt, save_empty_prompt
from merge_ros.model.locate import find_model
from merge_ros.model.network import group_size
from merge_ros.model.networks import Network
from merge_ros.model.parts import load_part
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
        torch.manual_seed(settings.seed)
        self.network: Network = self.build()
        if settings.converters.start:
            self._begin_from(find_model(settings.converters.start, (self.converter_folder,)))
        stored = folder / self.converter_folder
        prompt = load_empty_prompt(folder, stored, self.network, torch.float32)
        if prompt is None:
            raise CheckpointError(f"{folder} has no text encoder, nor an empty prompt in {stored.name}/")
        self.conditioning = prompt

    @abstractmethod
    def build(self) -> Network:
        """The frozen backbone with new converters plugged in."""

    @abstractmethod
    def process(self) -> NoiseProcess:
        """The noise of the published recipe."""

    @abstractmethod
    def blocks(self) -> Iterable[nn.Module]:
        """All blocks, frozen and learning, in which a pass spends its memory."""

    @property
    def converter(self) -> Any:
        """What learns."""
        return self.network.plugged()

    @property
    def converter_folder(self) -> str:
        """Name of the folder that converters of this task are stored in."""
        return f"{self.settings.task}_converters"

    @property
    def grid(self) -> int:
        """Frame sides must be multiples of this many pixels."""
        return downsampling(self.vae) * self.network.token_side

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
        checkpoint = Checkpoint(self.folder, self.network, self.vae, self.scheduler, self.conditioning)
        steps = int(self.inference["num_inference_steps"])
        return predict_latent(checkpoint, image_latent, self.conditioning, steps)

    def spare_memory(self) -> None:
        """Keep no activations inside blocks: they are computed again on the way back (arXiv 1604.06174)."""
        for block in self.blocks():
            block.forward = functools.partial(run_again, block.forward, use_reentrant=False)

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
            if name.startswith("_") or name in (*self.inference, "processing_pixels", "min_brightness", "dropout"):
                continue
            if name in found and _plain(found[name]) != _plain(wanted):
                raise CheckpointError(
                    f"{folder / self.converter_folder}: {name} is {found[name]}, the training makes converters with "
                    f"{wanted}"
                )
        loaded = load_part(type(self.converter), folder / self.converter_folder)
        self.converter.load_state_dict(loaded.state_dict())


def check_groups(blocks: int, groups: int) -> None:
    """Raise ConfigurationError unless every one of G converters serves a frozen block (groups are ceil-sized)."""
    useful = sorted({-(-blocks // group_size(blocks, number)) for number in range(1, blocks + 1)})
    if groups not in useful:
        raise ConfigurationError(
            f"groups={groups} of {blocks} frozen blocks leaves converters that never run; allowed: "
            f"{', '.join(map(str, useful))}"
        )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
