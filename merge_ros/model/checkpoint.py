"""Load a MERGE model from a folder in the authors' layout, strictly.

    MODEL/transformer/       config.json, diffusion_pytorch_model.safetensors     the frozen backbone
    MODEL/NAME_converters/   the same two files, and optionally empty_prompt.safetensors; NAME is depth, normals, ...
    MODEL/vae/               config.json, diffusion_pytorch_model.safetensors
    MODEL/light_codec/       the same two files; optional, a light autoencoder for the depth path (`model/codec.py`)
    MODEL/scheduler/         scheduler_config.json
    MODEL/text_encoder/, MODEL/tokenizer/, and for FLUX the same with _2    only where a prompt has to be encoded

`NAME_converters/` may come from another place than the rest, as the released checkpoints do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import diffusers
import torch
from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler, SchedulerMixin
from torch import Tensor

from merge_ros.errors import CheckpointError
from merge_ros.model.autoencoder import KINDS, Autoencoder, downsampling
from merge_ros.model.codec import FULL_CODEC, LIGHT_CODEC, find_codec, read_config
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.empty_prompt import EMPTY_PROMPT, load_empty_prompt
from merge_ros.model.flux import MergeFlux
from merge_ros.model.locate import find_model
from merge_ros.model.memory import NO_PLAN, MemoryPlan, place
from merge_ros.model.networks import Converter, Network, load_network
from merge_ros.model.parts import load_part

CPU = torch.device("cpu")
# Sub-folders of a model; what is not needed may be missing.
PARTS = (
    "transformer",
    FULL_CODEC,
    LIGHT_CODEC,
    "scheduler",
    "text_encoder",
    "tokenizer",
    "text_encoder_2",
    "tokenizer_2",
)


@dataclass(frozen=True)
class Checkpoint:
    """Everything that depth estimation needs, in evaluation mode and without gradients.

    `network.backbone` is the image generator; `vae` is the autoencoder of the depth path, full or
    light; `empty_prompt` is None when the folder neither stores it nor has a text encoder (a reference folder, say):
    then the caller must bring its own conditioning. `dtype`, `device` and `plan` are where and how the network runs.
    """

    folder: Path
    network: Network
    vae: Autoencoder
    scheduler: SchedulerMixin
    empty_prompt: Conditioning | None
    dtype: torch.dtype = torch.float32
    device: torch.device = CPU
    plan: MemoryPlan = NO_PLAN

    @property
    def converter(self) -> Converter:
        """The converters that are plugged in."""
        converter: Converter | None = self.network.converter
        if converter is None:
            raise CheckpointError(f"{self.folder}: no converters are plugged in")
        return converter

    @property
    def grid(self) -> int:
        """Image sides must be multiples of this many pixels: VAE downsampling times latent pixels per token."""
        return downsampling(self.vae) * self.network.token_side

    @property
    def native_pixels(self) -> int:
        """Number of image pixels (width x height) that the converters were made for."""
        return int(self.converter.native_pixels(downsampling(self.vae)))

    @property
    def min_brightness(self) -> float | None:
        """Mean brightness up to which the converters want darker pictures brightened (`model.pixels`); None: never."""
        least: float | None = self.converter.config.get("min_brightness")
        return least

    @property
    def alphas_cumprod(self) -> Tensor | None:
        """[1000] of the noise schedule; None where the scheduler follows a flow."""
        alphas: Tensor | None = getattr(self.scheduler, "alphas_cumprod", None)
        return alphas

    def depth_scheduler(self) -> SchedulerMixin:
        """A scheduler for multi-step depth: the checkpoint's, told what its converters predict.

        The stored one belongs to the image generator, whose prediction type may be another.
        """
        if isinstance(self.scheduler, FlowMatchEulerDiscreteScheduler):
            return type(self.scheduler).from_config(self.scheduler.config)
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
                f"{self.folder} holds no empty prompt: neither {EMPTY_PROMPT} beside the converters nor text_encoder/ "
                "and tokenizer/"
            )
        return self.empty_prompt


def load_checkpoint(
    model: str,
    converters: str = "",
    *,
    task: str = "depth",
    codec: str = "full",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    plan: MemoryPlan = NO_PLAN,
) -> Checkpoint:
    """Load a MERGE-B or MERGE-L model.

    Args:
        model: "merge-tiny" (shipped in the package), a folder, or a Hugging Face id (downloads on first use).
        converters: where the converter set is, if not in `model`; same forms.
        task: name of the converter set: it is in the folder `TASK_converters/`.
        codec: autoencoder of the depth path, as in `EstimatorSettings`.
        device: torch device, for example "cpu" or "cuda:0".
        dtype: precision of all weights.
        plan: how a network that does not fit into the device's memory is run all the same.

    Raises:
        CheckpointError: a missing folder or file, a missing or unexpected key, a wrong shape, a damaged file, or
            parts that do not fit each other; the message names it.
        ConfigurationError: a plan for a network that needs none.
    """
    set_name = f"{task}_converters"
    folder = find_model(model, PARTS if converters else (*PARTS, set_name))
    converter_folder = (find_model(converters, (set_name,)) if converters else folder) / set_name
    network = load_network(folder, converter_folder, dtype=dtype, **plan.loader_settings())
    vae = load_autoencoder(find_codec(codec, folder), dtype)
    if vae.config.latent_channels != network.latent_channels:
        raise CheckpointError(
            f"{folder}: the autoencoder has {vae.config.latent_channels} latent channels, the transformer takes "
            f"{network.latent_channels}"
        )
    _check_downsampling(vae, folder / FULL_CODEC)
    scheduler = load_scheduler(folder / "scheduler")
    _check_scheduler(scheduler, network, folder)
    prompt = load_empty_prompt(folder, converter_folder, network, dtype)
    for part in (network.backbone, network.plugged()):
        place(part, torch.device(device), plan)
    vae.to(device).eval().requires_grad_(False)
    if prompt is not None:
        prompt = prompt.to(device, dtype)
    return Checkpoint(folder, network, vae, scheduler, prompt, dtype, torch.device(device), plan)


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
        CheckpointError: the file is missing, damaged, or names a class that diffusers does not have.
    """
    path = folder / "scheduler_config.json"
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    try:
        config = DPMSolverMultistepScheduler.load_config(folder)
    except OSError as error:  # what diffusers makes of a file that is not JSON
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    kind = getattr(diffusers, str(config.get("_class_name")), None)
    if kind is None or not issubclass(kind, SchedulerMixin):
        raise CheckpointError(f"{path}: {config.get('_class_name')!r} is not a scheduler of diffusers")
    return kind.from_config(config)


def _check_scheduler(scheduler: SchedulerMixin, network: Network, folder: Path) -> None:
    """FLUX follows a flow, PixArt a noise schedule; a scheduler of the other kind would give nonsense."""
    flow = isinstance(scheduler, FlowMatchEulerDiscreteScheduler)
    if flow != isinstance(network, MergeFlux):
        raise CheckpointError(
            f"{folder / 'scheduler'}: {type(scheduler).__name__} does not belong to {type(network.backbone).__name__}; "
            "FLUX needs FlowMatchEulerDiscreteScheduler, PixArt a scheduler with a noise schedule"
        )


def _check_downsampling(vae: Autoencoder, full: Path) -> None:
    """A light codec must have the latent grid of the VAE that the backbone was trained with, where that is here."""
    if not full.is_dir():
        return
    wanted = 2 ** (len(read_config(full).get("block_out_channels", ())) - 1)
    if downsampling(vae) != wanted:
        raise CheckpointError(
            f"the codec has {downsampling(vae)} pixels per latent pixel, the model's VAE in {full} has {wanted}"
        )
